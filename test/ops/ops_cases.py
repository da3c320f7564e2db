# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Inputs, definitions and devices that the operators' tests share."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import aliked_ops
import pytest
import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[2]
OPS_SOURCES = ROOT / "custom_ops"
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]


def require_compiled(name: str) -> torch.device:
    """The device, if kernels were compiled for it; the test skips, and says why, where there are none."""
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    if not aliked_ops.backend().compiled_for(device):
        pytest.skip(f"no compiled kernels: {aliked_ops.backend().reason}")
    return device


@contextlib.contextmanager
def torch_threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def busy_stream() -> Iterator[Tensor]:
    """A stream of the caller's with work before it, and a zero that is there only once the work is done."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        slow = torch.ones((2000, 2000), device="cuda")
        for _ in range(20):
            slow = slow @ slow * 5e-4
        yield slow[0, 0] - slow[0, 1]
    stream.synchronize()


LIMITS = torch.iinfo(torch.int64)
# Overlapping and coinciding points, every border, corners, partly and wholly outside, and as far out as int64 goes.
POINTS = torch.tensor(
    [
        *[(4, 3), (4, 3), (5, 3), (3, 2), (0, 0), (8, 6), (8, 0), (0, 6), (4, 0), (4, 6), (0, 3), (8, 3)],
        *[(-1, 3), (9, 3), (4, -1), (4, 7), (-2, -2), (10, 8), (-50, 3), (4, 900)],
        *[(LIMITS.min, 0), (LIMITS.max, 0), (0, LIMITS.min), (0, LIMITS.max)],
    ]
)
CHANNELS, HEIGHT, WIDTH = 5, 7, 9


def random_map(dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn((CHANNELS, HEIGHT, WIDTH), generator=torch.Generator().manual_seed(0)).to(dtype)


def covered_pixels(points_xy: Tensor, kernel_size: int, height: int, width: int) -> Iterator[tuple[int, ...]]:
    """Every number of every patch that lies on the map: (n, i, j, row, column)."""
    before = (kernel_size - 1) // 2
    for n, (x, y) in enumerate(points_xy.tolist()):
        for i in range(kernel_size):
            for j in range(kernel_size):
                row, column = y - before + i, x - before + j
                if 0 <= row < height and 0 <= column < width:
                    yield n, i, j, row, column


def patches_by_definition(feature_map: Tensor, points_xy: Tensor, kernel_size: int) -> Tensor:
    """One pixel at a time."""
    patches = feature_map.new_zeros((len(points_xy), feature_map.shape[0], kernel_size, kernel_size))
    for n, i, j, row, column in covered_pixels(points_xy, kernel_size, *feature_map.shape[1:]):
        patches[n, :, i, j] = feature_map[:, row, column]
    return patches


def map_gradient_by_definition(grad_patches: Tensor, points_xy: Tensor, height: int, width: int) -> Tensor:
    """One pixel at a time, in float64."""
    grad_map = torch.zeros((grad_patches.shape[1], height, width), dtype=torch.float64)
    for n, i, j, row, column in covered_pixels(points_xy, grad_patches.shape[3], height, width):
        grad_map[:, row, column] += grad_patches[n, :, i, j].double()
    return grad_map


@dataclass(frozen=True)
class Convolution:
    """A deformable convolution; pairs are (vertical, horizontal)."""

    batch: int = 2
    channels: int = 5
    outputs: int = 4
    size: tuple[int, int] = (9, 12)
    kernel_size: tuple[int, int] = (3, 3)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    bias: bool = True

    @property
    def taps(self) -> int:
        return math.prod(self.kernel_size)

    @property
    def steps(self) -> tuple[tuple[int, int], ...]:
        return self.stride, self.padding, self.dilation

    @property
    def output_size(self) -> tuple[int, ...]:
        return tuple(
            (size + 2 * pad - step * (taps - 1) - 1) // hop + 1
            for size, pad, step, taps, hop in zip(
                self.size, self.padding, self.dilation, self.kernel_size, self.stride, strict=True
            )
        )

    @property
    def output_shape(self) -> tuple[int, ...]:
        return (self.batch, self.outputs, *self.output_size)

    def tensors(self, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Map, offset, weight, bias. Every number is exact in every type, and no sample lies on a pixel."""
        generator = torch.Generator().manual_seed(0)

        def eighths(*shape: int) -> Tensor:
            return torch.randint(-24, 25, shape, generator=generator).to(dtype) / 8

        # Odd multiples of 1/32 of a pixel, up to 4 pixels: some samples leave the map on every side.
        odd = 2 * torch.randint(-64, 64, (self.batch, 2 * self.taps, *self.output_size), generator=generator) + 1
        return (
            eighths(self.batch, self.channels, *self.size),
            odd.to(dtype) / 32,
            eighths(self.outputs, self.channels, *self.kernel_size),
            eighths(self.outputs) if self.bias else None,
        )


CONVOLUTIONS = {
    "3x3": Convolution(),
    "no_bias": Convolution(bias=False),
    "1x1": Convolution(kernel_size=(1, 1), padding=(0, 0)),
    "2x2": Convolution(kernel_size=(2, 2), padding=(1, 1)),
    "4x1_tall": Convolution(kernel_size=(4, 1), padding=(2, 0)),
    "5x5_dilated": Convolution(kernel_size=(5, 5), padding=(4, 3), dilation=(2, 1)),
    "strided_unevenly": Convolution(stride=(2, 3), padding=(0, 2), dilation=(1, 2)),
    "one_channel_one_output": Convolution(channels=1, outputs=1, batch=1),
    "one_pixel_map": Convolution(size=(1, 1)),
    "many_channels": Convolution(batch=1, channels=37, outputs=19, size=(15, 20)),
    "several_tiles": Convolution(batch=2, channels=3, outputs=2, size=(31, 70)),
}
