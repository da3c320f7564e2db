# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Photometric alignment of patches in the compiled CPU engine; ``aliked_ros.frontend.alignment`` says what it does."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aliked_ops import cpu_engine

TEMPLATE_PX = 18
STATISTICS = 87  # numbers that are kept beside a patch
_Float32 = NDArray[np.float32]


def align_patches(
    image: _Float32,
    patches: _Float32,
    statistics: NDArray[np.float64],
    rows: NDArray[np.int32],
    warps: _Float32,
    settings: tuple[float, float, float],
    threads: int = 1,
) -> tuple[_Float32, _Float32, _Float32]:
    """Looks for patches in an image (H, W) from warps (N, 6).

    Args:
        image: smoothed, grey.
        patches: (K, 18, 18), each with a border of a pixel; one with NaN is not looked for.
        statistics: (K, 87), which :func:`cut_patches` gave with them.
        rows: which of them each point looks for, (N,).
        warps: x, y, and the affine matrix by rows.
        settings: most iterations, the step in pixels that ends them, the prior's weight.
        threads: that share the points; 0 for as many as this process may use.

    Returns:
        warps (N, 6), 1-sigma errors in pixels (N,), correlations (N,); the last two are NaN where nothing was found.

    Raises:
        CpuEngineError: the library is not available.
        ValueError: the arrays do not fit each other.
    """
    image, patches = (np.ascontiguousarray(array, np.float32) for array in (image, patches))
    _require_image(image)
    rows, statistics = np.ascontiguousarray(rows, np.int32), np.ascontiguousarray(statistics, np.float64)
    if patches.shape[1:] != (TEMPLATE_PX, TEMPLATE_PX) or rows.ndim != 1 or warps.shape != (len(rows), 6):
        raise ValueError(
            f"patches (K, {TEMPLATE_PX}, {TEMPLATE_PX}), rows (N,) and warps (N, 6) are needed, "
            f"got {patches.shape}, {rows.shape} and {warps.shape}"
        )
    if statistics.shape != (len(patches), STATISTICS):
        raise ValueError(f"statistics ({len(patches)}, {STATISTICS}) are needed, got {statistics.shape}")
    if len(rows) and not 0 <= rows.min() <= rows.max() < len(patches):
        raise ValueError(f"rows must be among the {len(patches)} patches, got {rows.min()} to {rows.max()}")
    found, quality = np.array(warps, np.float32, order="C"), np.empty((len(rows), 2), np.float32)
    cpu_engine.checked(
        cpu_engine.library().aliked_cpu_align(
            *(cpu_engine.floats(image), *image.shape, cpu_engine.floats(patches), cpu_engine.doubles(statistics)),
            *(cpu_engine.ints(rows), len(rows)),
            *((ctypes.c_float * 3)(*settings), threads or cpu_engine.available_threads()),
            *(cpu_engine.chosen_instruction_set(), cpu_engine.floats(found), cpu_engine.floats(quality)),
        )
    )
    return found, quality[:, 0].copy(), quality[:, 1].copy()


def cut_patches(image: _Float32, xy: _Float32) -> tuple[_Float32, NDArray[np.float64]]:
    """Patches (N, 18, 18) of an image (H, W) around points (N, 2), by bilinear interpolation, and their statistics.

    The patches are NaN where they leave the image. The statistics (N, 87) are what alignment needs of a patch.

    Raises:
        CpuEngineError: the library is not available.
        ValueError: the arrays have other shapes.
    """
    image, xy = (np.ascontiguousarray(array, np.float32) for array in (image, xy))
    _require_image(image)
    if xy.ndim != 2 or xy.shape[1] != 2:
        raise ValueError(f"points must be (N, 2), got {xy.shape}")
    patches, statistics = np.empty((len(xy), TEMPLATE_PX, TEMPLATE_PX), np.float32), np.empty((len(xy), STATISTICS))
    cpu_engine.checked(
        cpu_engine.library().aliked_cpu_cut_patches(
            *(cpu_engine.floats(image), *image.shape, cpu_engine.floats(xy), len(xy)),
            *(cpu_engine.chosen_instruction_set(), cpu_engine.floats(patches)),
            cpu_engine.doubles(statistics),
        )
    )
    return patches, statistics


def _require_image(image: NDArray[Any]) -> None:
    if image.ndim != 2 or min(image.shape) < TEMPLATE_PX + 2:
        raise ValueError(f"an image must be (H, W) and at least {TEMPLATE_PX + 2} pixels each way, got {image.shape}")
