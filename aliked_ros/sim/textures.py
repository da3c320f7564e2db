# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Textures made from photographs."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Texture = NDArray[np.uint8]  # (H, W, 3) RGB
Colour = tuple[float, float, float]

_MIN_LEVEL_PX = 8


def tiled(texture: Texture, rows: int, columns: int, rng: np.random.Generator) -> Texture:
    """A wall of copies, each mirrored at random and lit unevenly, so that no two places look the same."""
    height, width = texture.shape[:2]
    wall = np.empty((rows * height, columns * width, 3), np.uint8)
    for row in range(rows):
        for column in range(columns):
            flip_y, flip_x = (int(flip) for flip in rng.integers(0, 2, 2) * 2 - 1)
            tile = wall[row * height : (row + 1) * height, column * width : (column + 1) * width]
            tile[:] = texture[::flip_y, ::flip_x]
    return stained(wall, 0.25, rng)


def rectified(texture: Texture, corners_xy: NDArray[np.float32], size: tuple[int, int]) -> Texture:
    """The part of a photograph between four corners (4, 2), clockwise from what becomes the top left."""
    width, height = size
    square = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    homography = cv2.getPerspectiveTransform(corners_xy, square)
    return np.asarray(cv2.warpPerspective(texture, homography, size), np.uint8)


def resized(texture: Texture, scale: float) -> Texture:
    """The texture with fewer texels."""
    return np.asarray(cv2.resize(texture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def stained(texture: Texture, amount: float, rng: np.random.Generator) -> Texture:
    """Multiplied by smooth random light and dark patches, of about a tenth of the texture's size."""
    height, width = texture.shape[:2]
    coarse = rng.uniform(1 - amount, 1 + amount, (12, 12, 1)).astype(np.float32)
    light = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(texture * light[..., None], 0, 255), np.uint8)


def tinted(texture: Texture, colour: Colour) -> Texture:
    """The texture seen in light of this colour; 1 leaves a channel as it is."""
    table = np.rint(np.clip(np.arange(256)[None, :, None] * np.array(colour), 0, 255)).astype(np.uint8)
    return np.asarray(cv2.LUT(texture, table), np.uint8)


def framed(texture: Texture, border: float = 0.05, colour: Colour = (245, 243, 238)) -> Texture:
    """A picture with a border, whose width is a share of the smaller side."""
    width = round(border * min(texture.shape[:2]))
    edges = cv2.copyMakeBorder(texture, width, width, width, width, cv2.BORDER_CONSTANT, value=colour)
    return np.asarray(edges, np.uint8)


def cropped(texture: Texture, left: float, top: float, right: float, bottom: float) -> Texture:
    """A part of the texture, its sides given as shares of width and height."""
    height, width = texture.shape[:2]
    part = texture[round(top * height) : round(bottom * height), round(left * width) : round(right * width)]
    return np.ascontiguousarray(part)


def shadowed(texture: Texture, polygons: list[NDArray[np.float64]], softness: float, depth: float) -> Texture:
    """Darkened softly where polygons of (u, v) in [0, 1], each (N, 2), lie; the softness is a share of the width."""
    height, width = texture.shape[:2]
    mask = np.zeros((height, width), np.float32)
    for polygon in polygons:
        cv2.fillPoly(mask, [np.rint(polygon * (width, height)).astype(np.int32)], 1.0)
    soft = cv2.GaussianBlur(mask, (0, 0), softness * width)
    return np.asarray(texture * (1 - depth * soft[..., None]), np.uint8)


def mip_levels(texture: Texture) -> list[Texture]:
    """The texture and its halvings, each the average of 2×2 texels of the one before, down to a few texels."""
    levels = [np.ascontiguousarray(texture)]
    while min(levels[-1].shape[:2]) >= 2 * _MIN_LEVEL_PX:
        height, width = levels[-1].shape[:2]
        # An odd side loses its last texel, so that a level's texels always cover two of the level above.
        even = levels[-1][: height // 2 * 2, : width // 2 * 2]
        levels.append(np.asarray(cv2.resize(even, (width // 2, height // 2), interpolation=cv2.INTER_AREA), np.uint8))
    return levels
