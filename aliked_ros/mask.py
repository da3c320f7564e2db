# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Parts of a camera's view in which nothing is wanted: the robot itself, a lens hood, a time stamp."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from aliked_ros.errors import ConfigError, ImageError

BoolImage = NDArray[np.bool_]
Polygon = tuple[tuple[float, float], ...]  # its corners (x, y), pixels; (0, 0) is the centre of the top-left pixel


class ViewMask(Protocol):
    """Says where keypoints are wanted."""

    def at(self, width: int, height: int) -> BoolImage:
        """True where keypoints are wanted in an image of this size, (H, W); ImageError where that cannot be said."""
        ...


@dataclass(frozen=True, eq=False)
class ImageMask:
    """A mask that is drawn for images of one size.

    Raises:
        ConfigError: it hides everything.
    """

    wanted: BoolImage  # (H, W)

    def __post_init__(self) -> None:
        if not self.wanted.any():
            raise ConfigError("a mask hides where it is 0, and this one is 0 everywhere; paint white what to look at")

    def at(self, width: int, height: int) -> BoolImage:
        """The mask; ImageError where the image has another size: a stretched mask would hide other things."""
        if self.wanted.shape != (height, width):
            rows, columns = self.wanted.shape
            raise ImageError(
                f"the mask has {columns}×{rows} pixels and the image {width}×{height}; make one of the image's size"
            )
        return self.wanted


@dataclass(frozen=True)
class PolygonMask:
    """Polygons in which keypoints are not wanted; what a polygon of several loops covers twice is not inside it.

    Raises:
        ConfigError: a polygon has fewer than three corners, or one that is not finite.
    """

    ignored: tuple[Polygon, ...]

    def __post_init__(self) -> None:
        for polygon in self.ignored:
            if len(polygon) < 3:
                raise ConfigError(f"a polygon has at least three corners, got {len(polygon)}: {polygon}")
            if not all(map(math.isfinite, (value for corner in polygon for value in corner))):
                raise ConfigError(f"the corners of a polygon must be finite, got {polygon}")

    def at(self, width: int, height: int) -> BoolImage:
        """False at pixels whose centre a polygon covers; the parts of polygons beyond the image cover nothing."""
        return _outside(self.ignored, width, height)


@lru_cache(maxsize=32)
def _outside(polygons: tuple[Polygon, ...], width: int, height: int) -> BoolImage:
    covered = np.zeros((height, width), np.bool_)
    for polygon in polygons:
        covered |= _inside(polygon, width, height)
    wanted = ~covered
    wanted.flags.writeable = False  # it is kept
    return wanted


def _inside(polygon: Polygon, width: int, height: int) -> BoolImage:
    """Even-odd rule: a pixel is inside when an odd number of edges crosses the ray from it to the left."""
    rows, columns = np.arange(height, dtype=np.float64)[:, None], np.arange(width, dtype=np.float64)[None]
    inside = np.zeros((height, width), np.bool_)
    for (x0, y0), (x1, y1) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
        if y0 == y1:
            continue
        crosses = (rows >= min(y0, y1)) & (rows < max(y0, y1))
        inside ^= crosses & (columns >= x0 + (rows - y0) * (x1 - x0) / (y1 - y0))
    return inside
