# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The classical tracker as a baseline: Shi-Tomasi corners followed by OpenCV's pyramidal Lucas-Kanade."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from aliked_ros.engine.base import Image

# Shi and Tomasi, CVPR 1994; windows and levels as VINS-Mono has them.
_QUALITY, _DISTANCE_PX = 0.01, 10
_WINDOW_PX, _LEVELS = 21, 3
_MAX_RETURN_PX = 0.5  # forward and back again


class KltTracker:
    """Follows corners from image to image; lost ones are replaced by new ones.

    Args:
        max_points: most points that are followed.
    """

    def __init__(self, max_points: int) -> None:
        self._max_points = max_points
        self._previous: Image | None = None
        self._xy = np.empty((0, 2), np.float32)
        self._ids = np.empty(0, np.int64)
        self._next_id = 0

    def __call__(self, image: Image) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Ids (N,) and pixels (N, 2) of the points in the next image, (H, W, 3) uint8 RGB or (H, W) uint8 grey."""
        grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image, np.uint8)
        if self._previous is not None and len(self._xy):
            self._follow(self._previous, grey)
        self._replenish(grey)
        self._previous = grey
        return self._ids.copy(), self._xy.copy()

    def _follow(self, before: Image, after: Image) -> None:
        moved, found = _flow(before, after, self._xy)
        returned, found_back = _flow(after, before, moved)
        kept = found & found_back & (np.linalg.norm(returned - self._xy, axis=1) <= _MAX_RETURN_PX)
        height, width = after.shape
        kept &= ((moved >= 0) & (moved <= [width - 1, height - 1])).all(1)
        self._xy, self._ids = moved[kept], self._ids[kept]

    def _replenish(self, grey: Image) -> None:
        wanted = self._max_points - len(self._xy)
        if wanted <= 0:
            return
        mask = np.full(grey.shape, 255, np.uint8)
        for x, y in np.rint(self._xy).astype(int):
            cv2.circle(mask, (int(x), int(y)), _DISTANCE_PX, 0, -1)
        corners = cv2.goodFeaturesToTrack(grey, wanted, _QUALITY, _DISTANCE_PX, mask=mask)
        if corners is None:
            return
        new = corners.reshape(-1, 2).astype(np.float32)
        self._xy = np.concatenate([self._xy, new])
        self._ids = np.concatenate([self._ids, np.arange(self._next_id, self._next_id + len(new))])
        self._next_id += len(new)


def _flow(before: Image, after: Image, xy: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    window = (_WINDOW_PX, _WINDOW_PX)
    start = np.ascontiguousarray(xy.reshape(-1, 1, 2))
    guess = np.empty_like(start)
    moved, status, _ = cv2.calcOpticalFlowPyrLK(before, after, start, guess, winSize=window, maxLevel=_LEVELS)
    return np.asarray(moved, np.float32).reshape(-1, 2), status.ravel() == 1
