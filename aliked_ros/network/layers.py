# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The encoder's building blocks: plain and deformable 3×3 convolutions, the two kinds of block, input padding.

Attribute names are those of the official checkpoints, so that these load strictly.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812  the name every PyTorch user knows
from aliked_ops import deform_conv2d
from torch import Tensor, nn

SELU = F.selu


class DeformableConv2d(nn.Module):
    """A 3×3 convolution whose taps are moved by offsets that a second convolution predicts.

    Deformable convolution v1 (Dai et al., ICCV 2017). Offsets are clamped to ±max(h, w)/4 of its own input,
    as in the published network.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.offset_conv = nn.Conv2d(in_channels, 2 * 3 * 3, kernel_size=3, padding=1)
        self.regular_conv = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, out_channels, H, W)."""
        limit = max(x.shape[2:]) / 4.0
        offset = self.offset_conv(x).clamp(-limit, limit)  # (B, 18, H, W), (dy, dx) for each tap
        return deform_conv2d(x, offset, self.regular_conv.weight, padding=1)


def conv3x3(in_channels: int, out_channels: int, *, deformable: bool) -> nn.Module:
    """A 3×3 convolution without bias that keeps the size of its input."""
    if deformable:
        return DeformableConv2d(in_channels, out_channels)
    return nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False)


class ConvBlock(nn.Module):
    """Two convolutions with batch normalisation and SELU: the encoder's first block."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, out_channels, deformable=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = conv3x3(out_channels, out_channels, deformable=False)
        self.bn2 = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) to (B, out_channels, H, W)."""
        x = SELU(self.bn1(self.conv1(x)))
        return SELU(self.bn2(self.conv2(x)))


class ResBlock(nn.Module):
    """A residual block whose convolutions may be deformable; a 1×1 convolution carries the identity."""

    def __init__(self, in_channels: int, out_channels: int, *, deformable: bool) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, out_channels, deformable=deformable)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = conv3x3(out_channels, out_channels, deformable=deformable)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample = nn.Conv2d(in_channels, out_channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) to (B, out_channels, H, W)."""
        residual = SELU(self.bn1(self.conv1(x)))
        residual = self.bn2(self.conv2(residual))
        return SELU(residual + self.downsample(x))


class Padding:
    """Replication padding of an image to the next multiple of ``divisor``, half of it on each side."""

    def __init__(self, height: int, width: int, divisor: int = 32) -> None:
        missing_h, missing_w = -height % divisor, -width % divisor
        self.left, self.top = missing_w // 2, missing_h // 2
        self.right, self.bottom = missing_w - self.left, missing_h - self.top
        self._height, self._width = height, width

    def pad(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the padded size."""
        return F.pad(x, (self.left, self.right, self.top, self.bottom), mode="replicate")

    def crop(self, x: Tensor) -> Tensor:
        """A view of the original (B, C, H, W) within a padded map."""
        return x[..., self.top : self.top + self._height, self.left : self.left + self._width]


def sample_bilinear(feature_map: Tensor, xy: Tensor) -> Tensor:
    """Bilinear samples (N, C) of a map (C, H, W) at pixels ``xy`` (N, 2); zero outside the map."""
    _, height, width = feature_map.shape
    size = torch.tensor([width - 1, height - 1], dtype=xy.dtype, device=xy.device)
    grid = (2.0 * xy / size - 1.0).view(1, 1, -1, 2)
    samples = F.grid_sample(feature_map[None], grid.to(feature_map.dtype), mode="bilinear", align_corners=True)
    return samples[0, :, 0].t()  # (1, C, 1, N) -> (N, C)
