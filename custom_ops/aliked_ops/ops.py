# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The operators' public face: the compiled kernels where they exist, the references elsewhere."""

from __future__ import annotations

import functools
import logging

import torch
from torch import Tensor

from aliked_ops import reference
from aliked_ops.backend import backend

_LOG = logging.getLogger(__name__)


def get_patches(feature_map: Tensor, points_xy: Tensor, kernel_size: int) -> Tensor:
    """Cut one (K, K) patch of the map around every point, zero outside the map (ALIKED's SDDH, arXiv 2304.03608).

    Args:
        feature_map: (C, H, W) of float16, bfloat16, float32 or float64, not empty; any strides, none cost a copy.
        points_xy: (N, 2) int64, pixels (x, y), on the map's device; N may be 0, points may lie outside and coincide.
        kernel_size: K >= 1. Row i of a patch is row y - (K - 1) // 2 + i of the map, columns alike: odd K is centred.

    Returns:
        (N, C, K, K), contiguous. Its gradient adds up where patches overlap.

    Raises:
        RuntimeError: a shape, dtype or device is not as above.
    """
    if not _compiled_for(feature_map):
        return reference.get_patches(feature_map, points_xy, kernel_size)
    patches: Tensor = torch.ops.aliked_ops.get_patches(feature_map, points_xy, kernel_size)
    return patches


def deform_conv2d(
    feature_map: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    dilation: int | tuple[int, int] = 1,
) -> Tensor:
    """Convolve the map, sampled at positions shifted by the offsets (deformable convolution v1, arXiv 1703.06211).

    Args:
        feature_map: (B, C, H, W) of float16, bfloat16, float32 or float64; B may be 0.
        offset: (B, 2 * Kh * Kw, Ho, Wo), pixels: for kernel tap t, channel 2t shifts vertically, 2t + 1 horizontally.
        weight: (O, C, Kh, Kw).
        bias: (O,) or None.
        stride: Step, as of `torch.nn.functional.conv2d`: one number or (vertical, horizontal).
        padding: Zeros around the map, likewise.
        dilation: Distance of the kernel's taps, likewise.

    Returns:
        (B, O, Ho, Wo). Samples are bilinear with zeros outside the map; a sample at y <= -1, y >= H, x <= -1 or x >= W,
        or at NaN, is 0. All tensors have one dtype and device; half types are computed in float32 on a CPU.

    Raises:
        RuntimeError: a shape, dtype or device is not as above.
    """
    steps = _pair(stride), _pair(padding), _pair(dilation)
    if not _compiled_for(feature_map):
        return reference.deform_conv2d(feature_map, offset, weight, bias, *steps)
    output: Tensor = torch.ops.aliked_ops.deform_conv2d(feature_map, offset, weight, bias, *steps)
    return output


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _compiled_for(tensor: Tensor) -> bool:
    if backend().compiled_for(tensor.device):
        return True
    if not torch.compiler.is_compiling():
        _warn_of_reference(tensor.device.type)
    return False


@functools.cache
def _warn_of_reference(device_type: str) -> None:
    reason = backend().reason or f"there are no compiled kernels for {device_type}"
    _LOG.warning("slow pure-torch operators run on %s: %s", device_type, reason)
