# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Recorded features: readable by mcap's own decoder without aliked_msgs, also when the recorder was killed."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from message_samples import META, REFERENCE, assert_same, make_features, make_matches, make_tracks
from rosbags.highlevel import AnyReader

from aliked_ros.errors import MessageError, SourceError
from aliked_ros.io.bags.feature_recorder import FeatureRecorder
from aliked_ros.io.bags.reader import BagReader
from aliked_ros.io.messages import ros_types
from aliked_ros.io.messages.message_fields import (
    features_fields,
    features_from_fields,
    matches_fields,
    matches_from_fields,
    tracks_fields,
    tracks_from_fields,
)
from aliked_ros.io.messages.status_fields import TrackerState, TrackerStatus, status_fields, status_from_fields


def all_fields() -> dict[str, dict[str, Any]]:
    return {
        "features": features_fields(make_features(), META, track_ids=np.arange(7)),
        "matches": matches_fields(make_matches(), META, **REFERENCE),
        "tracks": tracks_fields(make_tracks(), META, image_width=640, image_height=480),
        "status": status_fields(TrackerStatus(TrackerState.RUNNING, "cpu", received=3), META.stamp_ns, "camera"),
    }


TYPES = {
    "features": ros_types.FEATURES_TYPE,
    "matches": ros_types.MATCHES_TYPE,
    "tracks": ros_types.TRACKS_TYPE,
    "status": ros_types.STATUS_TYPE,
}


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "features.mcap"
    with FeatureRecorder(path) as recorder:
        for index in range(3):
            for name, fields in all_fields().items():
                recorder.write_fields(f"/tracker/{name}", TYPES[name], fields, META.stamp_ns + index)
        assert recorder.counts == dict.fromkeys((f"/tracker/{name}" for name in TYPES), 3)
    return path


def test_mcap_decodes_it_by_the_definitions_inside(recording: Path) -> None:
    decoded: dict[str, list[Any]] = {}
    with recording.open("rb") as stream:
        for _, channel, message, content in make_reader(
            stream, validate_crcs=True, decoder_factories=[DecoderFactory()]
        ).iter_decoded_messages():
            decoded.setdefault(channel.topic, []).append((message.log_time, message.sequence, content))
    assert {topic: len(messages) for topic, messages in decoded.items()} == {f"/tracker/{n}": 3 for n in TYPES}
    assert [m[:2] for m in decoded["/tracker/tracks"]] == [(META.stamp_ns + i, i) for i in range(3)]
    first = {topic.rpartition("/")[2]: messages[0][2] for topic, messages in decoded.items()}
    features = features_from_fields(first["features"])
    assert_same(features.features, make_features())
    assert features.meta == META
    assert_same(matches_from_fields(first["matches"]).matches, make_matches())
    assert_same(tracks_from_fields(first["tracks"]).tracks, make_tracks())
    status, stamp_ns, _ = status_from_fields(first["status"])
    assert (status.state, status.device, status.received) == (TrackerState.RUNNING, "cpu", 3)
    assert stamp_ns == META.stamp_ns


def test_rosbags_decodes_it_by_the_definitions_inside(recording: Path) -> None:
    with AnyReader([recording]) as reader:
        messages = [(c.topic, reader.deserialize(data, c.msgtype)) for c, _, data in reader.messages()]
    assert len(messages) == 12
    features = [features_from_fields(m) for topic, m in messages if topic == "/tracker/features"]
    assert_same(features[0].features, make_features())


def test_the_schema_is_the_definition_with_its_comments(recording: Path) -> None:
    with recording.open("rb") as stream:
        summary = make_reader(stream).get_summary()
    assert summary is not None
    schemas = {schema.name: schema for schema in summary.schemas.values()}
    assert set(schemas) == set(TYPES.values())
    for name, text in ros_types.message_definitions().items():
        schema = schemas[name]
        assert schema.encoding == "ros2msg"
        content = schema.data.decode()
        assert content.startswith(text)
        assert "\nMSG: std_msgs/Header\n" in content
        assert "\nMSG: builtin_interfaces/Time\n" in content
    for channel in summary.channels.values():
        assert channel.message_encoding == "cdr"
        assert channel.metadata["topic_type_hash"] == ros_types.type_hash(summary.schemas[channel.schema_id].name)
        (qos,) = yaml.safe_load(channel.metadata["offered_qos_profiles"])
        assert (qos["history"], qos["depth"], qos["reliability"], qos["durability"]) == (1, 10, 1, 2)


def test_raw_bytes_are_recorded_as_they_are(tmp_path: Path) -> None:
    data = bytes(ros_types.serialize(all_fields()["features"], ros_types.FEATURES_TYPE))
    path = tmp_path / "raw.mcap"
    with FeatureRecorder(path) as recorder:
        recorder.write_cdr("/f", ros_types.FEATURES_TYPE, data, 7, 5)
        recorder.write_cdr("/f", ros_types.FEATURES_TYPE, memoryview(data), 8)
        recorder.write_cdr("/image", "sensor_msgs/msg/Image", b"\0\1\0\0", 9)  # any standard type
    with path.open("rb") as stream:
        messages = [(c.topic, m.log_time, m.publish_time, m.data) for _, c, m in make_reader(stream).iter_messages()]
    assert messages == [("/f", 7, 5, data), ("/f", 8, 8, data), ("/image", 9, 9, b"\0\1\0\0")]


def test_one_topic_of_two_types_is_two_channels(tmp_path: Path) -> None:
    path = tmp_path / "x.mcap"
    with FeatureRecorder(path) as recorder:
        for name in ("tracks", "status"):
            recorder.write_fields("/x", TYPES[name], all_fields()[name], 1)
        assert recorder.counts == {"/x": 2}
    with BagReader(path) as reader:
        assert [(topic.name, topic.count) for topic in reader.topics] == [("/x", 1), ("/x", 1)]


def test_what_cannot_be_recorded_is_refused(tmp_path: Path) -> None:
    recorder = FeatureRecorder(tmp_path / "x.mcap")
    with pytest.raises(MessageError, match="3 bytes starting with"):
        recorder.write_cdr("/x", ros_types.TRACKS_TYPE, b"\0\1\0", 0)
    with pytest.raises(MessageError, match="no CDR message"):
        recorder.write_cdr("/x", ros_types.TRACKS_TYPE, b"\1\1\0\0", 0)
    with pytest.raises(MessageError, match="times in a recording cannot be negative"):
        recorder.write_cdr("/x", ros_types.TRACKS_TYPE, b"\0\1\0\0", -1)
    with pytest.raises(MessageError, match="unknown message type 'other_msgs/msg/Thing'"):
        recorder.write_cdr("/x", "other_msgs/msg/Thing", b"\0\1\0\0", 0)
    fields = all_fields()["tracks"]
    with pytest.raises(MessageError, match=r"missing fields \['ids'\], unknown fields \['id'\]"):
        recorder.write_fields(
            "/x", ros_types.TRACKS_TYPE, {("id" if k == "ids" else k): v for k, v in fields.items()}, 0
        )
    with pytest.raises(MessageError, match=r"Tracks\.ids must be an array of int64, got int32"):
        recorder.write_fields("/x", ros_types.TRACKS_TYPE, {**fields, "ids": fields["ids"].astype(np.int32)}, 0)
    with pytest.raises(MessageError, match=r"Tracks\.ids must be an array of int64, got list"):
        recorder.write_fields("/x", ros_types.TRACKS_TYPE, {**fields, "ids": []}, 0)
    recorder.close()
    recorder.close()
    with pytest.raises(SourceError, match="the recording was closed"):
        recorder.write_fields("/x", ros_types.TRACKS_TYPE, fields, 0)


def test_places_that_cannot_be_written_are_said(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"cannot be written \(No such file or directory\); choose another"):
        FeatureRecorder(tmp_path / "missing" / "x.mcap")
    with pytest.raises(SourceError, match="cannot be written"):
        FeatureRecorder(tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full to stand for a full disk")
def test_a_full_disk_is_an_error(tmp_path: Path) -> None:
    recorder = FeatureRecorder(tmp_path / "x.mcap", chunk_bytes=1)
    assert recorder._stream is not None
    os.dup2(os.open("/dev/full", os.O_WRONLY), recorder._stream.fileno())
    with pytest.raises(SourceError, match="No space left"):
        recorder.write_fields("/x", ros_types.TRACKS_TYPE, all_fields()["tracks"], 0)
    with pytest.raises(SourceError, match="cannot be completed"):
        recorder.close()


def test_a_killed_recorder_loses_the_last_chunk_only(tmp_path: Path) -> None:
    """The process gets no chance to close the file; what is in complete chunks is there."""
    path = tmp_path / "killed.mcap"
    program = f"""
        import os, signal, sys
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).resolve().parents[1])!r})
        from message_samples import META, make_features
        from aliked_ros.io.messages import ros_types
        from aliked_ros.io.bags.feature_recorder import FeatureRecorder
        from aliked_ros.io.messages.message_fields import features_fields
        recorder = FeatureRecorder(Path({str(path)!r}), chunk_bytes=20_000)
        for index in range(100):
            fields = features_fields(make_features(20, 16, seed=index), META)
            recorder.write_fields("/f", ros_types.FEATURES_TYPE, fields, index)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    messages = []
    with BagReader(path) as reader:
        assert not reader.is_indexed
        with pytest.raises(SourceError, match="cut off"):
            messages.extend(reader.messages(["/f"]))
    times = [message.log_time_ns for message in messages]
    assert times == list(range(len(times)))
    assert len(times) >= 85  # a chunk holds 12 messages
    store = ros_types.typestore()
    for index in (0, len(times) - 1):
        back = features_from_fields(store.deserialize_cdr(messages[index].data, ros_types.FEATURES_TYPE))
        assert_same(back.features, make_features(20, 16, seed=index))


def test_definitions_come_from_the_installed_package_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = Path(__file__).resolve().parents[2] / "aliked_msgs" / "msg"
    installed = tmp_path / "prefix" / "share" / "aliked_msgs" / "msg"
    monkeypatch.setenv("AMENT_PREFIX_PATH", "")
    plain = ros_types.message_definitions()
    assert plain == {f"aliked_msgs/msg/{f.stem}": f.read_text() for f in tree.glob("*.msg")}
    assert ros_types.definition_folders()[-1] == Path(sys.prefix) / "share" / "aliked_ros" / "aliked_msgs"
    shutil.copytree(tree, installed)
    (installed / "Tracks.msg").write_text("std_msgs/Header header\nint64[] ids\n")
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{tmp_path / 'empty'}:{tmp_path / 'prefix'}")
    assert ros_types.message_definitions()["aliked_msgs/msg/Tracks"].startswith("std_msgs/Header header\nint64[] ids")
    assert [name for name, _ in ros_types.typestore().fielddefs["aliked_msgs/msg/Tracks"][1]] == ["header", "ids"]
    assert ros_types.schema_text("aliked_msgs/msg/Tracks").count("MSG: ") == 2


def test_missing_definitions_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ros_types, "definition_folders", lambda: (tmp_path / "a", tmp_path / "b"))
    with pytest.raises(SourceError, match=r"are in none of .*a, .*b; build it with colcon"):
        ros_types.message_definitions()


def test_standard_messages_need_no_aliked_msgs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ros_types, "definition_folders", lambda: (tmp_path,))
    from aliked_ros.io.messages.fields import header_fields

    data = ros_types.serialize(header_fields(5, "x"), "std_msgs/msg/Header", ros_types.standard_typestore())
    assert bytes(data[:4]) == b"\0\1\0\0"


def test_the_frames_of_a_recording_can_be_told_apart() -> None:
    """What joins the three topics of one image is in each of them."""
    meta = dataclasses.replace(META, frame_seq=7)
    fields = [
        features_fields(make_features(), meta),
        matches_fields(make_matches(), meta, **REFERENCE),
        tracks_fields(make_tracks(), meta, image_width=1, image_height=1),
    ]
    for name in ("header", "frame_seq", "epoch", "source_id"):
        assert fields[0][name] == fields[1][name] == fields[2][name]
