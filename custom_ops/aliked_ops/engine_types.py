# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the compiled engines have in common: a model's sizes, its tensors' order, an image as they read it, features."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class EngineModel:
    """The sizes that tell the published models apart."""

    channels: tuple[int, int, int, int]  # of the four blocks
    dim: int  # of a descriptor, D
    num_positions: int  # of the descriptor head, M


@dataclass(frozen=True, eq=False)
class Extracted:
    """Keypoints and descriptors of one image, strongest first."""

    keypoints_xy: _Float32  # (N, 2) pixels
    scores: _Float32  # (N,)
    dispersity: _Float32  # (N,)
    descriptors: _Float32  # (N, D) unit length


class ImageView:
    """An image as the library reads it, where it lies.

    Args:
        image: (H, W, 3) RGB or (H, W) grey uint8, any strides, 32×32 or larger.

    Raises:
        ValueError: it is none of these.
    """

    def __init__(self, image: NDArray[np.uint8]) -> None:
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
            raise ValueError(f"an image must be (H, W, 3) or (H, W) uint8, got {image.shape} {image.dtype}")
        if min(image.shape[:2]) < 32:
            raise ValueError(f"an image must be at least 32×32, got {image.shape}")
        self._kept = image
        self.shape = (image.shape[0], image.shape[1])
        grey = [0] if image.ndim == 2 else []
        self._strides = (ctypes.c_int64 * 3)(*image.strides, *grey)

    @property
    def arguments(self) -> tuple[Any, ...]:
        """Address, height, width and strides."""
        return self.address, *self.shape, self._strides

    @property
    def address(self) -> int:
        """Where the first pixel lies."""
        return self._kept.ctypes.data

    @property
    def channels(self) -> int:
        """3 for RGB, 1 for grey."""
        return 1 if self._kept.ndim == 2 else 3

    @property
    def strides(self) -> tuple[int, int, int]:
        """Bytes from row to row, from column to column and from channel to channel."""
        return (self._strides[0], self._strides[1], self._strides[2])


def tensor_names() -> Iterator[str]:
    """Names of the checkpoint's tensors in the order in which the library reads them."""
    for block in range(1, 5):
        for conv in (1, 2):
            name = f"block{block}.conv{conv}"
            if block < 3:
                yield f"{name}.weight"
            else:
                yield from (f"{name}.offset_conv.weight", f"{name}.offset_conv.bias", f"{name}.regular_conv.weight")
            for part in ("weight", "bias", "running_mean", "running_var"):
                yield f"block{block}.bn{conv}.{part}"
        if block > 1:
            yield from (f"block{block}.downsample.weight", f"block{block}.downsample.bias")
    yield from (f"conv{level}.weight" for level in range(1, 5))
    yield from (f"score_head.{index}.weight" for index in (0, 2, 4, 6))
    yield from (f"desc_head.offset_conv.{index}.{part}" for index in (0, 2) for part in ("weight", "bias"))
    yield from ("desc_head.sf_conv.weight", "desc_head.agg_weights")


def read_tensors(tensor: Callable[[str], NDArray[Any]]) -> _Float32:
    """All tensors of a checkpoint, one behind the other."""
    return np.concatenate([np.asarray(tensor(name), np.float32).ravel() for name in tensor_names()])
