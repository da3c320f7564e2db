# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The topics of the odometry node: odometry and TF with every frame, path and map where someone looks."""

from __future__ import annotations

import time

from nav_msgs.msg import Odometry, Path
from rclpy.node import Node
from sensor_msgs.msg import PointCloud2

from aliked_ros.ros import qos
from aliked_ros.ros.conversions import header_of
from aliked_ros.ros.localiser import Localiser
from aliked_ros.ros.odometry_config import OdometryConfig
from aliked_ros.ros.odometry_frames import OdometryFrames, Placed
from aliked_ros.ros.odometry_messages import cloud_message, odometry_message, pose_stamped, transform_message
from aliked_ros.ros.publishing import is_wanted
from aliked_ros.ros.transforms import Transforms
from aliked_ros.slam.backend import Outcome


class OdometryPublisher:
    """Publishes where the camera is and what the map holds.

    Args:
        node: publishes.
        config: names of the frames, and how much is published.
        transforms: for /tf.
    """

    def __init__(self, node: Node, config: OdometryConfig, transforms: Transforms) -> None:
        self._config = config
        self._transforms = transforms
        self._odometry, self._path, self._points = (
            node.create_publisher(kind, topic, profile, qos_overriding_options=qos.overridable())
            for kind, topic, profile in (
                (Odometry, "~/odometry", qos.results()),
                (Path, "~/path", qos.status()),  # a viewer that comes late sees what there is
                (PointCloud2, "~/map_points", qos.status()),
            )
        )
        self.reset()

    def reset(self) -> None:
        """A new map is to be shown at once."""
        self._points_at_s: float | None = None
        self._is_path_new = True

    def publish(
        self, placed: Placed | None, outcome: Outcome, localiser: Localiser, frames: OdometryFrames, frame_id: str
    ) -> None:
        """Publishes the outcome of one frame; a lost camera has no pose, and its map goes on being shown."""
        if placed is None:
            return
        child = self._config.base_frame or frame_id
        self._transforms.send(self._tree(placed, child))
        self._odometry.publish(odometry_message(placed, self._config.odom_frame, child))
        self._is_path_new |= outcome.is_keyframe
        self._publish_path(placed.stamp_ns, localiser, frames)
        self._publish_points(placed.stamp_ns, localiser, frames)

    def _tree(self, placed: Placed, child: str) -> list[object]:
        config, stamp_ns = self._config, placed.stamp_ns
        return [
            transform_message(placed.map_from_odom, stamp_ns, config.map_frame, config.odom_frame),
            transform_message(placed.pose_odom_from_child, stamp_ns, config.odom_frame, child),
        ]

    def _publish_path(self, stamp_ns: int, localiser: Localiser, frames: OdometryFrames) -> None:
        """The keyframes' poses: those of all frames would be corrected and sent again at every loop."""
        if not self._is_path_new or not is_wanted(self._path):
            return
        poses = localiser.keyframe_poses()[-self._config.path_length :]
        frame = self._config.map_frame
        message = Path(header=header_of(stamp_ns, frame))
        message.poses = [pose_stamped(frames.in_map(pose), stamp, frame) for stamp, pose in poses]
        self._path.publish(message)
        self._is_path_new = False

    def _publish_points(self, stamp_ns: int, localiser: Localiser, frames: OdometryFrames) -> None:
        now = time.monotonic()
        due = self._points_at_s is None or now - self._points_at_s >= self._config.map_period
        if not due or not is_wanted(self._points):
            return
        points = frames.points(localiser.points())
        self._points.publish(cloud_message(points, stamp_ns, self._config.map_frame))
        self._points_at_s = now
