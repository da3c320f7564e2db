# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The node rtabmap_relay: images joined with the tracker's features, as rtabmap's RGBDImage."""

from __future__ import annotations

import array
import importlib
from collections.abc import Callable, Sequence
from typing import Any

from sensor_msgs.msg import CameraInfo, Image

from aliked_msgs.msg import Features
from aliked_ros.camera import Camera
from aliked_ros.errors import AlikedError, MessageError
from aliked_ros.io.messages.message_fields import FeaturesMessage
from aliked_ros.io.messages.rtabmap_fields import UNMEASURED, compress_matrix, points_in_camera
from aliked_ros.ros import qos
from aliked_ros.ros.bridge_config import RTABMAP_RELAY_GROUPS, RtabmapRelayConfig
from aliked_ros.ros.conversions import features_from_message, ns_from_time
from aliked_ros.ros.feature_join import FeatureJoin, JoinedFrame
from aliked_ros.ros.image_conversions import camera_from_info
from aliked_ros.ros.parameters import NodeParameters
from aliked_ros.ros.process import one_line, run_callbacks
from aliked_ros.ros.throttle import ThrottledLog
from aliked_ros.ros.usage import Usage
from aliked_ros.ros.watched_node import WatchedNode

SUMMARY = (
    "Joins images with a tracker's features for rtabmap: takes image, depth, camera_info and tracker/features, "
    "publishes rgbd_image."
)


class BridgeError(AlikedError):
    """The messages of another system are not installed."""


def rtabmap_messages() -> Any:
    """The module of rtabmap's messages.

    Raises:
        BridgeError: it is not installed.
    """
    try:
        return importlib.import_module("rtabmap_msgs.msg")
    except ImportError as error:
        raise BridgeError(
            f"rtabmap_msgs cannot be imported ({one_line(error)}); `sudo apt install ros-$ROS_DISTRO-rtabmap-msgs`, "
            "or build rtabmap_ros in a workspace and source it"
        ) from error


class RtabmapRelayNode(WatchedNode):
    """Joins ``image``, ``depth``, ``camera_info`` and ``tracker/features`` and publishes ``rgbd_image``.

    Args:
        options: of rclpy's Node, such as ``parameter_overrides``.

    Raises:
        BridgeError: rtabmap's messages are not installed.
        ConfigError: a parameter is unknown or out of range.
    """

    def __init__(self, **options: Any) -> None:
        self._messages = rtabmap_messages()
        super().__init__("rtabmap_relay", **options)
        config = NodeParameters(self, RTABMAP_RELAY_GROUPS).get(RtabmapRelayConfig)
        self._rectified = config.rectified
        self._info: CameraInfo | None = None
        log = self.get_logger()
        # Lambdas: rclpy refuses a call site that logs with two severities, and ThrottledLog's would be one.
        self._log_refusal = ThrottledLog(lambda line: log.error(line))
        self._log_drop = ThrottledLog(lambda line: log.warning(line))
        slop_ns = round(config.depth_slop * 1e9) if config.depth else None
        self._join = FeatureJoin(config.queue_size, slop_ns, self._on_drop)
        self._publisher = self.create_publisher(
            self._messages.RGBDImage, "rgbd_image", qos.results(), qos_overriding_options=qos.overridable()
        )
        size = config.queue_size
        self._listen(Image, "image", self._on_image, qos.joined(size))
        if config.depth:
            self._listen(Image, "depth", self._on_depth, qos.joined(size))
        self._listen(CameraInfo, "camera_info", self._on_camera_info, qos.camera_info())
        self._listen(Features, "tracker/features", self._on_features, qos.every_image(size))
        self.watch_topics()

    def _listen(self, kind: Any, topic: str, callback: Callable[[Any], None], profile: Any) -> None:
        self.create_subscription(kind, topic, callback, profile, qos_overriding_options=qos.overridable())

    def _on_image(self, message: Image) -> None:
        self._publish(self._join.put_image(ns_from_time(message.header.stamp), message))

    def _on_depth(self, message: Image) -> None:
        self._publish(self._join.put_depth(ns_from_time(message.header.stamp), message))

    def _on_features(self, message: Features) -> None:
        self._publish(self._join.put_features(ns_from_time(message.header.stamp), message))

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._info = message

    def _on_drop(self, count: int) -> None:
        if count:
            self._log_drop(f"features of {count} images dropped: their image or depth did not come, or came too late")

    def _publish(self, frames: Sequence[JoinedFrame]) -> None:
        for frame in frames:
            self._publish_one(frame)

    def _publish_one(self, frame: JoinedFrame) -> None:
        try:
            self._publisher.publish(self._rgbd_image(frame))
        except AlikedError as error:
            self._log_refusal(f"image not passed on: {one_line(error)}")

    def _rgbd_image(self, frame: JoinedFrame) -> Any:
        info = self._info
        if info is None:
            raise MessageError("no camera_info has come yet, which rtabmap needs; connect camera_info")
        camera = camera_from_info(info, rectified=self._rectified)
        message = self._messages.RGBDImage()
        message.header = frame.image.header
        message.rgb_camera_info = message.depth_camera_info = info
        message.rgb = frame.image
        if frame.depth is not None:
            message.depth = frame.depth
        self._fill_features(message, features_from_message(frame.features), camera)
        return message

    def _fill_features(self, message: Any, found: FeaturesMessage, camera: Camera) -> None:
        features, kinds = found.features, self._messages
        if not len(features):
            # rtabmap would find its own, whose descriptors its dictionary cannot hold beside these.
            raise MessageError("the image has no features, and rtabmap would find its own of another kind in it")
        if not features.descriptors.shape[1]:
            raise MessageError("features have no descriptors, which rtabmap needs; set the tracker's descriptor_dtype")
        message.key_points = [
            kinds.KeyPoint(pt=kinds.Point2f(x=x, y=y), response=score, **UNMEASURED)
            for (x, y), score in zip(features.keypoints_xy.tolist(), features.scores.tolist(), strict=True)
        ]
        points = points_in_camera(features, found.depth_m, camera)
        message.points = [kinds.Point3f(x=x, y=y, z=z) for x, y, z in points.tolist()]
        message.descriptors = array.array("B", compress_matrix(features.descriptors))


def main(arguments: Sequence[str] | None = None) -> int:
    """Relays until a signal ends it and returns the exit code."""
    return run_callbacks(RtabmapRelayNode, arguments, usage=Usage("rtabmap_relay", SUMMARY, RTABMAP_RELAY_GROUPS))


if __name__ == "__main__":
    raise SystemExit(main())
