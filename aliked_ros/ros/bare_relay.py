# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""A bare relay of images: what passing an image through any node written with rclpy costs, to compare others with."""

from __future__ import annotations

from collections.abc import Sequence

from rclpy.node import Node
from sensor_msgs.msg import Image

from aliked_ros.ros import qos
from aliked_ros.ros.process import run_callbacks


class RelayNode(Node):  # type: ignore[misc]  # rclpy may not be installed where types are checked
    """Publishes every image again as it came, from ``image`` to ``~/image``, with the tracker's quality of service."""

    def __init__(self) -> None:
        super().__init__("relay")
        publisher = self.create_publisher(Image, "~/image", qos.results())
        self.create_subscription(Image, "image", publisher.publish, qos.newest_image())


def main(arguments: Sequence[str] | None = None) -> int:
    """Relays until a signal ends it and returns the exit code."""
    return run_callbacks(RelayNode, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
