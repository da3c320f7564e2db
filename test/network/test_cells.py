# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import numpy as np
import torch

from aliked_ros.network.detector import within_cells
from aliked_ros.network.selection import Grid


def test_the_first_of_each_cell_are_kept() -> None:
    rng = np.random.default_rng(1)
    height, width, grid = 50, 77, Grid(rows=3, columns=5, max_per_cell=2)
    pixels = np.stack([rng.integers(width, size=200), rng.integers(height, size=200)], 1)
    counts: dict[tuple[int, int], int] = {}
    expected = []
    for x, y in pixels.tolist():
        cell = y * grid.rows // height, x * grid.columns // width
        counts[cell] = counts.get(cell, 0) + 1
        expected.append(counts[cell] <= grid.max_per_cell)
    assert within_cells(torch.from_numpy(pixels), (height, width), grid).tolist() == expected
    assert sum(expected) == 30


def test_nothing_is_kept_of_nothing() -> None:
    assert within_cells(torch.empty((0, 2), dtype=torch.long), (50, 77), Grid(3, 5, 2)).shape == (0,)
