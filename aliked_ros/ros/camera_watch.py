# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What /diagnostics tells of a camera's inputs: whence they come, whether they do, and what is made of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rclpy.node import Node

from aliked_ros.ros.finding import Finding, joined
from aliked_ros.ros.monitor import Monitor
from aliked_ros.ros.node_config import TrackerNodeConfig
from aliked_ros.ros.silence import SilenceWatch
from aliked_ros.transport import examine_transport

if TYPE_CHECKING:
    from aliked_ros.camera import Camera
    from aliked_ros.frontend.frontend import FrameResult

_PATIENCE_S = 5.0  # for an answer to an image


class CameraWatch:
    """Remembers what came of a camera and says what is wrong with it.

    Args:
        node: subscribes.
        image_topic: full name.
        depth_topic: full name.
        config: how images are taken.
        monitor: counts.
    """

    def __init__(
        self, node: Node, image_topic: str, depth_topic: str, config: TrackerNodeConfig, monitor: Monitor
    ) -> None:
        self._images = SilenceWatch(node, image_topic, "image", monitor.seconds_without_image)
        self._depths = SilenceWatch(node, depth_topic, "depth", monitor.seconds_without_depth)
        self._config = config
        self._monitor = monitor
        self._image_bytes = 0  # of the last one
        self._complaints: tuple[str, ...] = ()  # of the last result
        transport = examine_transport(os.environ, Path.cwd())
        self._largest_bytes = None if transport is None else transport.largest_bytes

    def use(self, config: TrackerNodeConfig) -> None:
        """Other live settings."""
        self._config = config

    def image_came(self, num_bytes: int) -> None:
        """An image of this size has come."""
        self._image_bytes = num_bytes

    def image_processed(self, result: FrameResult) -> None:
        """This was found in an image."""
        self._complaints = result.complaints

    def finding(self, camera: Camera | None, source: str) -> Finding:
        """For the executor's thread.

        Args:
            camera: the calibration in use.
            source: whence it is.
        """
        images = self._images()
        parts = [images, self._depths()] if self._config.depth else [images]
        warnings = [*self._complaints, *self._too_large(), *(() if images.warning else self._unanswered())]
        parts.append(Finding({"calibration": _shown(camera, source)}, "; ".join(warnings)))
        return joined(parts)

    def _unanswered(self) -> Iterator[str]:
        unanswered_s, max_rate_hz = self._monitor.seconds_without_answer(), self._config.max_rate
        patience_s = _PATIENCE_S if max_rate_hz == 0 else max(_PATIENCE_S, 2 / max_rate_hz)
        if unanswered_s > patience_s:
            yield (
                f"no image was processed for {unanswered_s:.0f} s, though they come: others are processed in their "
                "place, or one takes so long; lower max_keypoints, max_rate, or the number of cameras"
            )

    def _too_large(self) -> Iterator[str]:
        size, room = self._image_bytes, self._largest_bytes
        if room is not None and size > room:
            yield (
                f"images of {size / 1e6:.1f} MB do not fit the {room / 1e6:.1f} MB of shared memory: between processes "
                "of one machine most are lost; use fastdds_profile:=one_machine, or compressed images "
                "(docs/deployment.md)"
            )


def _shown(camera: Camera | None, source: str) -> str:
    return "none" if camera is None else f"{source}: {camera.width}×{camera.height}, {camera.distortion_model}"
