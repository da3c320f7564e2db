# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Two rectified cameras that are moved through a simulated scene, as drivers of topics."""

from __future__ import annotations

import itertools

import numpy as np
from nav_msgs.msg import Odometry
from node_harness import Station, has_stamp
from qos_samples import repeat_until
from sensor_msgs.msg import CameraInfo, Image

from aliked_ros.io.frames import Frame, Pose
from aliked_ros.io.sources.window import NS_PER_S
from aliked_ros.ros.image_conversions import image_message, info_from_camera
from aliked_ros.sim.config import SimulationConfig
from aliked_ros.sim.simulation import simulate

_CONFIG = SimulationConfig(scene="desk", width=480, height=360, rate_hz=10.0, baseline_m=0.12)


class StereoScene:
    """Publishes both cameras' images and calibrations below ``namespace``, and compares odometry with the truth.

    Args:
        station: publishes, and subscribes to ``/odometry/odometry``.
        namespace: of the two cameras' namespaces.
    """

    def __init__(self, station: Station, namespace: str = "") -> None:
        self._station = station
        self._source = simulate(_CONFIG)
        self._publishers = {
            side: (
                station.publisher(Image, f"{namespace}/{side}/image"),
                station.publisher(CameraInfo, f"{namespace}/{side}/camera_info"),
            )
            for side in ("left", "right")
        }
        station.subscribe(Odometry, "/odometry/odometry")

    def drive(self, count: int) -> list[tuple[Pose, np.ndarray]]:
        """The left camera's poses and the positions that odometry gave for them, image by image in lock step."""
        self._wait_at_the_start()
        found = []
        for frame in itertools.islice(self._source, count):
            self._publish(frame, frame.stamp_ns)
            assert frame.pose_world_from_camera is not None
            found.append((frame.pose_world_from_camera, self._odometry(frame.stamp_ns)))
        return found

    def _wait_at_the_start(self) -> None:
        """Sends the first images until all know each other and there is odometry of them."""
        first = self._source.frame(0)
        stamps_ns = itertools.count(first.stamp_ns - 3600 * NS_PER_S, NS_PER_S // 10)
        repeat_until(
            lambda: self._publish(first, next(stamps_ns)),
            lambda: bool(self._station.messages("/odometry/odometry")),
            "odometry",
        )

    def _publish(self, frame: Frame, stamp_ns: int) -> None:
        assert frame.right_image is not None
        for side, image, x_m in (("left", frame.image, 0.0), ("right", frame.right_image, self._source.baseline_m)):
            images, infos = self._publishers[side]
            info = info_from_camera(self._source.camera, stamp_ns, side)
            info.p[3] = -info.p[0] * x_m
            infos.publish(info)
            images.publish(image_message(image, stamp_ns, side))

    def _odometry(self, stamp_ns: int) -> np.ndarray:
        position = self._station.wait_for("/odometry/odometry", has_stamp(stamp_ns)).pose.pose.position
        return np.array([position.x, position.y, position.z])


def errors_m(driven: list[tuple[Pose, np.ndarray]]) -> np.ndarray:
    """How far each position is from the truth, metres; both as the first image saw them."""
    first = driven[0][0]
    # Odometry's axes are the robot's: x forward, y left, z up (REP 103).
    truth = np.array([first.to_camera(pose.position_xyz[None])[0] for pose, _ in driven])[:, [2, 0, 1]] * [1, -1, -1]
    return np.asarray(np.linalg.norm(truth - np.array([position for _, position in driven]), axis=1))


def path_length_m(driven: list[tuple[Pose, np.ndarray]]) -> float:
    """How far the left camera was moved."""
    positions = np.array([pose.position_xyz for pose, _ in driven])
    return float(np.linalg.norm(np.diff(positions, axis=0), axis=1).sum())
