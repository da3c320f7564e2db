# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Bags that are cut off, damaged, or none at all: whole frames and then an error, never worse."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bag_samples import (
    RECORDINGS,
    START_NS,
    TOPICS,
    assert_same_frames,
    entries,
    make_frames,
    record,
    storage_file,
    write_ros1,
    write_rosbag2,
)

from aliked_ros.errors import SourceError
from aliked_ros.io.bags.source import BagSource
from aliked_ros.io.frames import Frame
from aliked_ros.io.messages.sensor_fields import IMAGE_TYPE, image_fields

KINDS = pytest.mark.parametrize("kind", RECORDINGS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"step": 5}, "step is 5 bytes"),
        ({"data": np.zeros(7, np.uint8)}, "7 bytes, expected"),
        ({"encoding": "bayer_rggb16"}, "wider than 8 bits"),
        ({"width": 0, "height": 0}, "at least 32×32"),
    ],
)
def test_an_unusable_image_is_an_error_with_its_place(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    frames = make_frames(3, depth=False, pose=False)
    messages = entries(frames)
    index = [i for i, m in enumerate(messages) if m[0] == TOPICS.image][1]
    topic, kind, fields, ns = messages[index]
    messages[index] = (topic, kind, {**fields, **changes}, ns)
    got, error = read_until_error(write_rosbag2(tmp_path / "bag", messages))
    assert re.search(rf"image_color, recorded at 1311868169\.196831334 s: .*{message}", error)
    assert_same_frames(got, frames[:1])


def read_until_error(path: Path) -> tuple[list[Frame], str]:
    frames: list[Frame] = []
    try:
        with BagSource(path) as source:
            frames.extend(source)  # takes those before the error, too
    except SourceError as error:
        return frames, str(error)
    return frames, ""


@KINDS
def test_a_bag_cut_off_anywhere_gives_its_whole_frames_and_then_an_error(kind: str, tmp_path: Path) -> None:
    frames = make_frames(12)
    path = record(tmp_path, kind, frames)
    file = storage_file(path)
    whole = file.read_bytes()
    counts = []
    for length in np.linspace(len(whole) - 1, 1, 40).astype(int):
        file.write_bytes(whole[:length])
        got, message = read_until_error(path)
        # The image may be whole when what belongs to it is not.
        assert_same_frames(got[:-1], frames[: max(0, len(got) - 1)])
        if got:
            np.testing.assert_array_equal(got[-1].image, frames[len(got) - 1].image)
        if len(got) < len(frames):
            assert str(path) in message
            expected = "cut off or damaged" if got else "nothing can be read|no topic with colour|first message"
            assert re.search(expected, message)
            assert not got or f"frames delivered: {len(got)}" in message
        counts.append(len(got))
    assert counts == sorted(counts, reverse=True)  # the shorter the file, the fewer frames
    assert counts[0] >= 11
    assert counts[20] >= 4
    assert counts[-1] == 0


@KINDS
def test_damage_is_an_error_and_nothing_worse(kind: str, tmp_path: Path) -> None:
    """Whatever happens to the bytes: frames, then perhaps a SourceError; pixels may be damaged, structure not."""
    path = record(tmp_path, kind, make_frames(4))
    file = storage_file(path)
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(whole)
        for position in rng.integers(0, len(whole), 30):
            damaged[position] = int(rng.integers(256))
        start = int(rng.integers(0, len(whole) - 64))
        damaged[start : start + 64] = rng.bytes(64)
        file.write_bytes(damaged)
        try:
            with BagSource(path) as source:
                for frame in source:
                    assert frame.image.shape[:2] >= (32, 32)
        except SourceError:
            pass


def test_an_interrupted_ros1_recording_is_read(tmp_path: Path) -> None:
    """rosbag record writes the index's place into the header when it closes the bag, and renames it then."""
    frames = make_frames(5)
    file = record(tmp_path, "ros1", frames)
    data = bytearray(file.read_bytes())
    place = data.index(b"index_pos=") + len(b"index_pos=")
    data[place : place + 8] = bytes(8)
    active = tmp_path / "recorded.bag.active"
    active.write_bytes(data)
    got, message = read_until_error(active)
    assert_same_frames(got, frames)
    assert "cut off or damaged" in message


def test_a_database_with_a_journal_beside_it_is_read(tmp_path: Path) -> None:
    """What was written last is in the write-ahead log only, while the recorder lives or when it was killed."""
    frames = make_frames(3)
    path = record(tmp_path, "sqlite3", frames[:2])
    file = storage_file(path)
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    late = record(tmp_path / "late", "sqlite3", frames[2:])
    with sqlite3.connect(storage_file(late)) as other:
        rows = other.execute("SELECT topic_id, timestamp, data FROM messages").fetchall()
    connection.executemany("INSERT INTO messages(topic_id, timestamp, data) VALUES (?, ?, ?)", rows)
    connection.commit()
    (path / "metadata.yaml").unlink()
    got, message = read_until_error(path)
    connection.close()
    assert_same_frames(got, frames)
    assert not message


@pytest.mark.parametrize("name", ["gone", "gone.mcap", "gone.bag", "gone.db3"])
def test_a_missing_bag_is_said(name: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such bag; give a rosbag 2 folder"):
        BagSource(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"nonsense" * 100], ids=["empty", "nonsense"])
@pytest.mark.parametrize("name", ["x.mcap", "x.bag", "x.db3"])
def test_files_that_are_no_bags_are_said(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    expected = "it is empty" if not content else "it is neither mcap, sqlite3 nor a ROS 1 bag"
    with pytest.raises(SourceError, match=f"nothing can be read of this bag: {name}: {expected}"):
        BagSource(tmp_path / name)


def test_other_names_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(b"")
    with pytest.raises(SourceError, match=r"not the name of a bag; those end in \.mcap"):
        BagSource(tmp_path / "x.txt")
    with pytest.raises(SourceError, match=r"no bag; a rosbag 2 folder holds"):
        BagSource(tmp_path)


def test_metadata_that_promise_files_which_are_not_there(tmp_path: Path) -> None:
    path = record(tmp_path, "mcap", make_frames(2))
    storage_file(path).unlink()
    with pytest.raises(SourceError, match=r"no topic with colour or grey images|nothing can be read"):
        BagSource(path)


@pytest.mark.parametrize("kind", ["mcap", "sqlite3", "ros1"])
def test_bags_without_images_are_said(kind: str, tmp_path: Path) -> None:
    (frame,) = make_frames(1)
    others = [m for m in entries([frame]) if m[0] != TOPICS.image]
    for name, messages in (("empty", []), ("others", others)):
        if kind == "ros1":
            path = write_ros1(tmp_path / f"{name}.bag", messages)
        else:
            path = write_rosbag2(tmp_path / name, messages, kind)
        expected = "it has .*/camera/depth/image" if messages else "it holds no messages at all"
        with pytest.raises(SourceError, match=f"no topic with colour or grey images; {expected}"):
            BagSource(path)


def test_damaged_messages_are_errors(tmp_path: Path) -> None:
    from rosbags.rosbag2 import StoragePlugin, Writer

    from aliked_ros.io.messages.ros_types import serialize, standard_typestore

    good = bytes(serialize(image_fields(make_frames(1)[0].image, START_NS, "c"), IMAGE_TYPE))
    for index, (contents, message) in enumerate(
        [
            ([b"\0\1\0\0\1"], "is damaged"),
            ([bytes(40)], "is damaged"),
            ([good, good[:-1]], r"at 1311868169\.163498002 s is damaged"),
            ([good, good[:5]], "a message of /camera/rgb/image_color has 5 bytes only"),
        ]
    ):
        path = tmp_path / str(index)
        with Writer(path, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
            connection = writer.add_connection(TOPICS.image, IMAGE_TYPE, typestore=standard_typestore())
            for offset_ns, content in enumerate(contents):
                writer.write(connection, START_NS + offset_ns, content)
        got, error = read_until_error(path)
        assert len(got) == len(contents) - 1
        assert re.search(message, error)
