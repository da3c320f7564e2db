# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Bags as frame sources: every kind, and what is chosen from them."""

from __future__ import annotations

import dataclasses
import logging
import shutil
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
