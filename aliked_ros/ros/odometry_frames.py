# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The backend's poses in the frames of REP 105: map, odom and base; and with the axes of REP 103.

The backend's world is the optical frame of the first camera: z forward, y down. A robot's map has x forward and z up.
A pose in ``odom`` moves without a jump while the camera is tracked; what a closed loop corrects goes into the
transform from map to odom. After a loss the motion in between is unknown, and the pose in ``odom`` jumps too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aliked_ros.slam.backend import Outcome, State
from aliked_ros.slam.geometry import FloatArray, inverse, make_pose, rotation_vector, skew, transform

# REP 103: the axes x right, y down, z forward of an optical frame, in a body's x forward, y left, z up.
BODY_FROM_OPTICAL = make_pose(np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]), np.zeros(3))


@dataclass(frozen=True, eq=False)
class Velocity:
    """Motion of the child frame, seen from itself."""

    linear: FloatArray  # (3,) m/s
    angular: FloatArray  # (3,) rad/s
    covariance: FloatArray | None  # (6, 6) of (linear, angular); None where it is not known


@dataclass(frozen=True, eq=False)
class Placed:
    """Where the child frame, base or camera, is."""

    stamp_ns: int
    pose_odom_from_child: FloatArray  # (4, 4)
    pose_map_from_child: FloatArray  # (4, 4)
    map_from_odom: FloatArray  # (4, 4)
    covariance: FloatArray | None  # (6, 6) of (translation, rotation) about odom's axes; None where it is not known
    velocity: Velocity | None  # None in the first frame and after a loss


class OdometryFrames:
    """Follows the backend's outcomes.

    Args:
        base_from_camera: the camera on the robot, (4, 4); ``None`` where poses are those of the camera itself.
    """

    def __init__(self, base_from_camera: FloatArray | None = None) -> None:
        self._child_from_camera = np.eye(4) if base_from_camera is None else base_from_camera
        # The map begins where the child is at the start: level with the robot, or with the camera.
        self._map_from_world = BODY_FROM_OPTICAL if base_from_camera is None else base_from_camera
        self.reset()

    def reset(self) -> None:
        """Begins a new map."""
        self._map_from_odom = np.eye(4)
        self._last: Placed | None = None

    def place(self, outcome: Outcome) -> Placed | None:
        """Where the child frame is by this outcome; ``None`` where the backend does not know."""
        if outcome.pose_world_from_camera is None or outcome.state is not State.TRACKING:
            self._last = None
            return None
        pose_map = self.in_map(outcome.pose_world_from_camera)
        if outcome.loop is not None:
            uncorrected = outcome.pose_world_from_camera @ inverse(outcome.loop.before_from_after)
            # The pose in odom stays where it was; what the loop corrected is between map and odom.
            pose_odom = inverse(self._map_from_odom) @ self.in_map(uncorrected)
            self._map_from_odom = pose_map @ inverse(pose_odom)
        pose_odom = inverse(self._map_from_odom) @ pose_map
        child_covariance = self._of_child(outcome)
        placed = Placed(
            stamp_ns=outcome.stamp_ns,
            pose_odom_from_child=pose_odom,
            pose_map_from_child=pose_map,
            map_from_odom=self._map_from_odom,
            covariance=None if child_covariance is None else _about_parent(child_covariance, pose_odom[:3, :3]),
            velocity=self._velocity(outcome.stamp_ns, pose_odom, child_covariance),
        )
        self._last = placed
        return placed

    def in_map(self, pose_world_from_camera: FloatArray) -> FloatArray:
        """The child's pose (4, 4) in the map."""
        return np.asarray(self._map_from_world @ pose_world_from_camera @ inverse(self._child_from_camera), np.float64)

    def points(self, points_world: FloatArray) -> FloatArray:
        """Points (N, 3) of the backend's world, in the map."""
        return transform(self._map_from_world, points_world)

    def _of_child(self, outcome: Outcome) -> FloatArray | None:
        """The covariance (6, 6) of (rotation, translation) in the child's own axes, where it is known.

        The pose that defines the world is exact; a single camera's first map has begun before its first pose.
        """
        covariance = outcome.covariance
        if covariance is None:
            pose = outcome.pose_world_from_camera
            return np.zeros((6, 6)) if pose is not None and np.allclose(pose, np.eye(4)) else None
        rotation = self._child_from_camera[:3, :3]
        adjoint = np.zeros((6, 6))
        adjoint[:3, :3] = adjoint[3:, 3:] = rotation
        adjoint[3:, :3] = skew(self._child_from_camera[None, :3, 3])[0] @ rotation
        return np.asarray(adjoint @ covariance @ adjoint.T, np.float64)

    def _velocity(self, stamp_ns: int, pose_odom: FloatArray, covariance: FloatArray | None) -> Velocity | None:
        """The mean velocity since the last frame. The errors of two poses count as independent, which is cautious."""
        last = self._last
        if last is None or stamp_ns <= last.stamp_ns:
            return None
        elapsed_s = 1e-9 * (stamp_ns - last.stamp_ns)
        motion = inverse(last.pose_odom_from_child) @ pose_odom
        return Velocity(
            linear=motion[:3, :3].T @ motion[:3, 3] / elapsed_s,
            angular=rotation_vector(motion[:3, :3]) / elapsed_s,
            covariance=None if covariance is None else _translation_first(2.0 * covariance / elapsed_s**2),
        )


def _about_parent(covariance: FloatArray, rotation: FloatArray) -> FloatArray:
    """A covariance of (rotation, translation) in the child's axes as one of (translation, rotation) in its parent's."""
    turn = np.zeros((6, 6))
    turn[:3, :3] = turn[3:, 3:] = rotation
    return _translation_first(turn @ covariance @ turn.T)


def _translation_first(covariance: FloatArray) -> FloatArray:
    order = [3, 4, 5, 0, 1, 2]
    return np.asarray(covariance[np.ix_(order, order)], np.float64)
