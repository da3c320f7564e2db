# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What depth and poses say about pixels: where they are in the world, and where another frame sees them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aliked_ros.camera import Camera
from aliked_ros.errors import SourceError
from aliked_ros.io.frames import Frame

# Inverse depth is affine on a plane, so its second differences tell edges; the limit is a share of the value and
# ten times what rounding to TUM's 0.2 mm makes at three metres.
_MAX_BEND = 1e-3
DEPTH_TOLERANCE = 0.005  # share of the depth by which a point may miss the surface another frame sees there


def depth_at(depth_m: NDArray[np.float32], xy: NDArray[np.floating]) -> NDArray[np.float64]:
    """Depth (N,) in metres at pixels (N, 2), between pixel centres too.

    Inverse depth is interpolated, which is exact on planes. NaN outside the image, where depth is missing, and
    within two pixels of where one surface ends, because nobody knows which surface such a point is on.
    """
    height, width = depth_m.shape
    x, y = np.asarray(xy, np.float64).reshape(-1, 2).T
    inside = (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)
    left = np.clip(np.floor(np.where(inside, x, 0)).astype(int), 0, width - 2)
    top = np.clip(np.floor(np.where(inside, y, 0)).astype(int), 0, height - 2)
    near = 1.0 / depth_m.astype(np.float64)
    flat = _is_flat(near)
    for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
        inside &= flat[top + dy, left + dx]
    s, t = x - left, y - top
    upper = near[top, left] * (1 - s) + near[top, left + 1] * s
    lower = near[top + 1, left] * (1 - s) + near[top + 1, left + 1] * s
    depth = 1.0 / (upper * (1 - t) + lower * t)
    return np.where(inside, depth, np.nan)


def _is_flat(near: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where inverse depth (H, W) has no bend along the row, the column, or the diagonals; false for NaN."""
    bend = np.zeros_like(near)
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        before, after = np.roll(near, (dy, dx), (0, 1)), np.roll(near, (-dy, -dx), (0, 1))
        bend = np.maximum(bend, np.abs(before - 2 * near + after))
    inner = bend[1:-1, 1:-1] < _MAX_BEND * near[1:-1, 1:-1]
    # What lies outside the image is unknown: the outermost pixels are taken to be as their neighbours.
    return np.pad(inner, 1, mode="edge") & np.isfinite(near)


def world_points(frame: Frame, camera: Camera, xy: NDArray[np.floating]) -> NDArray[np.float64]:
    """The points of the world (N, 3), metres, that a frame's pixels (N, 2) see; NaN where :func:`depth_at` is.

    Raises:
        SourceError: the frame has no depth or no pose.
    """
    if frame.depth_m is None or frame.pose_world_from_camera is None:
        raise SourceError("ground truth needs frames with depth and pose; this one lacks them")
    depth = depth_at(frame.depth_m, xy)
    rays = np.column_stack([camera.normalise(np.asarray(xy, np.float32)), np.ones(len(xy))])
    return frame.pose_world_from_camera.to_world(rays * depth[:, None])


def project(frame: Frame, camera: Camera, points_world: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where a frame sees points of the world (N, 3): pixels (N, 2), NaN where it does not.

    A point is not seen behind the camera, outside the image, or behind another surface; without depth the last is
    not checked.

    Raises:
        SourceError: the frame has no pose.
    """
    if frame.pose_world_from_camera is None:
        raise SourceError("ground truth needs frames with a pose; this one lacks it")
    points = frame.pose_world_from_camera.to_camera(points_world)
    pixels = np.full((len(points), 2), np.nan)
    ahead = points[:, 2] > 0  # false for NaN
    pixels[ahead] = camera.project(points[ahead])
    height, width = frame.image.shape[:2]
    x, y = pixels.T
    seen = (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)
    if frame.depth_m is not None:
        surface = depth_at(frame.depth_m, np.where(seen[:, None], pixels, 0.0))
        seen &= np.abs(surface - points[:, 2]) <= DEPTH_TOLERANCE * points[:, 2]
    pixels[~seen] = np.nan
    return pixels
