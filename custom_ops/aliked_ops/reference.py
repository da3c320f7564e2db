# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The operators in plain torch: what the compiled kernels are tested against, and what runs where none could be built.

Differentiable by autograd, on any device. float16 and bfloat16 are computed in float32.
"""

from __future__ import annotations

import torch
from torch import Tensor

from aliked_ops.checks import ConvGeometry, check_deform_conv2d, check_get_patches


def get_patches(feature_map: Tensor, points_xy: Tensor, kernel_size: int) -> Tensor:
    """Cut one (K, K) patch of the map around every point, zero outside the map.

    Args:
        feature_map: (C, H, W), floating point.
        points_xy: (N, 2) int64, pixels (x, y); N may be 0 and points may lie outside the map.
        kernel_size: K. Row i of a patch is row y - (K - 1) // 2 + i of the map, columns alike: an odd K is centred.

    Returns:
        (N, C, K, K), contiguous.

    Raises:
        RuntimeError: a shape, dtype or device is not as above.
    """
    check_get_patches(feature_map, points_xy, kernel_size)
    height, width = feature_map.shape[1:]
    # A point this far out sees nothing of the map anyway; clamping keeps the sums below from overflowing.
    limit = torch.tensor([width, height], device=points_xy.device) + kernel_size
    x, y = torch.minimum(points_xy.clamp(min=-kernel_size), limit).unbind(1)
    steps = torch.arange(kernel_size, device=points_xy.device) - (kernel_size - 1) // 2
    rows = (y[:, None] + steps)[:, :, None]  # (N, K, 1)
    columns = (x[:, None] + steps)[:, None, :]  # (N, 1, K)
    patches = _pixels(feature_map.flatten(1), rows, columns, (height, width))  # (C, N, K, K)
    return patches.transpose(0, 1).contiguous()


def deform_conv2d(
    feature_map: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
) -> Tensor:
    """Convolve the map, sampled at positions shifted by the offsets (deformable convolution v1, arXiv 1703.06211).

    Args:
        feature_map: (B, C, H, W), floating point; B may be 0.
        offset: (B, 2 * Kh * Kw, Ho, Wo), pixels: for kernel tap t, channel 2t shifts vertically, 2t + 1 horizontally.
        weight: (O, C, Kh, Kw).
        bias: (O,) or None.
        stride: (vertical, horizontal) step, as of `torch.nn.functional.conv2d`; `padding` and `dilation` alike.
        padding: Zeros around the map.
        dilation: Distance of the kernel's taps.

    Returns:
        (B, O, Ho, Wo). Samples are bilinear with zeros outside the map; a sample at y <= -1, y >= H, x <= -1 or x >= W,
        or at NaN, is 0.

    Raises:
        RuntimeError: a shape, dtype or device is not as above.
    """
    geometry = check_deform_conv2d(feature_map, offset, weight, bias, stride, padding, dilation)
    compute_dtype = torch.promote_types(feature_map.dtype, torch.float32)
    y, x = _sampling_positions(offset.to(compute_dtype), geometry)  # each (B, Kh * Kw, Ho, Wo)
    columns = _sample_bilinear(feature_map.to(compute_dtype), y, x)  # (C, B, Kh * Kw, Ho, Wo)
    output = torch.einsum("oct,cbthw->bohw", weight.to(compute_dtype).flatten(2), columns)
    if bias is not None:
        output = output + bias.to(compute_dtype)[:, None, None]
    return output.to(feature_map.dtype)


def _pixels(pixels: Tensor, rows: Tensor, columns: Tensor, size: tuple[int, int], image: Tensor | int = 0) -> Tensor:
    """Read (C, B * H * W) pixels at integer positions of any common shape (...), zero outside: (C, ...)."""
    height, width = size
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    index = (image * height + rows.clamp(0, height - 1)) * width + columns.clamp(0, width - 1)
    return torch.where(inside, pixels[:, index], 0)


def _sampling_positions(offset: Tensor, geometry: ConvGeometry) -> tuple[Tensor, Tensor]:
    """Positions (y, x) at which every output pixel reads the map, each (B, Kh * Kw, Ho, Wo)."""
    axes = [
        torch.arange(taps, device=offset.device)[:, None] * dilation
        + torch.arange(count, device=offset.device) * stride
        - padding
        for taps, dilation, count, stride, padding in zip(
            geometry.kernel_size,
            geometry.dilation,
            geometry.output_size,
            geometry.stride,
            geometry.padding,
            strict=True,
        )
    ]  # (Kh, Ho) and (Kw, Wo)
    shifts = offset.reshape(offset.shape[0], *geometry.kernel_size, 2, *geometry.output_size)  # (B, Kh, Kw, 2, Ho, Wo)
    y = shifts[:, :, :, 0] + axes[0][:, None, :, None]
    x = shifts[:, :, :, 1] + axes[1][:, None, :]
    return y.flatten(1, 2), x.flatten(1, 2)


def _sample_bilinear(feature_map: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Sample (B, C, H, W) at positions (B, ...) between pixels, zero outside: (C, B, ...)."""
    batch, _, height, width = feature_map.shape
    pixels = feature_map.transpose(0, 1).flatten(1)
    image = torch.arange(batch, device=y.device).view(batch, *[1] * (y.dim() - 1))
    # Positions without any pixel, and NaN, move to where all four neighbours are outside: value and gradient are 0.
    inside = (y > -1) & (y < height) & (x > -1) & (x < width)
    y, x = torch.where(inside, y, -2), torch.where(inside, x, -2)
    top, left = y.floor(), x.floor()
    down, right = y - top, x - left
    rows, columns = top.long(), left.long()
    size = (height, width)
    return (
        _pixels(pixels, rows, columns, size, image) * ((1 - down) * (1 - right))
        + _pixels(pixels, rows, columns + 1, size, image) * ((1 - down) * right)
        + _pixels(pixels, rows + 1, columns, size, image) * (down * (1 - right))
        + _pixels(pixels, rows + 1, columns + 1, size, image) * (down * right)
    )
