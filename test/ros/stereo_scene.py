# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Two rectified cameras that are moved through a simulated scene, as drivers of topics."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from nav_msgs.msg import Odometry
from node_harness import Station
from qos_samples import repeat_until
from sensor_msgs.msg import CameraInfo, Image

from aliked_ros.io.frames import Pose
from aliked_ros.io.sources.window import NS_PER_S
from aliked_ros.ros.conversions import ns_from_time
from aliked_ros.ros.image_conversions import image_message, info_from_camera
from aliked_ros.sim.config import SimulationConfig
from aliked_ros.sim.simulation import START_NS, simulate

BASELINE_M = 0.12
_SIDES = {"left": 0.0, "right": BASELINE_M}
_RATE_HZ = 10.0


class StereoScene:
    """Publishes both cameras' images and calibrations below ``namespace``, and compares odometry with the truth.

    Args:
        station: publishes, and subscribes to ``/odometry/odometry``.
        namespace: of the two cameras' namespaces.
    """

    def __init__(self, station: Station, namespace: str = "") -> None:
        self._station = station
        self._source = simulate(SimulationConfig(scene="desk", width=480, height=360, rate_hz=_RATE_HZ))
        self._publishers = {
            side: (
                station.publisher(Image, f"{namespace}/{side}/image"),
                station.publisher(CameraInfo, f"{namespace}/{side}/camera_info"),
            )
            for side in _SIDES
        }
        station.subscribe(Odometry, "/odometry/odometry")

    def drive(self, count: int) -> list[tuple[Pose, np.ndarray]]:
        """The left camera's poses and the positions that odometry gave for them, image by image in lock step."""
        self._wait_at_the_start()
        found = []
        for index in range(count):
            pose = self._source.scene.trajectory(index / _RATE_HZ)
            stamp_ns = START_NS + round(1e9 * index / _RATE_HZ)
            self._publish(stamp_ns, pose)
            found.append((pose, self._odometry(stamp_ns)))
        return found

    def _wait_at_the_start(self) -> None:
        """Sends the first images until all know each other and there is odometry of them."""
        stamps_ns = itertools.count(START_NS - NS_PER_S * 3600, NS_PER_S // 10)
        first = self._source.scene.trajectory(0.0)
        repeat_until(
            lambda: self._publish(next(stamps_ns), first),
            lambda: bool(self._station.messages("/odometry/odometry")),
            "odometry",
        )

    def _publish(self, stamp_ns: int, pose: Pose) -> None:
        seen = {side: self._image(pose, x_m) for side, x_m in _SIDES.items()}  # first, for both go out together
        for side, x_m in _SIDES.items():
            images, infos = self._publishers[side]
            info = info_from_camera(self._source.camera, stamp_ns, side)
            info.p[3] = -info.p[0] * x_m
            infos.publish(info)
            images.publish(image_message(seen[side], stamp_ns, side))

    def _image(self, pose: Pose, x_m: float) -> np.ndarray:
        """What a camera sees that is so far to the right."""
        shifted = Pose.from_rotation(pose.rotation, pose.to_world(np.array([[x_m, 0.0, 0.0]]))[0])
        return self._source.renderer.image(shifted)

    def _odometry(self, stamp_ns: int) -> np.ndarray:
        def is_meant(message: Any) -> bool:
            return ns_from_time(message.header.stamp) == stamp_ns

        position = self._station.wait_for("/odometry/odometry", is_meant).pose.pose.position
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
