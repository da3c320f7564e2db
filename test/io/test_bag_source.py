# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Bags as frame sources: every kind, whole and cut off at every place."""

from __future__ import annotations

import dataclasses
import logging
import re
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bag_samples import (
    CAMERA,
    PERIOD_NS,
    RECORDINGS,
    START_NS,
    TOPICS,
    Entry,
    assert_same_frames,
    entries,
    make_frames,
    record,
    storage_file,
    write_ros1,
    write_rosbag2,
)

from aliked_ros.camera import TUM_CAMERAS, Camera
from aliked_ros.errors import ConfigError, SourceError
from aliked_ros.io.bags.join import HOLD_NS
from aliked_ros.io.bags.reader import BagReader
from aliked_ros.io.bags.source import BagSource
from aliked_ros.io.frames import Frame
from aliked_ros.io.messages.fields import header_fields
from aliked_ros.io.messages.sensor_fields import (
    CAMERA_INFO_TYPE,
    COMPRESSED_IMAGE_TYPE,
    IMAGE_TYPE,
    POSE_TYPE,
    camera_info_fields,
    compressed_image_fields,
    depth_fields,
    image_fields,
    pose_fields,
)
from aliked_ros.io.sources.opening import open_source

KINDS = pytest.mark.parametrize("kind", RECORDINGS)
SETTINGS = {"mcap": ".mcap", "sqlite3": ".db3"}


def assert_same_camera(actual: Camera | None, expected: Camera) -> None:
    assert actual is not None
    assert dataclasses.asdict(actual) == dataclasses.asdict(expected)


@KINDS
def test_every_kind_of_bag_gives_the_frames_back(kind: str, tmp_path: Path) -> None:
    frames = make_frames()
    with BagSource(record(tmp_path, kind, frames)) as source:
        assert source.num_frames == len(frames)
        assert_same_camera(source.camera, CAMERA)
        assert_same_frames(list(source), frames)
        assert_same_frames(list(source), frames)  # iterating again starts over


@pytest.mark.parametrize("kind", ["mcap", "sqlite3"])
def test_a_bare_storage_file_is_a_bag(kind: str, tmp_path: Path) -> None:
    frames = make_frames(3)
    file = storage_file(record(tmp_path, kind, frames))
    bare = file.rename(tmp_path / ("bare" + file.suffix))
    with BagSource(bare) as source:
        assert_same_frames(list(source), frames)


@pytest.mark.parametrize("kind", ["mcap", "sqlite3"])
def test_a_folder_without_metadata_is_a_bag(kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What a recorder leaves behind that was killed."""
    frames = make_frames(3)
    path = record(tmp_path, kind, frames)
    (path / "metadata.yaml").unlink()
    with caplog.at_level(logging.WARNING), BagSource(path) as source:
        assert_same_frames(list(source), frames)
    assert "no usable index" in caplog.text


def test_the_files_of_a_split_bag_follow_each_other(tmp_path: Path) -> None:
    frames = make_frames(4)
    path = tmp_path / "split"
    path.mkdir()
    for index, frame in zip((0, 1, 9, 10), frames, strict=True):
        part = storage_file(record(tmp_path, "mcap", [frame]))
        part.rename(path / f"split_{index}.mcap")
        shutil.rmtree(tmp_path / "recorded")
    with BagSource(path) as source:
        assert_same_frames(list(source), frames)


def test_open_source_opens_bags(tmp_path: Path) -> None:
    frames = make_frames(4)
    path = record(tmp_path, "mcap", frames)
    with open_source(str(path), start_s=0.03, duration_s=0.05, image_topic=TOPICS.image) as source:
        assert_same_frames(list(source), frames[1:3])


@pytest.mark.parametrize("kind", ["mcap", "sqlite3", "ros1"])
def test_a_window_is_cut_out(kind: str, tmp_path: Path) -> None:
    frames = make_frames(70)  # longer than the time that recording may lag behind
    path = record(tmp_path, kind, frames)
    with BagSource(path, start_s=1.5, duration_s=0.5) as source:
        assert source.num_frames is None
        chosen = [f for f in frames if 1.5e9 <= f.stamp_ns - START_NS < 2e9]
        assert len(chosen) == 15
        assert_same_frames(list(source), chosen)
    with BagSource(path, start_s=2.0) as source:
        assert_same_frames(list(source), [f for f in frames if f.stamp_ns - START_NS >= 2e9])
    with pytest.raises(SourceError, match=r"no frame between 100 s and the end; the sequence lasts 2\.3"):
        BagSource(path, start_s=100)
    with BagSource(path, start_s=0.001, duration_s=0.001) as source, pytest.raises(SourceError, match="no frame"):
        list(source)
    with pytest.raises(ConfigError, match="start_s must be 0 or more"):
        BagSource(path, start_s=-1)


def test_a_bag_without_extras(tmp_path: Path) -> None:
    frames = make_frames(3, grey=True, depth=False, pose=False)
    path = write_rosbag2(tmp_path / "bag", entries(frames, camera=None))
    with BagSource(path) as source:
        assert source.camera is None
        assert_same_frames(list(source), frames)
    with BagSource(path, camera=CAMERA) as source:
        assert source.camera is CAMERA


@pytest.mark.parametrize("compression", ["png", "jpeg"])
def test_compressed_images_are_decoded(compression: str, tmp_path: Path) -> None:
    frames = make_frames(3, depth=False, pose=False)
    messages = [
        (
            TOPICS.compressed_image,
            COMPRESSED_IMAGE_TYPE,
            compressed_image_fields(f.image, f.stamp_ns, "c", compression),
            f.stamp_ns,
        )
        for f in frames
    ]
    messages += [m for m in entries(frames) if m[1] == CAMERA_INFO_TYPE]
    messages.sort(key=lambda m: m[3])
    with BagSource(write_rosbag2(tmp_path / "bag", messages)) as source:
        assert_same_camera(source.camera, CAMERA)
        got = list(source)
    if compression == "png":
        assert_same_frames(got, frames)
    else:
        assert [f.image.shape for f in got] == [f.image.shape for f in frames]


def test_the_raw_topic_is_preferred_to_its_compressed_copy(tmp_path: Path) -> None:
    frames = make_frames(2)
    twin = [
        (m[0] + "/compressed", COMPRESSED_IMAGE_TYPE, compressed_image_fields(f.image, f.stamp_ns, "c"), f.stamp_ns)
        for f, m in zip(frames, (m for m in entries(frames) if m[0] == TOPICS.image), strict=True)
    ]
    # The transport of compressed depth has the same type, and no picture in it.
    fields = {
        "header": header_fields(START_NS, "c"),
        "format": "16UC1; compressedDepth png",
        "data": np.zeros(9, np.uint8),
    }
    depth = (TOPICS.depth + "/compressedDepth", COMPRESSED_IMAGE_TYPE, fields, START_NS)
    with BagSource(write_rosbag2(tmp_path / "bag", [*entries(frames), *twin, depth])) as source:
        assert source.streams.image == TOPICS.image
        assert_same_frames(list(source), frames)


def stereo(tmp_path: Path) -> tuple[Path, list[Frame], list[Frame]]:
    left, right = make_frames(3, depth=False, pose=False), make_frames(4, depth=False, pose=False)
    messages: list[Entry] = []
    for side, frames, camera in (("left", left, CAMERA), ("right", right, TUM_CAMERAS["fr1"])):
        for f in frames:
            messages.append((f"/{side}/image_raw", IMAGE_TYPE, image_fields(f.image, f.stamp_ns, "c"), f.stamp_ns))
            info = camera_info_fields(camera, f.stamp_ns, "c")
            messages.append((f"/{side}/camera_info", CAMERA_INFO_TYPE, info, f.stamp_ns))
    messages.sort(key=lambda m: m[3])
    return write_rosbag2(tmp_path / "stereo", messages), left, right


def test_two_cameras_need_a_choice(tmp_path: Path) -> None:
    path, left, right = stereo(tmp_path)
    with pytest.raises(SourceError, match=r"several topics with images; it has .*/left/image_raw \(sensor_msgs"):
        BagSource(path)
    with BagSource(path, image_topic="/left/image_raw") as source:
        assert_same_camera(source.camera, CAMERA)
        assert_same_frames(list(source), left)
    with BagSource(path, image_topic="/right/image_raw") as source:
        assert_same_camera(source.camera, TUM_CAMERAS["fr1"])
        assert_same_frames(list(source), right)
    with pytest.raises(SourceError, match=r"no messages of .*Image.* on /up/image_raw; it has .*/left/camera_info"):
        BagSource(path, image_topic="/up/image_raw")
    with pytest.raises(SourceError, match="on /left/camera_info"):
        BagSource(path, image_topic="/left/camera_info")


def test_ambiguous_extras_are_left_out_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    frames = make_frames(2)
    more = [("/other/depth", IMAGE_TYPE, depth_fields(f.depth_m, f.stamp_ns, "c"), f.stamp_ns) for f in frames] + [
        ("/GroundTruth", POSE_TYPE, pose_fields(f.pose_world_from_camera, f.stamp_ns), f.stamp_ns) for f in frames
    ]
    path = write_rosbag2(tmp_path / "bag", sorted([*entries(frames), *more], key=lambda m: m[3]))
    with caplog.at_level(logging.WARNING), BagSource(path) as source:
        (first, _) = list(source)
        assert first.depth_m is None
        assert first.pose_world_from_camera is None
    assert "several depth topics, none is used: /camera/depth/image, /other/depth" in caplog.text
    assert "several ground truth topics" in caplog.text
    with BagSource(path, depth_topic="/other/depth", pose_topic="/GroundTruth") as source:
        assert_same_frames(list(source), frames)


def test_a_pose_of_something_else_is_no_ground_truth(tmp_path: Path) -> None:
    (frame,) = make_frames(1, depth=False)
    messages = [m for m in entries([frame]) if m[0] == TOPICS.image]
    messages.append(("/move_base/goal", POSE_TYPE, pose_fields(frame.pose_world_from_camera, START_NS), START_NS))
    with BagSource(write_rosbag2(tmp_path / "bag", messages)) as source:
        assert next(iter(source)).pose_world_from_camera is None


def joined(tmp_path: Path, depth_offsets_ns: dict[int, int], delays_ns: dict[int, int] | None = None) -> list[Any]:
    """Depth of frame i, offset in time, marked by its value; the frames' depth as those marks."""
    frames = make_frames(4, depth=False, pose=False)
    messages = entries(frames)
    for index, offset_ns in depth_offsets_ns.items():
        stamp_ns = frames[index].stamp_ns + offset_ns
        depth_m = np.full((48, 64), index + 1, np.float32)
        log_ns = stamp_ns + (delays_ns or {}).get(index, 0)
        messages.append((TOPICS.depth, IMAGE_TYPE, depth_fields(depth_m, stamp_ns, "c"), log_ns))
    messages.sort(key=lambda m: m[3])
    path = tmp_path / "joined"
    shutil.rmtree(path, ignore_errors=True)
    with BagSource(write_rosbag2(path, messages)) as source:
        return [None if f.depth_m is None else int(f.depth_m[0, 0]) - 1 for f in source]


def test_depth_is_joined_to_the_nearest_image_within_20_ms(tmp_path: Path) -> None:
    assert joined(tmp_path, dict.fromkeys(range(4), 0)) == [0, 1, 2, 3]
    assert joined(tmp_path, {0: 15_000_000, 1: -15_000_000, 2: 0, 3: 12_000_000}) == [0, 1, 2, 3]
    assert joined(tmp_path, {0: 19_999_999}) == [None, 0, None, None]  # the next image is nearer
    assert joined(tmp_path, {3: 19_999_999}) == [None, None, None, 3]
    assert joined(tmp_path, {3: 20_000_000}) == [None] * 4
    assert joined(tmp_path, {0: -20_000_000}) == [None] * 4
    assert joined(tmp_path, {1: 1_000_000, 2: 0}) == [None, 1, 2, None]


def test_depth_that_was_recorded_late_is_joined(tmp_path: Path) -> None:
    late = dict.fromkeys(range(4), HOLD_NS - PERIOD_NS)
    assert joined(tmp_path, dict.fromkeys(range(4), 0), late) == [0, 1, 2, 3]
    # 0.3 s after its image the depth of the first is too late, for the images after it moved the clock on.
    frames = make_frames(12, depth=False, pose=False)
    depth = depth_fields(np.ones((48, 64), np.float32), START_NS, "c")
    messages = [*entries(frames), (TOPICS.depth, IMAGE_TYPE, depth, START_NS + 300_000_000)]
    path = write_rosbag2(tmp_path / "late", sorted(messages, key=lambda m: m[3]))
    with BagSource(path) as source:
        assert all(frame.depth_m is None for frame in source)


def test_depth_is_used_once(tmp_path: Path) -> None:
    """Halfway between two images it goes to the earlier one only."""
    half = PERIOD_NS // 2
    frames = make_frames(2, depth=False, pose=False)
    frames[1] = dataclasses.replace(frames[1], stamp_ns=START_NS + 2 * half)
    depth = (
        TOPICS.depth,
        IMAGE_TYPE,
        depth_fields(np.ones((48, 64), np.float32), START_NS + half, "c"),
        START_NS + half,
    )
    path = write_rosbag2(tmp_path / "bag", sorted([*entries(frames), depth], key=lambda m: m[3]))
    with BagSource(path) as source:
        assert [f.depth_m is not None for f in source] == [True, False]


def test_a_clock_that_jumps_back_goes_on(tmp_path: Path) -> None:
    """A recording over a restarted player: stamps repeat, recording times do not."""
    frames = make_frames(4)
    again = [(t, k, f, ns + 10 * 10**9) for t, k, f, ns in entries(frames)]
    with BagSource(write_rosbag2(tmp_path / "bag", entries(frames) + again)) as source:
        assert_same_frames(list(source), [*frames, *frames])


def test_images_without_stamps_have_the_recording_time(tmp_path: Path) -> None:
    frames = make_frames(3, depth=False, pose=False)
    messages = [(TOPICS.image, IMAGE_TYPE, image_fields(f.image, 0, "c"), f.stamp_ns) for f in frames]
    for path in (write_rosbag2(tmp_path / "bag", messages), write_ros1(tmp_path / "one.bag", messages)):
        with BagSource(path) as source:
            assert_same_frames(list(source), frames)


def test_depth_of_another_size_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (frame,) = make_frames(1)
    messages = [m for m in entries([frame]) if m[0] != TOPICS.depth]
    depth = depth_fields(np.ones((24, 32), np.float32), START_NS, "c")
    path = write_rosbag2(tmp_path / "bag", [*messages, (TOPICS.depth, IMAGE_TYPE, depth, START_NS)])
    with caplog.at_level(logging.WARNING), BagSource(path) as source:
        assert next(iter(source)).depth_m is None
    assert "depth of 32×24 pixels is not aligned with images of 64×48" in caplog.text


@pytest.mark.parametrize("k", [np.zeros(9), np.full(9, np.nan)])
def test_a_calibration_that_cannot_be_is_not_used(
    k: np.ndarray, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    messages = [(t, n, {**f, "k": k} if n == CAMERA_INFO_TYPE else f, ns) for t, n, f, ns in entries(make_frames(1))]
    with caplog.at_level(logging.WARNING), BagSource(write_rosbag2(tmp_path / "bag", messages)) as source:
        assert source.camera is None
    assert "camera_info is not used" in caplog.text


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


def test_the_reader_tells_what_is_in_a_bag(tmp_path: Path) -> None:
    frames = make_frames(5)
    with BagReader(record(tmp_path, "mcap", frames)) as reader:
        assert reader.is_indexed
        assert [(t.name, t.message_type, t.count) for t in reader.topics] == [
            (TOPICS.depth, IMAGE_TYPE, 5),
            (TOPICS.ground_truth, POSE_TYPE, 5),
            (TOPICS.camera_info, CAMERA_INFO_TYPE, 5),
            (TOPICS.image, IMAGE_TYPE, 5),
        ]
        assert (reader.start_ns, reader.end_ns) == (START_NS, frames[-1].stamp_ns)
        assert list(reader.messages(["/nothing"])) == []


def test_messages_with_unused_bytes_behind_them_are_read(tmp_path: Path) -> None:
    """rclpy.serialization appends up to four; scripts write bags with it."""
    from rosbags.rosbag2 import StoragePlugin, Writer

    from aliked_ros.io.messages.ros_types import serialize, standard_typestore

    (frame,) = make_frames(1, depth=False, pose=False)
    with Writer(tmp_path / "bag", version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection(TOPICS.image, IMAGE_TYPE, typestore=standard_typestore())
        data = serialize(image_fields(frame.image, START_NS, "c"), IMAGE_TYPE)
        writer.write(connection, START_NS, bytes(data) + b"\0S\0\0")
    with BagSource(tmp_path / "bag") as source:
        assert_same_frames(list(source), [frame])


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
