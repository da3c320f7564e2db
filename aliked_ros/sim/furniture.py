# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What several rooms are furnished with: walls, pictures hung on them, and boxes beside them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aliked_ros.sim.photographs import FILES
from aliked_ros.sim.photographs import load_photograph as photograph
from aliked_ros.sim.scene import Quad, Vector, box, quad
from aliked_ros.sim.textures import Texture, cropped, framed, resized, stained, tiled, tinted

_PICTURE_NAMES = tuple(name for name in FILES if name not in ("brick", "grass", "gravel"))
_PICTURE_GAP_M = 0.03  # from the wall


@dataclass(frozen=True)
class Wall:
    """An upright wall, seen from the side where its left end is on the left."""

    left_xy: tuple[float, float]  # metres
    right_xy: tuple[float, float]  # metres
    shade: float

    @property
    def along(self) -> NDArray[np.float64]:
        """The vector from its left to its right end, (3,)."""
        return np.array([*np.subtract(self.right_xy, self.left_xy), 0.0])

    @property
    def inward(self) -> NDArray[np.float64]:
        """The unit vector from the wall towards who looks at it, (3,)."""
        x, y, _ = self.along / np.linalg.norm(self.along)
        return np.array([y, -x, 0.0])

    def point(self, along_m: float, gap_m: float, height_m: float) -> NDArray[np.float64]:
        """The point so far from its left end, before it, and above the floor, (3,)."""
        direction = self.along / np.linalg.norm(self.along)
        start = np.array([*self.left_xy, height_m])
        return np.asarray(start + along_m * direction + gap_m * self.inward, np.float64)


def papered(wall: Wall, height_m: float, rng: np.random.Generator) -> Quad:
    """The wall itself, in patchy plaster."""
    length = float(np.linalg.norm(wall.along))
    colour = (float(rng.uniform(1.0, 1.3)), float(rng.uniform(1.0, 1.2)), float(rng.uniform(0.9, 1.2)))
    plaster = tinted(resized(photograph("gravel"), 0.5), colour)
    texture = tiled(plaster, max(1, round(height_m)), max(1, round(length)), rng)
    return Quad(wall.point(0, 0, height_m), wall.along, np.array([0, 0, -height_m]), texture, wall.shade)


def flooring(low_xy: tuple[float, float], high_xy: tuple[float, float], rng: np.random.Generator) -> Quad:
    """A floor at height 0 of worn tiles."""
    (left, front), (right, back) = low_xy, high_xy
    tiles = stained(tinted(resized(photograph("brick"), 0.6), (1.0, 1.05, 0.95)), 0.2, rng)
    texture = tiled(tiles, max(1, round(back - front)), max(1, round(right - left)), rng)
    return quad((left, back, 0), (right - left, 0, 0), (0, front - back, 0), texture, 0.9)


def pictures(wall: Wall, spacing_m: float, rng: np.random.Generator) -> list[Quad]:
    """Pictures along a wall at chance heights and sizes, each a part of a photograph that the seed chooses."""
    quads = []
    length = float(np.linalg.norm(wall.along))
    for along_m in np.arange(0.25, length - 0.9, spacing_m):
        texture = framed(_part(rng), float(rng.uniform(0.03, 0.1)))
        width = float(rng.uniform(0.45, 0.75))
        height = width * texture.shape[0] / texture.shape[1]
        top = float(rng.uniform(1.5, 1.9)) + height / 3
        start = wall.point(float(along_m) + float(rng.uniform(0, 0.2)), _PICTURE_GAP_M, top)
        direction = wall.along / length
        quads.append(Quad(start, width * direction, np.array([0, 0, -height]), texture, wall.shade))
    return quads


def boxes_along(wall: Wall, spacing_m: float, rng: np.random.Generator) -> list[Quad]:
    """Boxes that stand before a wall at chance angles."""
    quads: list[Quad] = []
    length = float(np.linalg.norm(wall.along))
    for along_m in np.arange(0.5, length - 0.4, spacing_m):
        x, y, _ = wall.point(float(along_m) + float(rng.uniform(-0.2, 0.2)), 0.3, 0)
        width, depth, height = (float(value) for value in rng.uniform((0.25, 0.25, 0.3), (0.45, 0.4, 0.9)))
        size: Vector = (width, depth, height)
        quads += box((float(x), float(y)), size, float(rng.uniform(-40, 40)), _part(rng), _part(rng))
    return quads


def _part(rng: np.random.Generator) -> Texture:
    """A part of a photograph, mirrored or not, in light of a chance colour: hardly two are alike."""
    name = _PICTURE_NAMES[int(rng.integers(len(_PICTURE_NAMES)))]
    left, top = (float(value) for value in rng.uniform(0, 0.35, 2))
    part = cropped(photograph(name), left, top, left + 0.65, top + 0.65)
    red, green, blue = (float(value) for value in rng.uniform(0.75, 1.2, 3))
    mirrored = part[:, ::-1] if rng.integers(2) else part
    return tinted(np.ascontiguousarray(mirrored), (red, green, blue))
