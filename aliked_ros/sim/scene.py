# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Scenes as data: textured parallelograms in the world, and the path a camera takes past them.

The world's frame has z up, in metres. A texture's first row lies along a parallelogram's ``u`` edge at its origin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aliked_ros.errors import ShapeError
from aliked_ros.io.frames import Pose

Vector = tuple[float, float, float]
Trajectory = Callable[[float], Pose]  # seconds to the camera's pose in the world


@dataclass(frozen=True, eq=False)
class Quad:
    """A flat, textured parallelogram: ``origin + u * edge_u + v * edge_v`` with u and v in [0, 1]."""

    origin_xyz: NDArray[np.float64]  # (3,) metres, where the texture's top-left corner is
    edge_u_xyz: NDArray[np.float64]  # (3,) metres, along the texture's rows
    edge_v_xyz: NDArray[np.float64]  # (3,) metres, down the texture's columns
    texture: NDArray[np.uint8]  # (H, W, 3) RGB
    shade: float = 1.0  # how much light falls on it, 1 leaves the texture as it is

    def __post_init__(self) -> None:
        normal = np.cross(self.edge_u_xyz, self.edge_v_xyz)
        if not np.linalg.norm(normal) > 0:
            raise ShapeError(f"a quad's edges span no area: {self.edge_u_xyz}, {self.edge_v_xyz}")


@dataclass(frozen=True, eq=False)
class Scene:
    """What is to be seen, and how the camera moves."""

    name: str
    quads: tuple[Quad, ...]
    trajectory: Trajectory


def quad(origin: Vector, edge_u: Vector, edge_v: Vector, texture: NDArray[np.uint8], shade: float = 1.0) -> Quad:
    """A quad of plain tuples."""
    return Quad(
        np.array(origin, np.float64), np.array(edge_u, np.float64), np.array(edge_v, np.float64), texture, shade
    )


def box(
    centre_xy: tuple[float, float],
    size_xyz: Vector,
    yaw_deg: float,
    side: NDArray[np.uint8],
    top: NDArray[np.uint8],
) -> tuple[Quad, ...]:
    """A box that stands on z = 0: four sides, upright pictures all of them, and the top."""
    width, depth, height = size_xyz
    yaw = np.deg2rad(yaw_deg)
    along = np.array([np.cos(yaw), np.sin(yaw), 0.0])
    across = np.array([-np.sin(yaw), np.cos(yaw), 0.0])
    centre = np.array([*centre_xy, 0.0])
    up = np.array([0.0, 0.0, height])

    def corner(x: float, y: float) -> NDArray[np.float64]:
        return np.asarray(centre + x * width / 2 * along + y * depth / 2 * across + up, np.float64)

    return (
        Quad(corner(-1, -1), width * along, -up, side, 1.0),
        Quad(corner(1, -1), depth * across, -up, side, 0.82),
        Quad(corner(1, 1), -width * along, -up, side, 0.7),
        Quad(corner(-1, 1), -depth * across, -up, side, 0.76),
        Quad(corner(-1, 1), width * along, -depth * across, top, 1.08),
    )
