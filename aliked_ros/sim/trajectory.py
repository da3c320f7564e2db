# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Smooth camera paths."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aliked_ros.io.frames import Pose

WORLD_UP = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True, eq=False)
class Sway:
    """A point that sways around a centre, in each axis with its own amplitude, period and phase."""

    centre: NDArray[np.float64]  # (3,)
    amplitude: NDArray[np.float64]  # (3,)
    period_s: NDArray[np.float64]  # (3,)
    phase: NDArray[np.float64]  # (3,) radians

    def __call__(self, elapsed_s: float) -> NDArray[np.float64]:
        """Where the point is, (3,)."""
        angle = 2 * np.pi * elapsed_s / self.period_s + self.phase
        return np.asarray(self.centre + self.amplitude * np.sin(angle), np.float64)


@dataclass(frozen=True, eq=False)
class SwayingGaze:
    """A camera that sways like a hand-held one while it looks at a swaying target, rolling a little."""

    position: Sway  # metres
    target: Sway  # metres
    roll_deg: float = 0.0
    roll_period_s: float = 1.0

    def __call__(self, elapsed_s: float) -> Pose:
        """The camera's pose in the world."""
        roll = np.deg2rad(self.roll_deg) * np.sin(2 * np.pi * elapsed_s / self.roll_period_s)
        return look_at(self.position(elapsed_s), self.target(elapsed_s), float(roll))


def look_at(position: NDArray[np.float64], target: NDArray[np.float64], roll: float = 0.0) -> Pose:
    """The pose of a camera at a position that looks at a target, level but for the roll in radians.

    The target must not be straight above or below.
    """
    forward = target - position
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, WORLD_UP)
    right = right / np.linalg.norm(right)
    down = np.cross(forward, right)
    cos, sin = np.cos(roll), np.sin(roll)
    rotation = np.column_stack([cos * right + sin * down, cos * down - sin * right, forward])
    return Pose.from_rotation(rotation, position)
