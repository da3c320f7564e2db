# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Photometric alignment: where a small patch of one image lies in another, to hundredths of a pixel.

Inverse-compositional Lucas-Kanade (Baker and Matthews, IJCV 56(3), 2004). A patch T of 16×16 pixels around a point is
looked for in an image I through an affine warp W(u, v) = position + matrix (u, v). Each step solves

    gain * I(W) - T  =  [Tx, Ty, Tx u, Tx v, Ty u, Ty v] d  +  [1, T, Txx, Txy, Tyy] b

by least squares and composes W with the inverse of the warp d. The second group is eliminated beforehand: offset, gain,
and, to first order, any difference of blur between the two images, for convolving with a small symmetric kernel adds a
combination of second derivatives. The affine part has a normal prior around its beginning, so that patches with little
texture follow the motion that others found. Nothing is assumed of the light but that gain and offset are constant over
the patch.

The error of the position is estimated from how much nine blocks of the patch disagree: the cluster-robust covariance of
Liang and Zeger (Biometrika 73(1), 1986). Unlike the residual's variance over the normal matrix it holds for pixels that
are correlated, as those of smoothed images are, and feels what the model leaves out; no constant is fitted to data.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from aliked_ros.engine.base import Image
from aliked_ros.features import Float32Array

PATCH_PX = 16  # along a side
TEMPLATE_PX = PATCH_PX + 2  # with a border for the derivatives
STATISTICS = 87  # numbers that the compiled alignment keeps beside a patch
MAX_ITERATIONS = 12
TOLERANCE_PX = 0.05  # a step that ends the iteration
AFFINE_PRIOR = 0.05  # 1-sigma of each entry of the affine part around its beginning
# Pixels that tell as much as one independent pixel, because the images are smoothed; about the ratio of the squared
# errors measured under white noise to those of independent pixels. It weighs the prior only.
_CORRELATED_PIXELS = 7.0
_SMOOTHING = np.array([1, 4, 6, 4, 1], np.float32) / 16
_PRIOR_WEIGHT = _CORRELATED_PIXELS / AFFINE_PRIOR**2
_BLOCKS = 3  # along each side of the patch
_RIDGE = 1e-3
_SMALLEST = 1e-3  # contrast in grey levels
_HALF = (PATCH_PX - 1) / 2
_WARP, _NUISANCES = 6, 5
_logger = logging.getLogger(__name__)
_Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Patches:
    """Patches to look for."""

    pixels: Float32Array  # (K, 18, 18) with a border; NaN where a patch left its image
    statistics: NDArray[np.float64]  # (K, 87) what the compiled alignment has computed of each; NaN from NumPy

    def __len__(self) -> int:
        return len(self.pixels)


@dataclass(frozen=True, eq=False)
class Alignment:
    """Where patches were found."""

    warps: Float32Array  # (N, 6): x, y in pixels, then the affine matrix by rows; as it began where it was not found
    sigma_px: Float32Array  # (N,) estimated 1-sigma error along an axis; NaN where it was not found
    correlations: Float32Array  # (N,) of the patch and the image in it, at most 1; NaN where it was not found


def smoothed(image: Image) -> Float32Array:
    """The grey image (H, W) that patches are cut from and looked for in: smoothed, so that bilinear samples are exact
    enough."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image
    return np.asarray(cv2.sepFilter2D(grey, cv2.CV_32F, _SMOOTHING, _SMOOTHING), np.float32)


def cut_patches(image: Float32Array, xy: Float32Array) -> Patches:
    """Patches around points (N, 2) of a smoothed image."""
    compiled = _compiled()
    if compiled is not None:
        return Patches(*compiled.cut_patches(image, xy))
    return Patches(cut_patches_by_numpy(image, xy), np.full((len(xy), STATISTICS), np.nan))


def align(
    image: Float32Array, patches: Patches, rows: NDArray[np.int32], warps: Float32Array, threads: int = 1
) -> Alignment:
    """Looks for patches in a smoothed image (H, W), from warps (N, 6) near their places.

    A patch is not found where it leaves the image, has no texture, or the iteration does not come to rest.

    Args:
        image: from :func:`smoothed`.
        patches: K of them, from :func:`cut_patches`.
        rows: which of them each point looks for, (N,).
        warps: x, y and affine matrix by rows, from the patch to the image.
        threads: that share the points; 0 for as many as this process has processors. The result is the same.
    """
    compiled = _compiled()
    if compiled is None:
        return align_by_numpy(image, patches.pixels, rows, warps)
    settings = (MAX_ITERATIONS, TOLERANCE_PX, _PRIOR_WEIGHT)
    return Alignment(*compiled.align_patches(image, patches.pixels, patches.statistics, rows, warps, settings, threads))


@lru_cache(maxsize=1)
def _compiled() -> Any:
    """The compiled functions where the library is there."""
    # Found on first use: the compiled operators' package imports torch.
    from aliked_ops import cpu_engine, patch_alignment

    try:
        cpu_engine.library()
    except cpu_engine.CpuEngineError as error:
        _logger.warning("NumPy aligns patches, a hundred times slower: %s", error)
        return None
    return patch_alignment


def cut_patches_by_numpy(image: Float32Array, xy: Float32Array) -> Float32Array:
    """The pixels of :func:`cut_patches` in NumPy."""
    steps = np.arange(TEMPLATE_PX) - (TEMPLATE_PX - 1) / 2
    xy = np.asarray(xy, np.float64)
    x, y = xy[:, 0, None, None] + steps, xy[:, 1, None, None] + steps[:, None]
    height, width = image.shape
    inside = ((x >= 0) & (y >= 0) & (x < width - 1) & (y < height - 1)).all((1, 2))
    patches = np.full((len(xy), TEMPLATE_PX, TEMPLATE_PX), np.nan, np.float32)
    patches[inside] = _bilinear(image, *np.broadcast_arrays(x[inside], y[inside]))
    return patches


def align_by_numpy(
    image: Float32Array, patches: Float32Array, rows: NDArray[np.int32], warps: Float32Array
) -> Alignment:
    """:func:`align` in NumPy, point by point: the reference of the compiled one."""
    found = np.asarray(warps, np.float32).copy()
    sigma_px, correlations = np.full((2, len(rows)), np.nan, np.float32)
    for i, patch in enumerate(patches[rows].astype(np.float64)):
        result = _align_one(image, patch, found[i].astype(np.float64)) if np.isfinite(patch).all() else None
        if result is not None:
            found[i], sigma_px[i], correlations[i] = result
    return Alignment(found, sigma_px, correlations)


@dataclass(frozen=True, eq=False)
class _System:
    """The linear system of one patch, its pixels in rows, every column without its mean."""

    template: _Matrix  # (P,)
    warp: _Matrix  # (P, 6) without the nuisances
    nuisances: _Matrix  # (P, 4)
    projector: _Matrix  # (4, P), from a residual to its nuisances

    def without_nuisances(self, residual: _Matrix) -> _Matrix:
        return residual - self.nuisances @ (self.projector @ residual)


def _grid() -> tuple[_Matrix, _Matrix]:
    """u and v of the patch's pixels, (P,) each."""
    steps = np.arange(PATCH_PX) - _HALF
    v, u = np.meshgrid(steps, steps, indexing="ij")
    return u.ravel(), v.ravel()


def _system(t: _Matrix) -> _System:
    u, v = _grid()
    centre, left, right, up, down = t[1:-1, 1:-1], t[1:-1, :-2], t[1:-1, 2:], t[:-2, 1:-1], t[2:, 1:-1]
    x, y = ((right - left) / 2).ravel(), ((down - up) / 2).ravel()
    mixed = (t[2:, 2:] + t[:-2, :-2] - t[2:, :-2] - t[:-2, 2:]) / 4
    warp = np.stack([x, y, x * u, x * v, y * u, y * v], 1)
    nuisances = np.stack([m.ravel() for m in (centre, left + right - 2 * centre, mixed, up + down - 2 * centre)], 1)
    warp, nuisances = warp - warp.mean(0), nuisances - nuisances.mean(0)
    projector = np.linalg.solve(nuisances.T @ nuisances + _RIDGE * np.eye(_NUISANCES - 1), nuisances.T)
    return _System(nuisances[:, 0], warp - nuisances @ (projector @ warp), nuisances, projector)


def _align_one(image: Float32Array, patch: _Matrix, warp: _Matrix) -> tuple[_Matrix, float, float] | None:
    """The warp, 1-sigma error and correlation of one patch; ``None`` where it is not found."""
    system, (u, v) = _system(patch), _grid()
    begin, matrix, position = warp[2:].reshape(2, 2), warp[2:].reshape(2, 2), warp[:2]
    normal = system.warp.T @ system.warp + _RIDGE * np.eye(_WARP)
    is_affine = np.arange(_WARP) >= 2
    deviation = float(np.linalg.norm(system.template))
    for _ in range(MAX_ITERATIONS):
        x, y = position[:, None] + matrix @ np.stack([u, v])
        if not _inside(image, x, y):
            return None
        sampled = _bilinear(image, x, y)
        sampled = sampled - sampled.mean()
        sampled *= deviation / max(float(np.linalg.norm(sampled)), _SMALLEST)
        correlation = float(sampled @ system.template) / max(deviation**2, _SMALLEST**2)
        residual = system.without_nuisances(sampled - system.template)
        variance = float(residual @ residual) / (len(u) - _WARP - _NUISANCES)
        prior = np.where(is_affine, _PRIOR_WEIGHT * variance, 0.0)
        inverse = np.linalg.inv(normal + np.diag(prior))
        change = np.concatenate([[0, 0], (np.linalg.solve(begin, matrix) - np.eye(2)).ravel()])
        step = inverse @ (system.warp.T @ residual + prior * change)
        matrix = matrix @ np.linalg.inv(np.eye(2) + step[2:].clip(-0.3, 0.3).reshape(2, 2))
        moved = matrix @ step[:2].clip(-2.0, 2.0)
        position = position - moved
        if np.linalg.norm(moved) <= TOLERANCE_PX:
            sigma_px = _position_sigma(system, residual, matrix, inverse, prior)
            return np.concatenate([position, matrix.ravel()]), sigma_px, correlation
    return None


def _position_sigma(system: _System, residual: _Matrix, matrix: _Matrix, inverse: _Matrix, prior: _Matrix) -> float:
    rows = matrix @ inverse[:2]  # (2, 6) from a gradient to a position in the image
    block = np.arange(PATCH_PX) * _BLOCKS // PATCH_PX
    blocks = (block[:, None] * _BLOCKS + block).ravel()
    gradients = np.stack([system.warp[blocks == b].T @ residual[blocks == b] for b in range(_BLOCKS**2)])  # (9, 6)
    parameters = _WARP - float(prior @ np.diag(inverse))  # those that the prior leaves free
    correction = _BLOCKS**2 / max(float(_BLOCKS**2 - parameters), 1.0)
    return float(np.sqrt(0.5 * correction * np.sum((gradients @ rows.T) ** 2)))


def _inside(image: Float32Array, x: _Matrix, y: _Matrix) -> bool:
    height, width = image.shape
    return bool(x.min() >= 0.5 and y.min() >= 0.5 and x.max() <= width - 1.5 and y.max() <= height - 1.5)


def _bilinear(image: Float32Array, x: _Matrix, y: _Matrix) -> _Matrix:
    left, top = x.astype(np.intp), y.astype(np.intp)
    fx, fy = x - left, y - top
    upper = image[top, left] * (1 - fx) + image[top, left + 1] * fx
    lower = image[top + 1, left] * (1 - fx) + image[top + 1, left + 1] * fx
    return np.asarray(upper * (1 - fy) + lower * fy, np.float64)
