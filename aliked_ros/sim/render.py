# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Renders scenes of textured parallelograms with exact depth.

A parallelogram's plane is parametrised by (u, v); with M = [edge_u, edge_v, origin] in the camera's frame and the
intrinsics K, the homography H = K M takes (u, v, 1) to a pixel times its depth. So its inverse takes a pixel
(x, y, 1) to (u/z, v/z, 1/z): inverse depth is affine in the pixel, visibility needs no division, and depth is exact.
"""

from __future__ import annotations

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


@dataclass(frozen=True, eq=False)
class _Surface:
    """A quad with what rendering it needs often."""

    frame: Matrix  # (4, 3): edge_u, edge_v and origin as homogeneous columns
    levels: Sequence[Texture]


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
        # Samples are at the centres of a finer grid that covers the pixels: x_fine = S x + (S - 1) / 2.
        offset = (SUPERSAMPLING - 1) / 2
        fine: Matrix = np.array([[SUPERSAMPLING, 0, offset], [0, SUPERSAMPLING, offset], [0, 0, 1]], np.float64)
        self._fine_matrix: Matrix = fine @ camera.matrix

    def image(self, pose: Pose) -> NDArray[np.uint8]:
        """What the camera sees there, (H, W, 3) RGB, anti-aliased, without noise."""
        width, height = self._camera.width, self._camera.height
        size = (height * SUPERSAMPLING, width * SUPERSAMPLING)
        to_plane = [_to_plane(surface, pose, self._fine_matrix) for surface in self._surfaces]
        visible = _visible(to_plane, size, np.float32)
        canvas = np.empty((*size, 3), np.uint8)
        canvas[:] = BACKGROUND
        for index, (surface, matrix) in enumerate(zip(self._surfaces, to_plane, strict=True)):
            if matrix is not None:
                _paint(canvas, visible, index, surface, matrix)
        return np.asarray(cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA), np.uint8)

    def depth(self, pose: Pose) -> NDArray[np.float32]:
        """Depth along the optical axis at the pixel centres, (H, W) metres, NaN where no surface is."""
        to_plane = [_to_plane(surface, pose, self._camera.matrix) for surface in self._surfaces]
        visible = _visible(to_plane, (self._camera.height, self._camera.width), np.float64)
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
        for surface in self._surfaces:
            matrix = _to_plane(surface, pose, self._camera.matrix)
            if matrix is not None:
                u, v, inverse_depth = matrix @ pixels.T
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


def _to_plane(surface: _Surface, pose: Pose, camera_matrix: Matrix) -> Matrix | None:
    """The matrix that takes pixels to (u/z, v/z, 1/z); ``None`` for a plane that the camera's centre lies in."""
    camera_from_world = np.hstack([pose.rotation.T, -pose.rotation.T @ pose.position_xyz[:, None]])
    homography = camera_matrix @ camera_from_world @ surface.frame
    if abs(np.linalg.det(homography)) < 1e-12 * np.prod(np.linalg.norm(homography, axis=0)):
        return None
    return np.asarray(np.linalg.inv(homography), np.float64)


def _inside(u: NDArray[np.floating], v: NDArray[np.floating], w: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Where (u/z, v/z, 1/z) lies on the parallelogram and ahead of the camera."""
    return (u >= 0) & (v >= 0) & (u <= w) & (v <= w) & (w > 0) & (w < 1 / NEAR_M)


def _bounds(matrix: Matrix, size: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns that a parallelogram can touch."""
    height, width = size
    corners = np.linalg.inv(matrix) @ np.array([[0, 1, 1, 0], [0, 0, 1, 1], [1, 1, 1, 1]], np.float64)
    if np.any(corners[2] <= NEAR_M):
        behind_all = np.all(corners[2] <= NEAR_M)
        return (slice(0, 0), slice(0, 0)) if behind_all else (slice(0, height), slice(0, width))
    x, y = corners[:2] / corners[2]
    left, right = np.clip([np.floor(x.min()), np.ceil(x.max()) + 1], 0, width).astype(int)
    top, bottom = np.clip([np.floor(y.min()), np.ceil(y.max()) + 1], 0, height).astype(int)
    return slice(int(top), int(bottom)), slice(int(left), int(right))


def _visible(
    to_plane: Sequence[Matrix | None], size: tuple[int, int], dtype: type[np.float32] | type[np.float64]
) -> _Visible:
    """Which surface each sample sees: the one of greatest inverse depth."""
    index = np.full(size, -1, np.int16)
    nearest = np.zeros(size, dtype)
    for number, matrix in enumerate(to_plane):
        if matrix is None:
            continue
        rows, columns = _bounds(matrix, size)
        y = np.arange(rows.start, rows.stop)[:, None]
        x = np.arange(columns.start, columns.stop)[None, :]
        # Row and column terms are rounded once each: a product per sample would cost twice as much.
        u, v, w = ((a * x).astype(dtype) + (b * y + c).astype(dtype) for a, b, c in matrix)
        front = _inside(u, v, w) & (w > nearest[rows, columns])
        nearest[rows, columns][front] = w[front]
        index[rows, columns][front] = number
    return _Visible(index, nearest)


def _paint(canvas: Texture, visible: _Visible, index: int, surface: _Surface, matrix: Matrix) -> None:
    """Colours the samples that see a surface, trilinearly: between texels, and between the two nearest levels."""
    rows, columns = _bounds(matrix, visible.index.shape)
    mask = (visible.index[rows, columns] == index).astype(np.uint8)
    left, top, width, height = cv2.boundingRect(mask)
    if width == 0:
        return
    mask = mask[top : top + height, left : left + width]
    top, left = top + rows.start, left + columns.start
    region = (slice(top, top + height), slice(left, left + width))
    shift: Matrix = np.array([[1, 0, left], [0, 1, top], [0, 0, 1]], np.float64)
    texels = np.diag([surface.levels[0].shape[1], surface.levels[0].shape[0], 1.0]) @ matrix @ shift
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
