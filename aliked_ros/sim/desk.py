# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""A desk in front of a brick wall: pictures on the wall, boxes and papers on the desk, at 1 to 3 metres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aliked_ros.sim.photographs import load_photograph as photograph
from aliked_ros.sim.scene import Quad, Scene, Vector, box, quad
from aliked_ros.sim.textures import Texture, cropped, framed, rectified, resized, shadowed, stained, tiled, tinted
from aliked_ros.sim.trajectory import Sway, SwayingGaze

# The bricks were photographed askance; these joints, in its pixels, are the corners of a part with straight courses.
_BRICK_CORNERS_XY = np.array([[5.3, 511.0], [70.3, 0.0], [366.2, 0.0], [425.5, 511.0]], np.float32)
_LEFT, _RIGHT, _FRONT, _BACK, _TOP = -1.9, 1.9, -1.1, 1.1, 2.2  # metres, the room


@dataclass(frozen=True)
class _Item:
    """A box on the desk; its sides show one photograph, its top another."""

    centre_xy: tuple[float, float]
    size_xyz: Vector
    yaw_deg: float
    side: str
    top: str


_ITEMS = (
    _Item((-0.62, 0.22), (0.46, 0.22, 0.31), 18.0, "coffee", "gravel"),
    _Item((0.34, 0.42), (0.40, 0.24, 0.27), -14.0, "chelsea", "coins"),
    _Item((0.92, 0.10), (0.26, 0.26, 0.44), -32.0, "rocket", "brick"),
    _Item((0.06, -0.12), (0.17, 0.17, 0.17), 36.0, "camera", "retina"),
    _Item((-0.22, -0.38), (0.30, 0.22, 0.045), -21.0, "text", "coins"),
    _Item((-1.22, -0.02), (0.24, 0.30, 0.36), 30.0, "grass", "camera"),
    _Item((0.62, -0.32), (0.24, 0.17, 0.05), 24.0, "text", "coffee"),
)
# Pictures on the wall: photograph, left and bottom edge, width (the height keeps the photograph's shape), gap to
# the wall.
_PICTURES = (
    ("astronaut", -0.62, 0.58, 0.56, 0.03),
    ("hubble", 0.22, 0.62, 0.62, 0.05),
    ("rocket", -1.52, 0.56, 0.66, 0.02),
    ("retina", 1.08, 0.55, 0.5, 0.04),
    ("chelsea", -0.9, 1.36, 0.62, 0.02),
    ("coffee", 0.1, 1.42, 0.66, 0.03),
)


def desk(seed: int) -> Scene:
    """The scene; the seed changes the brickwork, the light, and the camera's path a little."""
    rng = np.random.default_rng(seed)
    items = [quad for item in _ITEMS for quad in _box_of(item)]
    return Scene("desk", (*_room(rng), *_pictures(), *_papers(), *items), _path(rng))


def _room(rng: np.random.Generator) -> tuple[Quad, ...]:
    width, depth = _RIGHT - _LEFT, _BACK - _FRONT
    brick = rectified(photograph("brick"), _BRICK_CORNERS_XY, (512, 512))
    top = tiled(tinted(resized(photograph("gravel"), 0.7), (1.1, 0.98, 0.84)), 5, 8, rng)
    top = shadowed(top, [_footprint(item) for item in _ITEMS], 0.008, 0.62)
    back = tiled(tinted(brick, (1.3, 1.02, 0.88)), 3, 5, rng)
    sides = [stained(tiled(tinted(brick, colour), 3, 3, rng), 0.15, rng) for colour in ((1.0, 1.1, 1.2),) * 2]
    return (
        quad((_LEFT, _BACK, 0), (width, 0, 0), (0, -depth, 0), np.ascontiguousarray(top[::-1]), 0.95),
        quad((_LEFT, _BACK, _TOP), (width, 0, 0), (0, 0, -_TOP), back, 0.95),
        quad((_LEFT, _FRONT, _TOP), (0, depth, 0), (0, 0, -_TOP), sides[0], 0.8),
        quad((_RIGHT, _BACK, _TOP), (0, -depth, 0), (0, 0, -_TOP), sides[1], 0.7),
    )


def _pictures() -> list[Quad]:
    quads = []
    for name, left, bottom, width, gap in _PICTURES:
        texture = framed(photograph(name))
        height = width * texture.shape[0] / texture.shape[1]
        origin = (left, _BACK - gap, bottom + height)
        quads.append(quad(origin, (width, 0, 0), (0, 0, -height), texture))
    return quads


def _papers() -> tuple[Quad, ...]:
    """Sheets of print that lie on the desk, a millimetre above it."""
    page = photograph("text")
    return (
        _sheet((-0.42, -0.70), 0.34, 12.0, framed(page, 0.1)),
        _sheet((0.28, -0.62), 0.30, -25.0, framed(cropped(photograph("coins"), 0, 0.1, 1, 0.8), 0.04)),
        _sheet((1.25, -0.40), 0.34, 8.0, framed(page, 0.1)),
    )


def _sheet(centre_xy: tuple[float, float], width: float, yaw_deg: float, texture: Texture) -> Quad:
    yaw = np.deg2rad(yaw_deg)
    along: NDArray[np.float64] = np.array([np.cos(yaw), np.sin(yaw), 0.0]) * width
    down: NDArray[np.float64] = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    down = down * (width * texture.shape[0] / texture.shape[1])
    centre = np.array([*centre_xy, 0.001])
    return Quad(centre - along / 2 - down / 2, along, down, texture, 0.97)


def _box_of(item: _Item) -> tuple[Quad, ...]:
    return box(item.centre_xy, item.size_xyz, item.yaw_deg, photograph(item.side), photograph(item.top))


def _footprint(item: _Item) -> NDArray[np.float64]:
    """Where a box stands, (4, 2), as shares of the desk's width and depth, a little larger for its shadow."""
    yaw, grown = np.deg2rad(item.yaw_deg), 0.02
    half = np.array(item.size_xyz[:2]) / 2 + grown
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
    rotation = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
    xy = corners @ rotation.T + item.centre_xy
    return np.asarray((xy - (_LEFT, _FRONT)) / (_RIGHT - _LEFT, _BACK - _FRONT), np.float64)


def _path(rng: np.random.Generator) -> SwayingGaze:
    def phases() -> NDArray[np.float64]:
        return rng.uniform(-0.4, 0.4, 3)

    return SwayingGaze(
        position=Sway(
            centre=np.array([0.0, -1.35, 0.62]),
            amplitude=np.array([0.48, 0.22, 0.14]),
            period_s=np.array([9.0, 7.0, 5.5]),
            phase=phases() + np.array([0.0, 1.2, 0.6]),
        ),
        target=Sway(
            centre=np.array([0.0, 0.5, 0.36]),
            amplitude=np.array([0.22, 0.0, 0.08]),
            period_s=np.array([6.5, 1.0, 8.0]),
            phase=phases(),
        ),
        roll_deg=4.0,
        roll_period_s=6.0,
    )
