# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The sparse deformable descriptor head, SDDH (ALIKED, arXiv 2304.03608)."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from aliked_ops import get_patches
from torch import Tensor, nn

from aliked_ros.network.layers import SELU, sample_bilinear


class SDDH(nn.Module):
    """Describes each keypoint by features sampled at M positions, which it predicts from a K×K patch.

    Args:
        dim: channels of the feature map and of a descriptor, D.
        kernel_size: size of the patch the offsets are predicted from, K.
        num_positions: sample positions of a keypoint, M.
    """

    def __init__(self, dim: int, kernel_size: int, num_positions: int) -> None:
        super().__init__()
        self.kernel_size, self.num_positions = kernel_size, num_positions
        self.offset_conv = nn.Sequential(
            nn.Conv2d(dim, 2 * num_positions, kernel_size=kernel_size),
            nn.SELU(),
            nn.Conv2d(2 * num_positions, 2 * num_positions, kernel_size=1),
        )
        self.sf_conv = nn.Conv2d(dim, dim, kernel_size=1, bias=False)
        self.agg_weights = nn.Parameter(torch.rand(num_positions, dim, dim))

    def forward(self, feature_map: Tensor, keypoints_xy: Tensor) -> Tensor:
        """Unit descriptors (N, D) of keypoints (N, 2), in pixels of one normalised feature map (D, H, W)."""
        positions = keypoints_xy[:, None] + self.offsets(feature_map, keypoints_xy)  # (N, M, 2)
        samples = sample_bilinear(feature_map, positions.reshape(-1, 2))  # (N·M, D)
        samples = SELU(F.linear(samples, self.sf_conv.weight[:, :, 0, 0]))
        samples = samples.view(-1, self.num_positions, feature_map.shape[0])  # (N, M, D)
        return F.normalize(torch.einsum("nmc,mcd->nd", samples, self.agg_weights), dim=1)

    def offsets(self, feature_map: Tensor, keypoints_xy: Tensor) -> Tensor:
        """Where each keypoint looks, (N, M, 2) pixels relative to it, at most max(H, W)/4 away per axis."""
        limit = max(feature_map.shape[1:]) / 4.0
        patches = get_patches(feature_map, keypoints_xy.detach().long(), self.kernel_size)  # (N, D, K, K)
        offsets: Tensor = self.offset_conv(patches).clamp(-limit, limit)  # (N, 2·M, 1, 1), all x before all y
        return offsets.view(-1, 2, self.num_positions).transpose(1, 2)
