# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What each thread of the CUDA kernels computes, run by a C++ compiler: the same arithmetic without a GPU."""

from __future__ import annotations

import ctypes
import math
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from aliked_ops import reference
from ops_cases import (
    CONVOLUTIONS,
    HEIGHT,
    OPS_SOURCES,
    POINTS,
    WIDTH,
    Convolution,
    map_gradient_by_definition,
    patches_by_definition,
    random_map,
)
from torch import Tensor


@pytest.fixture(scope="module")
def functors(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    compiler = os.environ.get("CXX", "c++")
    if shutil.which(compiler) is None:
        pytest.skip(f"no C++ compiler {compiler!r}")
    library = tmp_path_factory.mktemp("functors") / "functors.so"
    source = Path(__file__).with_name("host_kernels.cpp")
    includes = [f"-I{OPS_SOURCES / 'include'}", f"-I{OPS_SOURCES / 'csrc'}"]
    checks = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-fsanitize=undefined", "-fno-sanitize-recover"]
    subprocess.run([compiler, *checks, "-fPIC", "-shared", *includes, source, "-o", library], check=True)
    return ctypes.CDLL(str(library))


def pointer(tensor: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())


def long(value: int) -> ctypes.c_int64:
    return ctypes.c_int64(value)


def grouped(bins: Tensor, bin_count: int) -> tuple[Tensor, Tensor]:
    """Entries by bin, as the CUDA binding groups them."""
    ordered, order = torch.sort(bins.flatten(), stable=True)
    return order, torch.searchsorted(ordered, torch.arange(bin_count + 1))


@pytest.mark.parametrize("narrow", [0, 1])
@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4, 5, 12])
def test_patches(functors: ctypes.CDLL, kernel_size: int, narrow: int) -> None:
    feature_map = random_map(torch.float64).transpose(0, 2).contiguous().transpose(0, 2)
    patches = torch.full((len(POINTS), 5, kernel_size, kernel_size), math.nan, dtype=torch.float64)
    layout = torch.tensor([*feature_map.shape, *feature_map.stride()])
    num_points, size = long(len(POINTS)), long(kernel_size)
    functors.get_patches(
        pointer(feature_map), pointer(layout), pointer(POINTS), num_points, size, pointer(patches), narrow
    )
    assert torch.equal(patches, patches_by_definition(feature_map, POINTS, kernel_size))


@pytest.mark.parametrize("narrow", [0, 1])
@pytest.mark.parametrize(("kernel_size", "channels"), [(1, 3), (2, 8), (3, 9), (4, 17), (5, 1), (12, 2)])
def test_gradient_of_patches(functors: ctypes.CDLL, kernel_size: int, channels: int, narrow: int) -> None:
    shape = (len(POINTS), channels, kernel_size, kernel_size)
    grad_patches = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    bins = torch.full((len(POINTS),), -1)
    sizes = (long(HEIGHT), long(WIDTH))
    functors.patch_bins(pointer(POINTS), long(len(POINTS)), long(kernel_size), *sizes, pointer(bins), narrow)
    bin_count = (HEIGHT + kernel_size - 1) * (WIDTH + kernel_size - 1)
    assert bins.min() >= 0
    assert bins.max() == bin_count  # some points miss the map
    order, starts = grouped(bins, bin_count)
    grad_map = torch.full((channels, HEIGHT, WIDTH), math.nan, dtype=torch.float64)
    functors.get_patches_backward(
        *map(pointer, (grad_patches, POINTS, order, starts)),
        *map(long, (kernel_size, channels, HEIGHT, WIDTH)),
        pointer(grad_map),
        narrow,
    )
    torch.testing.assert_close(grad_map, map_gradient_by_definition(grad_patches, POINTS, HEIGHT, WIDTH))


def geometry_of(case: Convolution) -> Tensor:
    """The numbers of csrc's DeformGeometry, in its order."""
    steps = [number for pair in case.steps for number in pair]
    return torch.tensor([case.batch, case.channels, *case.size, *case.kernel_size, *steps, *case.output_size])


def columns_of(case: Convolution, feature_map: Tensor, offset: Tensor) -> Tensor:
    """The sampled columns (B, C, taps, positions): the convolutions with one weight that is 1 and the rest 0."""
    weight = torch.eye(case.channels * case.taps, dtype=torch.float64).view(-1, case.channels, *case.kernel_size)
    output = reference.deform_conv2d(feature_map, offset, weight, None, *case.steps)
    return output.view(case.batch, case.channels, case.taps, -1)


@pytest.mark.parametrize("narrow", [0, 1])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_deformed_columns_and_their_gradients(functors: ctypes.CDLL, name: str, narrow: int) -> None:
    case = CONVOLUTIONS[name]
    feature_map, offset = (tensor.requires_grad_() for tensor in case.tensors(torch.float64)[:2])
    expected = columns_of(case, feature_map, offset)
    grad_columns = torch.randn(expected.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(6))
    expected_grads = torch.autograd.grad(expected, (feature_map, offset), grad_columns)
    images, offsets, geometry = feature_map.detach(), offset.detach(), geometry_of(case)

    def call(function: Any, *tensors: Tensor) -> None:
        function(*map(pointer, (geometry, *tensors)), narrow)

    columns, grad_offsets = torch.full_like(grad_columns, math.nan), torch.full_like(offsets, math.nan)
    call(functors.deform_columns, images, offsets, columns)
    torch.testing.assert_close(columns, expected)
    call(functors.deform_offsets_backward, images, offsets, grad_columns, grad_offsets)
    torch.testing.assert_close(grad_offsets, expected_grads[1])

    entries = 4 * case.batch * expected.shape[2] * expected.shape[3]
    bins, weights = torch.full((entries,), -1), torch.full((entries,), math.nan, dtype=torch.float64)
    call(functors.deform_corners, offsets, bins, weights)
    order, starts = grouped(bins, case.batch * math.prod(case.size))
    grad_images = torch.full_like(images, math.nan)
    call(functors.deform_images_backward, grad_columns, order, starts, weights, grad_images)
    torch.testing.assert_close(grad_images, expected_grads[0])
