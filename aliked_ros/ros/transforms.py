# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""TF where tf2_ros is installed: it is not among the wheels that stand in for an installed ROS 2."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from rclpy.time import Time

from aliked_ros.errors import ConfigError
from aliked_ros.ros.odometry_messages import matrix_of
from aliked_ros.slam.geometry import FloatArray

_REMEDY = "install it with ROS 2 (ros-$ROS_DISTRO-tf2-ros)"


class Transforms:
    """Publishes transforms, and looks up fixed ones.

    Args:
        node: publishes and subscribes.
        is_published: whether transforms are wanted on /tf.
        base_frame: whose transform to the camera will be looked up; empty where none will.

    Raises:
        ConfigError: a transform is to be looked up and tf2_ros is not installed.
    """

    def __init__(self, node: Node, *, is_published: bool, base_frame: str) -> None:
        self._base_frame = base_frame
        self._broadcaster: Any = None
        self._buffer: Any = None
        if not (is_published or base_frame):
            return
        try:
            tf2_ros = importlib.import_module("tf2_ros")
        except ImportError as error:
            if base_frame:
                raise ConfigError(
                    f"base_frame {base_frame!r} needs tf2_ros, which is not here: {_REMEDY}, or leave base_frame empty"
                ) from error
            node.get_logger().info(f"no TF: tf2_ros is not here; {_REMEDY}")
            return
        if is_published:
            self._broadcaster = tf2_ros.TransformBroadcaster(node)
        if base_frame:
            self._buffer = tf2_ros.Buffer()
            self._listener = tf2_ros.TransformListener(self._buffer, node)
            self._failure = tf2_ros.TransformException

    @property
    def is_published(self) -> bool:
        """Whether transforms go to /tf."""
        return self._broadcaster is not None

    def send(self, transforms: Sequence[TransformStamped]) -> None:
        """Publishes transforms, where they are wanted and can be."""
        if self._broadcaster is not None:
            self._broadcaster.sendTransform(list(transforms))

    def base_from_camera(self, camera_frame: str) -> FloatArray:
        """The camera's pose (4, 4) on the robot.

        Raises:
            ConfigError: nobody has published it yet.
        """
        try:
            return matrix_of(self._buffer.lookup_transform(self._base_frame, camera_frame, Time()))
        except self._failure as error:
            raise ConfigError(
                f"no transform from {camera_frame!r} to {self._base_frame!r}: {error}; publish it on /tf_static, "
                "as robot_state_publisher does, or leave base_frame empty"
            ) from error
