# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Writes camera sequences as rosbag 2, readable by every release from Humble on, without ROS."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Final

from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer, WriterError

from aliked_ros.camera import Camera
from aliked_ros.errors import ConfigError, SourceError
from aliked_ros.io.bags.topics import CameraTopics
from aliked_ros.io.frames import Frame
from aliked_ros.io.messages.fields import Fields
from aliked_ros.io.messages.ros_types import serialize, standard_typestore
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

STORAGES = ("mcap", "sqlite3")
COMPRESSIONS = ("jpeg", "png")

# Metadata of version 9 writes QoS in a way that Humble's and Iron's rosbag 2 cannot parse; Jazzy and Kilted read 8.
_METADATA_VERSION: Final = 8
_UNSPECIFIED = QosTime(0, 0)
_WRITE_ERRORS = (WriterError, OSError, sqlite3.Error)
RELIABLE_QOS = Qos(
    QosHistory.KEEP_LAST,
    10,
    QosReliability.RELIABLE,
    QosDurability.VOLATILE,
    _UNSPECIFIED,
    _UNSPECIFIED,
    QosLiveliness.AUTOMATIC,
    _UNSPECIFIED,
    avoid_ros_namespace_conventions=False,
)


class BagWriter:
    """A new rosbag 2 folder that frames are written to.

    Colour or grey images, and, where the source has them, the calibration with every image, depth as 32FC1 in
    metres, and ground truth as the pose of the camera's optical frame in the world. All messages of a frame
    carry its stamp, and the bag's clock is the stamps'. Used as a context manager: what is written is complete
    when the block ends, and not playable when it fails.

    Args:
        path: the folder to make; it must not exist.
        camera: the calibration, where there is one.
        storage: ``mcap`` or ``sqlite3``.
        compression: ``jpeg`` or ``png`` for CompressedImage messages, ``None`` for raw images.
        topics: names of topics and frames; those of TUM's bags unless given.

    Raises:
        ConfigError: unknown storage or compression.
        SourceError: the folder exists or cannot be written.
    """

    def __init__(
        self,
        path: Path,
        camera: Camera | None = None,
        *,
        storage: str = "mcap",
        compression: str | None = None,
        topics: CameraTopics | None = None,
    ) -> None:
        if storage not in STORAGES:
            raise ConfigError(f"storage must be one of {', '.join(STORAGES)}, got {storage!r}")
        if compression is not None and compression not in COMPRESSIONS:
            raise ConfigError(f"compression must be one of {', '.join(COMPRESSIONS)}, got {compression!r}")
        self._path = path
        self._camera = camera
        self._compression = compression
        self._topics = topics or CameraTopics()
        self._store = standard_typestore()
        self._connections: dict[str, Connection] = {}
        try:
            self._writer = Writer(path, version=_METADATA_VERSION, storage_plugin=StoragePlugin[storage.upper()])
            self._writer.set_custom_data("written_by", "aliked_ros")
            self._writer.open()
        except _WRITE_ERRORS as error:
            raise SourceError(f"{path}: cannot write a bag there ({error})") from error

    def write(self, frame: Frame) -> None:
        """Appends one frame; frames come in the order of their stamps.

        Raises:
            SourceError: the disk is full or the file cannot be written, or the stamp is negative.
            MessageError: the stamp does not fit into a ROS message.
        """
        topics, stamp_ns = self._topics, frame.stamp_ns
        if stamp_ns < 0:
            raise SourceError(f"{self._path}: a bag's stamps cannot be negative, got {stamp_ns} ns")
        if self._camera is not None:
            info = camera_info_fields(self._camera, stamp_ns, topics.camera_frame)
            self._put(topics.camera_info, CAMERA_INFO_TYPE, info, stamp_ns)
        if self._compression is None:
            image = image_fields(frame.image, stamp_ns, topics.camera_frame)
            self._put(topics.image, IMAGE_TYPE, image, stamp_ns)
        else:
            image = compressed_image_fields(frame.image, stamp_ns, topics.camera_frame, self._compression)
            self._put(topics.compressed_image, COMPRESSED_IMAGE_TYPE, image, stamp_ns)
        if frame.depth_m is not None:
            depth = depth_fields(frame.depth_m, stamp_ns, topics.camera_frame)
            self._put(topics.depth, IMAGE_TYPE, depth, stamp_ns)
        if frame.pose_world_from_camera is not None:
            pose = pose_fields(frame.pose_world_from_camera, stamp_ns, topics.world_frame)
            self._put(topics.ground_truth, POSE_TYPE, pose, stamp_ns)

    def close(self) -> None:
        """Completes the bag: its index and metadata.yaml."""
        try:
            self._writer.close()
        except _WRITE_ERRORS as error:
            raise SourceError(f"{self._path}: the bag cannot be completed ({error})") from error

    def abort(self) -> None:
        """Gives the files back without completing the bag."""
        self._writer.abort()

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def _put(self, topic: str, message_type: str, fields: Fields, stamp_ns: int) -> None:
        try:
            if topic not in self._connections:
                self._connections[topic] = self._writer.add_connection(
                    topic, message_type, typestore=self._store, offered_qos_profiles=[RELIABLE_QOS]
                )
            self._writer.write(self._connections[topic], stamp_ns, serialize(fields, message_type, self._store))
        except _WRITE_ERRORS as error:
            raise SourceError(f"{self._path}: {topic} cannot be written ({error})") from error
