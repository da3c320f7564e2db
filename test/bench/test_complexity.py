# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Parameters and operations counted from the layers, against the paper and against counting by hand."""

from __future__ import annotations

import pytest

from aliked_ros.bench.complexity import PAPER, count
from aliked_ros.frontend.config import MODEL_NAMES
from aliked_ros.network.weights import load

PARAMETERS = {"aliked-t16": 192_100, "aliked-n16": 677_356, "aliked-n16rot": 677_356, "aliked-n32": 979_500}


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_parameters(model: str) -> None:
    assert count(model).parameters == PARAMETERS[model]
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    stored = load(model).state_dict.items()
    assert PARAMETERS[model] == sum(tensor.numel() for name, tensor in stored if not name.endswith(buffers))


@pytest.mark.parametrize("model", PAPER)
def test_figures_of_the_paper(model: str) -> None:
    found, paper = count(model), PAPER[model]
    assert round(found.parameters / 1e6, 3) in (paper.parameters_millions, paper.parameters_millions - 0.001)
    assert found.with_resampling_giga == pytest.approx(paper.gflops, rel=0.01)
    assert 0.8 * paper.gflops < found.products_giga < paper.gflops


def test_products_by_hand() -> None:
    products = count("aliked-n16", 640, 480, 1000).products
    pixels = 640 * 480
    assert products["block1"] == pixels * 9 * (3 * 16 + 16 * 16)
    assert products["block2"] == pixels // 4 * (9 * (16 * 32 + 32 * 32) + 16 * 32)
    assert products["block3"] == pixels // 64 * (9 * (32 + 64) * (18 + 64) + 32 * 64)
    assert products["score head"] == pixels * (128 * 8 + 9 * (8 * 4 + 4 * 4 + 4))
    assert products["descriptor head"] == 1000 * (9 * 128 * 32 + 32 * 32 + 16 * 128 * 128 * 2)


def test_a_size_is_padded_and_keypoints_count() -> None:
    assert count("aliked-t16", 609, 450, 10).products == count("aliked-t16", 640, 480, 10).products
    few, many = (count("aliked-t16", 320, 240, number).products for number in (100, 200))
    assert many["descriptor head"] == 2 * few["descriptor head"]
    assert few["block4"] == many["block4"]
