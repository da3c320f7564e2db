# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Bags that are written: what they hold, what their metadata say to every ROS release, and failures."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml
from bag_samples import CAMERA, START_NS, TOPICS, assert_same_frames, make_frames, storage_file
from rosbags.highlevel import AnyReader

from aliked_ros.errors import ConfigError, MessageError, SourceError
from aliked_ros.io.bags.source import BagSource
from aliked_ros.io.bags.topics import CameraTopics
from aliked_ros.io.bags.writer import BagWriter
from aliked_ros.io.frames import Frame
from aliked_ros.io.outputs import written_whole

STORAGES = pytest.mark.parametrize("storage", ["mcap", "sqlite3"])


def write(path: Path, frames: list[Frame], **options: object) -> Path:
    with BagWriter(path, CAMERA, **options) as writer:  # type: ignore[arg-type]
        for frame in frames:
            writer.write(frame)
    return path


@STORAGES
def test_other_readers_find_the_messages_and_their_definitions(storage: str, tmp_path: Path) -> None:
    frames = make_frames(3)
    path = write(tmp_path / "bag", frames, storage=storage)
    with AnyReader([path]) as reader:
        assert {c.topic: (c.msgtype, c.msgcount) for c in reader.connections} == {
            TOPICS.image: ("sensor_msgs/msg/Image", 3),
            TOPICS.camera_info: ("sensor_msgs/msg/CameraInfo", 3),
            TOPICS.depth: ("sensor_msgs/msg/Image", 3),
            TOPICS.ground_truth: ("geometry_msgs/msg/PoseStamped", 3),
        }
        for connection, time_ns, data in reader.messages():
            message = reader.deserialize(data, connection.msgtype)
            stamp = message.header.stamp
            assert stamp.sec * 10**9 + stamp.nanosec == time_ns
            frame = "world" if connection.topic == TOPICS.ground_truth else "camera_rgb_optical_frame"
            assert message.header.frame_id == frame
            if connection.topic == TOPICS.depth:
                assert message.encoding == "32FC1"


@STORAGES
def test_the_metadata_are_those_that_every_release_since_humble_parses(storage: str, tmp_path: Path) -> None:
    """rosbag 2 up to Iron takes offered_qos_profiles as text with numbers in it; later releases take it still."""
    frames = make_frames(2)
    path = write(tmp_path / "bag", frames, storage=storage)
    info = yaml.safe_load((path / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert info["version"] == 8
    assert info["storage_identifier"] == storage
    assert info["relative_file_paths"] == [storage_file(path).name]
    assert info["message_count"] == 8
    assert info["starting_time"]["nanoseconds_since_epoch"] == START_NS
    assert info["duration"]["nanoseconds"] == frames[1].stamp_ns - START_NS
    assert info["compression_format"] == info["compression_mode"] == ""
    for topic in info["topics_with_message_count"]:
        metadata = topic["topic_metadata"]
        assert topic["message_count"] == 2
        assert metadata["serialization_format"] == "cdr"
        assert metadata["type_description_hash"].startswith("RIHS01_")
        assert isinstance(metadata["offered_qos_profiles"], str)
        (qos,) = yaml.safe_load(metadata["offered_qos_profiles"])
        assert (qos["history"], qos["depth"], qos["reliability"], qos["durability"]) == (1, 10, 1, 2)
        assert qos["liveliness"] == 1
        assert qos["avoid_ros_namespace_conventions"] is False
        for name in ("deadline", "lifespan", "liveliness_lease_duration"):
            assert qos[name] == {"sec": 0, "nsec": 0}


def test_compressed_images_have_their_own_topic(tmp_path: Path) -> None:
    frames = make_frames(2)
    with BagSource(write(tmp_path / "png", frames, compression="png")) as source:
        assert source.streams.image == TOPICS.image + "/compressed"
        assert_same_frames(list(source), frames)
    with BagSource(write(tmp_path / "jpeg", frames, compression="jpeg")) as source:
        assert [frame.image.shape for frame in source] == [frame.image.shape for frame in frames]


def test_topics_can_be_named(tmp_path: Path) -> None:
    topics = CameraTopics("/left/image_raw", "/left/camera_info", "/left/depth", "/left/groundtruth", "left", "map")
    frames = make_frames(2)
    with BagSource(write(tmp_path / "bag", frames, topics=topics)) as source:
        assert source.streams.joined_topics == ("/left/image_raw", "/left/depth", "/left/groundtruth")
        assert source.camera is not None
        assert_same_frames(list(source), frames)


def test_impossible_options_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="storage must be one of mcap, sqlite3, got 'rosbag'"):
        BagWriter(tmp_path / "bag", storage="rosbag")
    with pytest.raises(ConfigError, match="compression must be one of jpeg, png, got 'zip'"):
        BagWriter(tmp_path / "bag", compression="zip")
    (tmp_path / "there").mkdir()
    with pytest.raises(SourceError, match="cannot write a bag there"):
        BagWriter(tmp_path / "there")
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="cannot write a bag there"):
        BagWriter(tmp_path / "file" / "bag")


@pytest.mark.parametrize(("stamp_ns", "error"), [(-1, SourceError), (2**31 * 10**9, MessageError)])
def test_stamps_that_a_bag_cannot_hold_are_refused(stamp_ns: int, error: type[Exception], tmp_path: Path) -> None:
    frame = dataclasses.replace(make_frames(1)[0], stamp_ns=stamp_ns)
    with pytest.raises(error, match=str(stamp_ns)):
        write(tmp_path / "bag", [frame])


@STORAGES
def test_a_failure_leaves_no_metadata(storage: str, tmp_path: Path) -> None:
    def fail() -> None:
        with BagWriter(tmp_path / "bag", storage=storage) as writer:
            writer.write(make_frames(1)[0])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not (tmp_path / "bag" / "metadata.yaml").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full to stand for a full disk")
def test_a_full_disk_is_an_error(tmp_path: Path) -> None:
    writer = BagWriter(tmp_path / "bag")
    file = writer._writer.storage.bio  # type: ignore[union-attr]
    os.dup2(os.open("/dev/full", os.O_WRONLY), file.fileno())
    big = dataclasses.replace(make_frames(1, depth=False)[0], image=np.zeros((1024, 1024, 3), np.uint8))
    with pytest.raises(SourceError, match=r"image_color cannot be written \(.*No space left"):
        writer.write(big)


def test_output_is_whole_or_absent(tmp_path: Path) -> None:
    def fail(path: Path, *, force: bool) -> None:
        with written_whole(path, force=force) as partial:
            partial.write_text("half")
            raise ZeroDivisionError

    path = tmp_path / "deep" / "file.txt"
    with written_whole(path) as partial:
        assert partial.name == "file.txt"
        partial.write_text("first")
    assert path.read_text() == "first"
    with pytest.raises(SourceError, match=r"exists; .*--force"):
        fail(path, force=False)
    with pytest.raises(ZeroDivisionError):
        fail(path, force=True)
    assert path.read_text() == "first"
    with written_whole(path, force=True) as partial:  # a folder takes a file's place, and the other way round
        partial.mkdir()
        (partial / "inside").write_text("second")
    assert (path / "inside").read_text() == "second"
    with written_whole(path, force=True) as partial:
        partial.write_text("third")
    assert path.read_text() == "third"
    assert list(path.parent.iterdir()) == [path]
    with pytest.raises(SourceError, match="cannot write there"), written_whole(path / "below"):
        pass
    with pytest.raises(SourceError, match="cannot be put in place"), written_whole(path, force=True):
        pass  # nothing was made
    assert path.read_text() == "third"


@STORAGES
@pytest.mark.ros
@pytest.mark.skipif(shutil.which("ros2") is None, reason="no ros2 command: rosbag 2 is not among the wheels")
def test_an_installed_rosbag2_accepts_it(storage: str, tmp_path: Path) -> None:
    """``ros2 bag info`` parses what ``ros2 bag play`` does."""
    path = write(tmp_path / "bag", make_frames(3), storage=storage)
    if subprocess.run(["ros2", "bag", "--help"], capture_output=True, check=False).returncode:
        pytest.skip("this ros2 has no bag command")
    done = subprocess.run(["ros2", "bag", "info", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Count: 3" in done.stdout
    assert TOPICS.ground_truth in done.stdout
