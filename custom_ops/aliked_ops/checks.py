# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the operators accept, checked in one place for the references and the fake kernels.

The compiled kernels check the same in `csrc/checks.h`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

FLOATING_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass(frozen=True)
class ConvGeometry:
    """Sizes and steps of a 2-D convolution; every pair is (vertical, horizontal)."""

    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    output_size: tuple[int, int]


def _require(condition: bool, message: Callable[[], str]) -> None:
    """Raise what the compiled checks raise. Not torch._check, through whose messages torch.compile cannot see."""
    if not condition:
        raise RuntimeError(message())


def check_dtype(op: str, name: str, tensor: Tensor) -> None:
    """Raise RuntimeError unless the tensor is of a supported floating-point type."""
    _require(
        tensor.dtype in FLOATING_DTYPES,
        lambda: f"{op}: {name} must be float16, bfloat16, float32 or float64, got {tensor.dtype}",
    )


def check_like(op: str, name: str, tensor: Tensor, dtype: torch.dtype, device: torch.device) -> None:
    """Raise RuntimeError unless the tensor has this dtype and lies on this device."""
    _require(tensor.dtype == dtype, lambda: f"{op}: {name} must be {dtype}, got {tensor.dtype}")
    _require(tensor.device == device, lambda: f"{op}: {name} must be on {device}, got a tensor on {tensor.device}")


def check_points(op: str, points_xy: Tensor, device: torch.device) -> None:
    """Raise RuntimeError unless the points are (N, 2) int64 on this device."""
    _require(
        points_xy.dim() == 2 and points_xy.shape[1] == 2,
        lambda: f"{op}: points_xy must be (N, 2), got {tuple(points_xy.shape)}",
    )
    check_like(op, "points_xy", points_xy, torch.int64, device)


def check_get_patches(feature_map: Tensor, points_xy: Tensor, kernel_size: int) -> None:
    """Raise RuntimeError unless `get_patches` can work on these arguments."""
    op = "get_patches"
    check_dtype(op, "feature_map", feature_map)
    _require(
        feature_map.dim() == 3 and all(size > 0 for size in feature_map.shape),
        lambda: f"{op}: feature_map must be (C, H, W) and not empty, got {tuple(feature_map.shape)}",
    )
    check_points(op, points_xy, feature_map.device)
    _require(kernel_size >= 1, lambda: f"{op}: kernel_size must be at least 1, got {kernel_size}")


def check_get_patches_backward(grad_patches: Tensor, points_xy: Tensor, height: int, width: int) -> None:
    """Raise RuntimeError unless `get_patches_backward` can work on these arguments."""
    op = "get_patches_backward"
    check_dtype(op, "grad_patches", grad_patches)
    check_points(op, points_xy, grad_patches.device)
    _require(
        grad_patches.dim() == 4
        and grad_patches.shape[0] == points_xy.shape[0]
        and grad_patches.shape[1] >= 1
        and grad_patches.shape[2] == grad_patches.shape[3] >= 1,
        lambda: f"{op}: grad_patches must be ({points_xy.shape[0]}, C, K, K), got {tuple(grad_patches.shape)}",
    )
    _require(height >= 1 and width >= 1, lambda: f"{op}: height and width must be positive, got {height} and {width}")


def check_deform_conv2d(
    feature_map: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> ConvGeometry:
    """Return the geometry of the convolution; raise RuntimeError unless these arguments belong together."""
    op = "deform_conv2d"
    dtype, device = feature_map.dtype, feature_map.device
    check_dtype(op, "feature_map", feature_map)
    for name, tensor in (("offset", offset), ("weight", weight), ("bias", bias)):
        if tensor is not None:
            check_like(op, name, tensor, dtype, device)
    _check_map_and_weight(feature_map, weight, bias)
    kernel_size = (weight.shape[2], weight.shape[3])
    for name, pair, least in (("stride", stride, 1), ("padding", padding, 0), ("dilation", dilation, 1)):
        _check_pair(name, pair, least)
    sizes = (feature_map.shape[2], feature_map.shape[3])
    rows, columns = (
        (size + 2 * pad - (step * (taps - 1) + 1)) // hop + 1
        for size, pad, step, taps, hop in zip(sizes, padding, dilation, kernel_size, stride, strict=True)
    )
    _require(
        rows >= 1 and columns >= 1,
        lambda: f"{op}: the kernel {kernel_size} dilated by {dilation} is larger than the padded map {sizes}",
    )
    expected = (feature_map.shape[0], 2 * kernel_size[0] * kernel_size[1], rows, columns)
    _require(
        offset.dim() == 4 and all(a == b for a, b in zip(offset.shape, expected, strict=True)),
        lambda: f"{op}: offset must be {expected}, got {tuple(offset.shape)}",
    )
    return ConvGeometry(kernel_size, stride, padding, dilation, (rows, columns))


def _check_pair(name: str, pair: tuple[int, int], least: int) -> None:
    _require(
        len(pair) == 2 and min(pair) >= least,
        lambda: f"deform_conv2d: {name} must be two numbers of at least {least}, got {list(pair)}",
    )


def _check_map_and_weight(feature_map: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    op = "deform_conv2d"
    _require(
        feature_map.dim() == 4 and all(size > 0 for size in feature_map.shape[1:]),
        lambda: f"{op}: feature_map must be (B, C, H, W) with C, H and W positive, got {tuple(feature_map.shape)}",
    )
    _require(
        weight.dim() == 4 and weight.shape[1] == feature_map.shape[1] and all(size > 0 for size in weight.shape),
        lambda: f"{op}: weight must be (O, {feature_map.shape[1]}, Kh, Kw) and not empty, got {tuple(weight.shape)}",
    )
    _require(
        bias is None or (bias.dim() == 1 and bias.shape[0] == weight.shape[0]),
        lambda: f"{op}: bias must be ({weight.shape[0]},), got {tuple(bias.shape) if bias is not None else None}",
    )
