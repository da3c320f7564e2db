# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Differentiable keypoint detection, DKD (ALIKE, arXiv 2112.02906): local maxima, refined by a soft arg-max."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from aliked_ops import get_patches
from torch import Tensor, nn

from aliked_ros.network.layers import sample_bilinear
from aliked_ros.network.selection import Grid, Selection


@dataclass(frozen=True, eq=False)
class Keypoints:
    """Detected keypoints of one image, strongest first; gradients flow to the score map."""

    xy: Tensor  # (N, 2) pixels; the centre of the top-left pixel is (0, 0)
    scores: Tensor  # (N,) the score map at xy
    dispersity: Tensor  # (N,) spread of the score peak, in units of the window's radius squared


class DKD(nn.Module):
    """Finds local maxima of a score map and refines each within its window.

    Args:
        radius: of the non-maximum suppression and of the refinement window, in pixels.
        temperature: of the soft arg-max; the published network uses 0.1.
    """

    grid: Tensor

    def __init__(self, radius: int = 2, temperature: float = 0.1) -> None:
        super().__init__()
        self.radius, self.temperature = radius, temperature
        steps = torch.arange(-radius, radius + 1, dtype=torch.float32)
        rows, columns = torch.meshgrid(steps, steps, indexing="ij")
        # (window, 2) displacement (x, y) of each pixel of the window; not part of the official checkpoints
        self.register_buffer("grid", torch.stack([columns, rows], -1).view(-1, 2), persistent=False)

    def forward(self, score_map: Tensor, image: Tensor, max_keypoints: int, score_threshold: float) -> list[Keypoints]:
        """The strongest ``max_keypoints`` maxima above ``score_threshold`` of each score map; see :meth:`select`."""
        return self.select(score_map, image, Selection(max_keypoints, score_threshold))

    def select(self, score_map: Tensor, image: Tensor, selection: Selection) -> list[Keypoints]:
        """The keypoints of each score map that are wanted.

        Args:
            score_map: (B, 1, H, W) in (0, 1).
            image: (B, 3, H, W) that it was made of; where it is blank there are no keypoints.
            selection: holds for each image.
        """
        maxima = local_maxima(score_map.detach(), self.radius) * is_textured(image, self.radius)
        return [
            self._refine(single[0], self._choose(single[0].detach(), scores[0], selection))
            for single, scores in zip(score_map, maxima, strict=True)
        ]

    def _choose(self, score_map: Tensor, maxima: Tensor, selection: Selection) -> Tensor:
        """Pixels (N, 2) of the maxima (H, W) that are wanted, strongest first."""
        if selection.grid is None and selection.mask is None:
            return strongest(maxima, selection.max_keypoints, selection.score_threshold)
        pixels = strongest(maxima, maxima.numel(), selection.score_threshold)
        # Masks and cells look for a maximum at the pixel that it lies in after its refinement.
        refined = (pixels + self._peaks(score_map, pixels)[1] + 0.5).floor().long()
        if selection.mask is not None:
            wanted = torch.from_numpy(selection.mask).to(maxima.device)[refined[:, 1], refined[:, 0]]
            pixels, refined = pixels[wanted], refined[wanted]
        if selection.grid is not None:
            pixels = pixels[within_cells(refined, maxima.shape, selection.grid)]
        return pixels[: selection.max_keypoints]

    def _peaks(self, score_map: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Weights (N, window²) around maxima (N, 2) of a map (H, W), and ALIKE's soft arg-max (N, 2) from there."""
        window = 2 * self.radius + 1
        patches = get_patches(score_map[None], pixels, window).view(len(pixels), window * window)
        # The maximum only guards against overflow: no gradient flows through it.
        peak = patches.detach().amax(1, keepdim=True)
        weights = F.softmax((patches - peak) / self.temperature, dim=1)
        return weights, weights @ self.grid.to(weights)

    def _refine(self, score_map: Tensor, pixels: Tensor) -> Keypoints:
        """Sub-pixel keypoints of a map (H, W) at maxima (N, 2), with their score dispersity."""
        weights, shift = self._peaks(score_map, pixels)
        distance2 = ((self.grid.to(weights) - shift[:, None]) / self.radius).square().sum(-1)  # (N, window²)
        xy = pixels + shift
        scores = sample_bilinear(score_map[None], xy)[:, 0]
        order = scores.detach().sort(descending=True, stable=True).indices
        return Keypoints(xy[order], scores[order], (weights * distance2).sum(1)[order])


def local_maxima(score_map: Tensor, radius: int) -> Tensor:
    """The scores (B, 1, H, W) at local maxima, zero elsewhere, at a border of ``radius`` and on plateaus.

    Non-maximum suppression in three rounds as published: a maximum of a window suppresses the window, and what is
    then a maximum of the rest joins. A window without any variation holds no maximum.
    """
    is_maximum = score_map == _window_max(score_map, radius)
    for _ in range(2):
        suppressed = _window_max(is_maximum.to(score_map.dtype), radius) > 0
        remaining = score_map.masked_fill(suppressed, 0.0)
        is_maximum |= (remaining == _window_max(remaining, radius)) & ~suppressed
    is_maximum &= score_map > -_window_max(-score_map, radius)
    inside = torch.zeros_like(is_maximum)
    inside[..., radius:-radius, radius:-radius] = True
    return score_map * (is_maximum & inside)


def is_textured(image: Tensor, radius: int) -> Tensor:
    """Where the window around a pixel of (B, C, H, W) varies in any channel, (B, 1, H, W) bool.

    The network sees its own zero padding from far away, so the score map of a blank image has faint maxima; the
    published code returns them in its top-k mode.
    """
    varies = _window_max(image, radius) > -_window_max(-image, radius)
    return varies.any(1, keepdim=True)


def _window_max(x: Tensor, radius: int) -> Tensor:
    return F.max_pool2d(x, 2 * radius + 1, stride=1, padding=radius)


def strongest(maxima: Tensor, max_keypoints: int, score_threshold: float) -> Tensor:
    """Pixels (N, 2) int64 of the strongest ``max_keypoints`` values of (H, W) above the threshold."""
    width = maxima.shape[1]
    flat = maxima.flatten()
    candidates = (flat > score_threshold).nonzero()[:, 0]
    # A stable sort of the few candidates, not topk: equal scores keep their raster order everywhere.
    order = flat[candidates].sort(descending=True, stable=True).indices[:max_keypoints]
    chosen = candidates[order]
    return torch.stack([chosen % width, chosen // width], 1)


def within_cells(pixels: Tensor, shape: tuple[int, ...], grid: Grid) -> Tensor:
    """Which of pixels (N, 2) in an image of shape (H, W) are among the first of their cell, (N,) bool."""
    row = pixels[:, 1] * grid.rows // shape[0]
    column = pixels[:, 0] * grid.columns // shape[1]
    cell = row * grid.columns + column
    by_cell = cell.sort(stable=True).indices
    counts = cell.bincount(minlength=grid.rows * grid.columns)
    first = counts.cumsum(0) - counts  # of each cell, among those by cell
    rank = torch.empty_like(cell)
    rank[by_cell] = torch.arange(len(cell), device=cell.device) - first[cell[by_cell]]
    return rank < grid.max_per_cell
