# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""ALIKED (arXiv 2304.03608): an encoder, feature aggregation, a score head, DKD and SDDH.

Written to be read and to be differentiated. The engines compute the same function faster.

The shapes, for an image of (B, 3, H, W) padded to multiples of 32:

===========  ==========================  =================
step         output                      shape
===========  ==========================  =================
block1       c1 channels                 H × W
block2       c2 channels                 H/2 × W/2
block3       c3 channels, deformable     H/8 × W/8
block4       c4 channels, deformable     H/32 × W/32
aggregation  4 × dim/4 channels          H × W
score head   1 channel in (0, 1)         H × W
===========  ==========================  =================
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from aliked_ros.errors import ConfigError
from aliked_ros.network.descriptor import SDDH
from aliked_ros.network.detector import DKD, Keypoints
from aliked_ros.network.layers import SELU, ConvBlock, Padding, ResBlock
from aliked_ros.network.selection import Selection


@dataclass(frozen=True)
class ModelSpec:
    """The sizes that tell the published models apart (ALIKED-T16, -N16, -N32 of the paper)."""

    channels: tuple[int, int, int, int]  # of the four blocks
    dim: int  # of the feature map and of a descriptor
    num_positions: int  # M of the SDDH
    kernel_size: int = 3  # K of the SDDH


MODELS = {
    "aliked-t16": ModelSpec((8, 16, 32, 64), dim=64, num_positions=16),
    "aliked-n16": ModelSpec((16, 32, 64, 128), dim=128, num_positions=16),
    "aliked-n16rot": ModelSpec((16, 32, 64, 128), dim=128, num_positions=16),
    "aliked-n32": ModelSpec((16, 32, 64, 128), dim=128, num_positions=32),
}


@dataclass(frozen=True, eq=False)
class Extraction:
    """What the network finds in one image; gradients flow through every tensor."""

    keypoints: Keypoints
    descriptors: Tensor  # (N, D) unit length


class ALIKED(nn.Module):
    """The network with random weights; see :mod:`aliked_ros.network.weights` for the published ones.

    Raises:
        ConfigError: the model is none of ``MODELS``.
    """

    def __init__(self, model: str = "aliked-n16") -> None:
        super().__init__()
        if model not in MODELS:
            raise ConfigError(f"unknown model {model!r}; known: {', '.join(MODELS)}")
        self.spec = MODELS[model]
        c1, c2, c3, c4 = self.spec.channels
        dim = self.spec.dim
        self.block1 = ConvBlock(3, c1)
        self.block2 = ResBlock(c1, c2, deformable=False)
        self.block3 = ResBlock(c2, c3, deformable=True)
        self.block4 = ResBlock(c3, c4, deformable=True)
        self.conv1 = nn.Conv2d(c1, dim // 4, kernel_size=1, bias=False)
        self.conv2 = nn.Conv2d(c2, dim // 4, kernel_size=1, bias=False)
        self.conv3 = nn.Conv2d(c3, dim // 4, kernel_size=1, bias=False)
        self.conv4 = nn.Conv2d(c4, dim // 4, kernel_size=1, bias=False)
        self.score_head = nn.Sequential(
            nn.Conv2d(dim, 8, kernel_size=1, bias=False),
            nn.SELU(),
            nn.Conv2d(8, 4, kernel_size=3, padding=1, bias=False),
            nn.SELU(),
            nn.Conv2d(4, 4, kernel_size=3, padding=1, bias=False),
            nn.SELU(),
            nn.Conv2d(4, 1, kernel_size=3, padding=1, bias=False),
        )
        self.desc_head = SDDH(dim, self.spec.kernel_size, self.spec.num_positions)
        self.dkd = DKD()

    def forward(self, image: Tensor, max_keypoints: int = 1000, score_threshold: float = 0.2) -> list[Extraction]:
        """Keypoints and descriptors of each RGB image of (B, 3, H, W), values in [0, 1], H and W from 32 up."""
        return self.extract(image, Selection(max_keypoints, score_threshold))

    def extract(self, image: Tensor, selection: Selection) -> list[Extraction]:
        """The keypoints that are wanted and their descriptors; images as in :meth:`forward`."""
        feature_map, score_map = self.dense_maps(image)
        return [
            Extraction(keypoints, self.desc_head(features, keypoints.xy))
            for features, keypoints in zip(feature_map, self.dkd.select(score_map, image, selection), strict=True)
        ]

    def dense_maps(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The normalised feature map (B, D, H, W) and the score map (B, 1, H, W) of images (B, 3, H, W)."""
        padding = Padding(*image.shape[-2:])
        features = self.aggregate(self.encode(padding.pad(image)))
        score_map = torch.sigmoid(self.score_head(features))
        return padding.crop(F.normalize(features, dim=1)), padding.crop(score_map)

    def encode(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The four levels of the encoder, at 1, 1/2, 1/8 and 1/32 of a padded image's size."""
        x1 = self.block1(image.to(self.block1.bn1.weight.dtype))
        x2 = self.block2(F.avg_pool2d(x1, 2))
        x3 = self.block3(F.avg_pool2d(x2, 4))
        x4 = self.block4(F.avg_pool2d(x3, 4))
        return x1, x2, x3, x4

    def lower_encoder(self, dtype: torch.dtype) -> None:
        """Runs the encoder in a narrower type from now on.

        Aggregation, score head and descriptor head stay in float32: a score map in half precision would have
        plateaus where it has peaks.
        """
        for block in (self.block1, self.block2, self.block3, self.block4):
            block.to(dtype)

    def aggregate(self, levels: tuple[Tensor, Tensor, Tensor, Tensor]) -> Tensor:
        """Projects each level to D/4 channels and joins them at full resolution, (B, D, H, W)."""
        size = levels[0].shape[-2:]
        projected = [
            SELU(conv(level.to(conv.weight.dtype)))
            for conv, level in zip((self.conv1, self.conv2, self.conv3, self.conv4), levels, strict=True)
        ]
        upsampled = [F.interpolate(x, size, mode="bilinear", align_corners=True) for x in projected[1:]]
        return torch.cat([projected[0], *upsampled], 1)
