# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Parameters and operations of a model, counted from its layers, next to the paper's figures.

Two counts of operations, both for one image and its keypoints:

* ``products``: multiply-adds of the convolutions, deformable ones included, and of the descriptor head's matrix
  products. This is what the arithmetic units are busy with.
* ``with_resampling``: beside these, as common counters of a network's FLOPs have it, 11 for each value that is
  interpolated bilinearly (upsampling to full resolution, the descriptor head's samples), 4 for each value that batch
  normalisation scales and 1 for each value that pooling gives. The paper does not say how it counted; this convention
  comes within 1 % of its three figures, products alone are 9 to 15 % below them.

Neither counts activations, L2 normalisation, the deformable convolutions' own samples, and the detector.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from aliked_ros.network.layers import DeformableConv2d, Padding
from aliked_ros.network.model import ALIKED

BILINEAR, BATCH_NORM, POOLING = 11, 4, 1  # operations per value, in with_resampling
_COUNTED_SIZE = 64  # the maps' sizes are proportional to the image's, so a small one tells as much


@dataclass(frozen=True)
class PaperFigures:
    """Table of arXiv 2304.03608, for 640×480 and 1000 keypoints."""

    parameters_millions: float
    gflops: float


PAPER = {
    "aliked-t16": PaperFigures(0.192, 1.37),
    "aliked-n16": PaperFigures(0.677, 4.05),
    "aliked-n32": PaperFigures(0.980, 4.62),
}


@dataclass(frozen=True)
class Complexity:
    """What one model costs, whoever computes it."""

    model: str
    parameters: int
    products: dict[str, int] = field(default_factory=dict)  # multiply-adds by part
    resampling: int = 0  # interpolation, batch normalisation and pooling by the convention above

    @property
    def products_giga(self) -> float:
        """Multiply-adds of convolutions and matrix products, 10⁹."""
        return sum(self.products.values()) / 1e9

    @property
    def with_resampling_giga(self) -> float:
        """The same with interpolation, normalisation and pooling, 10⁹."""
        return (sum(self.products.values()) + self.resampling) / 1e9


def count(model: str, width: int = 640, height: int = 480, num_keypoints: int = 1000) -> Complexity:
    """Counts a model's parameters and operations for an image size and a number of keypoints.

    The size is padded to multiples of 32, as the network does it.
    """
    network = ALIKED(model).eval()
    per_area = _count_dense(network)
    padding = Padding(height, width)
    pixels = (height + padding.top + padding.bottom) * (width + padding.left + padding.right)
    scale = pixels // _COUNTED_SIZE**2 if pixels % _COUNTED_SIZE**2 == 0 else pixels / _COUNTED_SIZE**2
    products = {part: round(macs * scale) for part, macs in per_area.products.items()}
    products["descriptor head"] = num_keypoints * _descriptor_products(network)
    spec = network.spec
    samples = num_keypoints * spec.num_positions * spec.dim
    resampling = round(per_area.resampling * scale) + BILINEAR * samples
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return Complexity(model, parameters, products, resampling)


class _Counter:
    """Adds up what the layers of a network do in one pass."""

    def __init__(self) -> None:
        self.products: dict[str, int] = {}
        self.resampling = 0

    def watch(self, network: ALIKED) -> list[Any]:
        """Hooks into every layer of the dense part; a deformable convolution counts as the plain one it generalises."""
        hooks = []
        for name, layer in network.named_modules():
            part = _part_of(name)
            if isinstance(layer, DeformableConv2d):
                hooks.append(layer.register_forward_hook(self._convolution(part, layer.regular_conv)))
            elif isinstance(layer, nn.Conv2d):
                hooks.append(layer.register_forward_hook(self._convolution(part, layer)))
            elif isinstance(layer, nn.BatchNorm2d):
                hooks.append(layer.register_forward_hook(self._normalisation))
        return hooks

    def _convolution(self, part: str, layer: nn.Conv2d) -> Any:
        def add(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
            pixels = output.shape[0] * output.shape[2] * output.shape[3]
            self.products[part] = self.products.get(part, 0) + pixels * layer.weight.numel()

        return add

    def _normalisation(self, _module: nn.Module, _inputs: Any, output: Tensor) -> None:
        self.resampling += BATCH_NORM * output.numel()


@torch.inference_mode()
def _count_dense(network: ALIKED) -> _Counter:
    """What an image of _COUNTED_SIZE² pixels costs up to the score map."""
    counter = _Counter()
    hooks = counter.watch(network)
    image = torch.zeros(1, 3, _COUNTED_SIZE, _COUNTED_SIZE)
    levels = network.encode(image)
    features = network.aggregate(levels)
    network.score_head(features)
    for hook in hooks:
        hook.remove()
    upsampled = features.shape[1] * 3 // 4  # the first quarter of the channels is at full resolution already
    counter.resampling += BILINEAR * upsampled * _COUNTED_SIZE**2
    # Each level but the last is pooled, by 2, 4 and 4, into what the next block reads.
    pooled = itertools.pairwise(levels)
    counter.resampling += POOLING * sum(level.shape[1] * smaller[0, 0].numel() for level, smaller in pooled)
    return counter


def _descriptor_products(network: ALIKED) -> int:
    """Multiply-adds of one keypoint's offsets, and of its M samples' projection and weighted sum."""
    head = network.desc_head
    offsets = sum(layer.weight.numel() for layer in head.offset_conv if isinstance(layer, nn.Conv2d))
    return offsets + head.num_positions * head.sf_conv.weight.numel() + head.agg_weights.numel()


def _part_of(name: str) -> str:
    first = name.split(".")[0]
    return "aggregation" if first in ("conv1", "conv2", "conv3", "conv4") else first.replace("_", " ")
