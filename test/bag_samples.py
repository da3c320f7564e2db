# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Small frame sequences, and bags of every kind that hold them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as Writer2
from rosbags.typesys import Stores, get_typestore

from aliked_ros.camera import Camera
from aliked_ros.io.bags.topics import CameraTopics
from aliked_ros.io.bags.writer import BagWriter
from aliked_ros.io.frames import Frame, Pose
from aliked_ros.io.messages.fields import Fields
from aliked_ros.io.messages.ros_types import build, serialize, standard_typestore
from aliked_ros.io.messages.sensor_fields import (
    CAMERA_INFO_TYPE,
    IMAGE_TYPE,
    POSE_TYPE,
    camera_info_fields,
    depth_fields,
    image_fields,
    pose_fields,
)

START_NS = 1311868169_163498001
PERIOD_NS = 33_333_333
CAMERA = Camera(64, 48, 50.0, 51.0, 31.5, 23.5, "plumb_bob", (0.1, -0.05, 0.001, 0.002, 0.0))
TOPICS = CameraTopics()
RECORDINGS = ("mcap", "mcap zstd", "sqlite3", "ros1", "ros1 lz4", "ros1 bz2")

Entry = tuple[str, str, Fields, int]  # topic, type, fields, time of recording


def make_frames(count: int = 6, *, grey: bool = False, depth: bool = True, pose: bool = True) -> list[Frame]:
    """Frames of noise: nothing in them can be confused with anything else."""
    rng = np.random.default_rng(count)
    frames = []
    for index in range(count):
        # Multiples of TUM's depth unit, so that PNG files hold them exactly.
        units = rng.integers(0, 65536, (48, 64)).astype(np.float32)
        depth_m = np.where(units == 0, np.float32(np.nan), units / np.float32(5000.0))
        quaternion = rng.normal(size=4)
        frames.append(
            Frame(
                START_NS + index * PERIOD_NS,
                rng.integers(0, 256, (48, 64) if grey else (48, 64, 3), np.uint8),
                depth_m if depth else None,
                Pose(rng.normal(size=3), quaternion / np.linalg.norm(quaternion)) if pose else None,
            )
        )
    return frames


def assert_same_frames(actual: Sequence[Frame], expected: Sequence[Frame]) -> None:
    """Stamps, pixels, depth and poses are the same, bit for bit."""
    assert [frame.stamp_ns for frame in actual] == [frame.stamp_ns for frame in expected]
    for ours, theirs in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(ours.image, theirs.image)
        assert (ours.depth_m is None) == (theirs.depth_m is None)
        if theirs.depth_m is not None:
            np.testing.assert_array_equal(ours.depth_m, theirs.depth_m)
        assert (ours.pose_world_from_camera is None) == (theirs.pose_world_from_camera is None)
        if theirs.pose_world_from_camera is not None:
            for field in dataclasses.fields(Pose):
                np.testing.assert_array_equal(
                    getattr(ours.pose_world_from_camera, field.name),
                    getattr(theirs.pose_world_from_camera, field.name),
                )


def entries(frames: Iterable[Frame], camera: Camera | None = CAMERA) -> list[Entry]:
    """The messages of frames, in the order in which they would be recorded."""
    made: list[Entry] = []
    for frame in frames:
        ns, name = frame.stamp_ns, TOPICS.camera_frame
        if camera is not None:
            made.append((TOPICS.camera_info, CAMERA_INFO_TYPE, camera_info_fields(camera, ns, name), ns))
        made.append((TOPICS.image, IMAGE_TYPE, image_fields(frame.image, ns, name), ns))
        if frame.depth_m is not None:
            made.append((TOPICS.depth, IMAGE_TYPE, depth_fields(frame.depth_m, ns, name), ns))
        if frame.pose_world_from_camera is not None:
            made.append((TOPICS.ground_truth, POSE_TYPE, pose_fields(frame.pose_world_from_camera, ns), ns))
    return made


def write_rosbag2(path: Path, messages: Iterable[Entry], storage: str = "mcap") -> Path:
    """A rosbag 2 folder with any messages, as another recorder would write it."""
    store = standard_typestore()
    with Writer2(path, version=9, storage_plugin=StoragePlugin[storage.upper()]) as writer:
        connections: dict[str, Any] = {}
        for topic, message_type, fields, log_time_ns in messages:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, message_type, typestore=store)
            writer.write(connections[topic], log_time_ns, serialize(fields, message_type, store))
    return path


def write_ros1(path: Path, messages: Iterable[Entry], compression: str | None = None) -> Path:
    """A ROS 1 bag with any messages; its types differ from ROS 2's in the header and in CameraInfo's names."""
    store = get_typestore(Stores.ROS1_NOETIC)
    writer = Writer1(path)
    writer.chunk_threshold = 50_000
    if compression is not None:
        writer.set_compression(Writer1.CompressionFormat[compression.upper()])
    with writer:
        connections: dict[str, Any] = {}
        for sequence, (topic, message_type, fields, log_time_ns) in enumerate(messages):
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, message_type, typestore=store)
            changed = {{"d": "D", "k": "K", "r": "R", "p": "P"}.get(n, n): v for n, v in fields.items()}
            changed["header"] = {"seq": sequence, **fields["header"]}
            message = build(changed, message_type, store)
            writer.write(connections[topic], log_time_ns, store.serialize_ros1(message, message_type))
    return path


def record(folder: Path, kind: str, frames: Sequence[Frame]) -> Path:
    """A bag of one of the RECORDINGS with these frames; the file or folder to open."""
    storage, _, compression = kind.partition(" ")
    if storage == "ros1":
        return write_ros1(folder / "recorded.bag", entries(frames), compression or None)
    path = folder / "recorded"
    with BagWriter(path, CAMERA, storage=storage) as writer:
        for frame in frames:
            writer.write(frame)
    if compression:
        recompress(path)
    return path


def recompress(path: Path) -> None:
    """Rewrites the mcap file of a bag with compressed chunks, as ros2 bag record does by default."""
    from mcap.reader import make_reader
    from mcap.writer import CompressionType, Writer

    file = storage_file(path)
    with file.open("rb") as stream:
        messages = [(s, c, m) for s, c, m in make_reader(stream).iter_messages()]
    with file.open("wb") as stream:
        writer = Writer(stream, chunk_size=30_000, compression=CompressionType.ZSTD)
        writer.start("ros2", "test")
        schemas: dict[str, int] = {}
        channels: dict[str, int] = {}
        for schema, channel, message in messages:
            if schema.name not in schemas:
                schemas[schema.name] = writer.register_schema(schema.name, schema.encoding, schema.data)
            if channel.topic not in channels:
                channels[channel.topic] = writer.register_channel(
                    channel.topic, channel.message_encoding, schemas[schema.name], channel.metadata
                )
            writer.add_message(channels[channel.topic], message.log_time, message.data, message.publish_time)
        writer.finish()


def storage_file(path: Path) -> Path:
    """The file in a bag that holds its messages."""
    if path.is_file():
        return path
    (file,) = [entry for entry in path.iterdir() if entry.suffix in (".mcap", ".db3")]
    return file
