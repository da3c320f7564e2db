# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Renders scenes of textured parallelograms with exact depth.

A parallelogram's plane is parametrised by (u, v); with M = [edge_u, edge_v, origin] in the camera's frame and the
intrinsics K, the homography H = K M takes (u, v, 1) to a pixel times its depth. So its inverse takes a pixel
(x, y, 1) to (u/z, v/z, 1/z): inverse depth is affine in the pixel, visibility needs no division, and depth is exact.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from aliked_ros.camera import Camera
from aliked_ros.errors import CalibrationError
from aliked_ros.io.frames import Pose
from aliked_ros.sim.scene import Quad, Scene
from aliked_ros.sim.textures import Texture, mip_levels, tinted

BACKGROUND = (203, 208, 214)  # RGB where no surface is
NEAR_M = 0.05  # surfaces closer than this are not drawn
SUPERSAMPLING = 2  # samples per pixel in each direction

Matrix = NDArray[np.float64]
_CORNERS: Matrix = np.array([[0, 1, 1, 0], [0, 0, 1, 1], [1, 1, 1, 1]], np.float64)  # (u, v, 1)


@dataclass(frozen=True, eq=False)
class _Surface:
    """A quad with what rendering it needs often."""

    frame: Matrix  # (4, 3): edge_u, edge_v and origin as homogeneous columns
    levels: Sequence[Texture]


@dataclass(frozen=True, eq=False)
class _Plane:
    """A surface's plane as a camera sees it."""

    index: int  # of the surface
    to_plane: Matrix  # (3, 3) takes pixels to (u/z, v/z, 1/z)
    rows: slice  # of the image that the surface can touch
    columns: slice


@dataclass(frozen=True, eq=False)
class _Visible:
    """What a grid of samples sees."""

    index: NDArray[np.int16]  # (H, W) of the surface, -1 for none
    inverse_depth: NDArray[np.floating]  # (H, W) 1/metres, 0 for none


class Renderer:
    """Renders a scene with a camera without distortion.

    Raises:
        CalibrationError: the camera has distortion.
    """

    def __init__(self, scene: Scene, camera: Camera) -> None:
        if any(camera.distortion):
            raise CalibrationError(f"the renderer's camera has no lens distortion, got {camera.distortion}")
        self._camera = camera
        self._surfaces = [_surface(quad) for quad in scene.quads]
        frames = [surface.frame for surface in self._surfaces]
        self._frames: Matrix = np.array(frames, np.float64).reshape(-1, 4, 3)  # (Q, 4, 3)
        # Samples are at the centres of a finer grid that covers the pixels: x_fine = S x + (S - 1) / 2.
        offset = (SUPERSAMPLING - 1) / 2
        fine: Matrix = np.array([[SUPERSAMPLING, 0, offset], [0, SUPERSAMPLING, offset], [0, 0, 1]], np.float64)
        self._fine_matrix: Matrix = fine @ camera.matrix

    def image(self, pose: Pose) -> NDArray[np.uint8]:
        """What the camera sees there, (H, W, 3) RGB, anti-aliased, without noise."""
        width, height = self._camera.width, self._camera.height
        canvas = self._colours(pose, self._fine_matrix, (height * SUPERSAMPLING, width * SUPERSAMPLING))
        return np.asarray(cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA), np.uint8)

    def sample(self, pose: Pose, offset_xy: tuple[float, float]) -> NDArray[np.uint8]:
        """One sample for each pixel, so far from its centre: (H, W, 3) RGB to be averaged with others."""
        shift: Matrix = np.array([[1, 0, -offset_xy[0]], [0, 1, -offset_xy[1]], [0, 0, 1]], np.float64)
        return self._colours(pose, shift @ self._camera.matrix, (self._camera.height, self._camera.width))

    def _colours(self, pose: Pose, camera_matrix: Matrix, size: tuple[int, int]) -> NDArray[np.uint8]:
        planes = _planes(self._frames, pose, camera_matrix, size)
        visible = _visible(planes, size, np.float32)
        canvas = np.empty((*size, 3), np.uint8)
        canvas[:] = BACKGROUND
        for plane in planes:
            _paint(canvas, visible, plane, self._surfaces[plane.index])
        return canvas

    def depth(self, pose: Pose) -> NDArray[np.float32]:
        """Depth along the optical axis at the pixel centres, (H, W) metres, NaN where no surface is."""
        size = (self._camera.height, self._camera.width)
        visible = _visible(_planes(self._frames, pose, self._camera.matrix, size), size, np.float64)
        with np.errstate(divide="ignore"):
            depth_m = (1.0 / visible.inverse_depth).astype(np.float32)
        depth_m[visible.index < 0] = np.nan
        return depth_m

    def points(self, pose: Pose, xy: NDArray[np.floating]) -> NDArray[np.float64]:
        """The points of the world that pixels (N, 2) see, (N, 3) metres, exact between pixel centres too.

        NaN where no surface is.
        """
        pixels = np.column_stack([np.asarray(xy, np.float64), np.ones(len(xy))])
        best = np.zeros(len(xy))
        for plane in _planes(self._frames, pose, self._camera.matrix, None):
            u, v, inverse_depth = plane.to_plane @ pixels.T
            best = np.where(_inside(u, v, inverse_depth), np.maximum(best, inverse_depth), best)
        with np.errstate(divide="ignore", invalid="ignore"):
            rays = pixels @ np.linalg.inv(self._camera.matrix).T / best[:, None]
        rays[best == 0] = np.nan
        return pose.to_world(rays)


def _surface(quad: Quad) -> _Surface:
    frame = np.zeros((4, 3))
    frame[:3] = np.column_stack([quad.edge_u_xyz, quad.edge_v_xyz, quad.origin_xyz])
    frame[3, 2] = 1.0  # edges are directions, the origin is a point
    shade = quad.shade
    return _Surface(frame, mip_levels(tinted(quad.texture, (shade, shade, shade))))


def _planes(frames: Matrix, pose: Pose, camera_matrix: Matrix, size: tuple[int, int] | None) -> list[_Plane]:
    """The planes of the surfaces (Q, 4, 3) that can be seen in an image of this size, all that can be at all without.

    Left out are planes that the camera's centre lies in.
    """
    rotation = pose.rotation.T
    camera_from_world = np.hstack([rotation, -rotation @ pose.position_xyz[:, None]])
    homographies = camera_matrix @ camera_from_world @ frames  # (Q, 3, 3)
    lengths = np.prod(np.linalg.norm(homographies, axis=1), axis=1)
    chosen = np.flatnonzero(np.abs(np.linalg.det(homographies)) >= 1e-12 * lengths)
    planes = []
    for index, to_plane in zip(chosen.tolist(), np.linalg.inv(homographies[chosen]), strict=True):
        rows, columns = (slice(0), slice(0)) if size is None else _bounds(homographies[index], size)
        if size is None or (rows.stop > rows.start and columns.stop > columns.start):
            planes.append(_Plane(index, to_plane, rows, columns))
    return planes


def _inside(u: NDArray[np.floating], v: NDArray[np.floating], w: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Where (u/z, v/z, 1/z) lies on the parallelogram and ahead of the camera."""
    return (u >= 0) & (v >= 0) & (u <= w) & (v <= w) & (w > 0) & (w < 1 / NEAR_M)


def _bounds(homography: Matrix, size: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns that a parallelogram can touch."""
    height, width = size
    corners = homography @ _CORNERS
    depths = corners[2].tolist()
    if min(depths) <= NEAR_M:
        behind_all = max(depths) <= NEAR_M
        return (slice(0, 0), slice(0, 0)) if behind_all else (slice(0, height), slice(0, width))
    x, y = (corners[:2] / corners[2]).tolist()
    return _span(y, height), _span(x, width)


def _span(values: Sequence[float], extent: int) -> slice:
    """The pixels of a row or column between the smallest and the largest of these coordinates."""
    low, high = math.floor(min(values)), math.ceil(max(values)) + 1
    return slice(min(max(low, 0), extent), min(max(high, 0), extent))


def _visible(planes: Sequence[_Plane], size: tuple[int, int], dtype: type[np.float32] | type[np.float64]) -> _Visible:
    """Which surface each sample sees: the one of greatest inverse depth."""
    index = np.full(size, -1, np.int16)
    nearest = np.zeros(size, dtype)
    for plane in planes:
        rows, columns = plane.rows, plane.columns
        y = np.arange(rows.start, rows.stop)[:, None]
        x = np.arange(columns.start, columns.stop)[None, :]
        # Row and column terms are rounded once each: a product per sample would cost twice as much.
        u, v, w = ((a * x).astype(dtype) + (b * y + c).astype(dtype) for a, b, c in plane.to_plane)
        front = _inside(u, v, w) & (w > nearest[rows, columns])
        nearest[rows, columns][front] = w[front]
        index[rows, columns][front] = plane.index
    return _Visible(index, nearest)


def _paint(canvas: Texture, visible: _Visible, plane: _Plane, surface: _Surface) -> None:
    """Colours the samples that see a surface, trilinearly: between texels, and between the two nearest levels."""
    rows, columns = plane.rows, plane.columns
    mask = (visible.index[rows, columns] == plane.index).astype(np.uint8)
    left, top, width, height = cv2.boundingRect(mask)
    if width == 0:
        return
    mask = mask[top : top + height, left : left + width]
    top, left = top + rows.start, left + columns.start
    region = (slice(top, top + height), slice(left, left + width))
    shift: Matrix = np.array([[1, 0, left], [0, 1, top], [0, 0, 1]], np.float64)
    texels = np.diag([surface.levels[0].shape[1], surface.levels[0].shape[0], 1.0]) @ plane.to_plane @ shift
    level = _level(visible.inverse_depth[region], texels)
    seen = level[mask > 0]
    last = len(surface.levels) - 1
    first, final = (int(np.clip(f(e), 0, last)) for f, e in ((np.floor, seen.min()), (np.ceil, seen.max())))
    colour = _warp(surface.levels[first], texels, first, (width, height))
    for number in range(first + 1, final + 1):
        weight = np.clip(level - (number - 1), 0.0, 1.0)
        coarser = _warp(surface.levels[number], texels, number, (width, height))
        colour = np.asarray(cv2.blendLinear(colour, coarser, 1.0 - weight, weight), np.uint8)
    cv2.copyTo(colour, mask, canvas[region])


def _level(inverse_depth: NDArray[np.floating], texels: Matrix) -> NDArray[np.float32]:
    """The level of detail of each sample: half the logarithm of how many texels it covers.

    For x -> A x with the last row w, the area changes by det(A) / w^3.
    """
    texels_per_sample = abs(np.linalg.det(texels)) / np.maximum(inverse_depth, 1e-9).astype(np.float32) ** 3
    return np.asarray(0.5 * np.log2(texels_per_sample), np.float32)


def _warp(texture: Texture, texels: Matrix, level: int, size: tuple[int, int]) -> Texture:
    scale = 0.5**level
    # (0, 0) is a texel's centre to OpenCV and its corner to (u, v).
    to_level: Matrix = np.array([[scale, 0, -0.5], [0, scale, -0.5], [0, 0, 1]], np.float64) @ texels
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpPerspective(texture, to_level, size, flags=flags, borderMode=cv2.BORDER_REPLICATE))
