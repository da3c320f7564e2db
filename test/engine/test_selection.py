# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Masks and cells on every engine: what is left out, what is kept, and that nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from aliked_ops import cpu_engine as library
from image_samples import make_textured_image

from aliked_ros.engine.base import Engine
from aliked_ros.engine.cpu_engine import CpuEngine
from aliked_ros.engine.torch_engine import TorchEngine
from aliked_ros.features import Features
from aliked_ros.network.selection import Grid, Selection
from aliked_ros.network.weights import load

pytestmark = pytest.mark.usefixtures("one_torch_thread")
SIZE = (131, 173)  # no multiple of the cells
GRID = Grid(rows=5, columns=7, max_per_cell=4)
EVERYTHING = Selection(100_000, 0.0)
ENGINES = ("torch", "C++")


def make(name: str, model: str = "aliked-t16") -> Engine:
    if name == "torch":
        return TorchEngine(load(model), torch.device("cpu"), "fp32")
    try:
        return CpuEngine(load(model), threads=2)
    except library.CpuEngineError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    return make(request.param)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return make_textured_image(*SIZE)


@pytest.fixture(scope="module")
def mask() -> np.ndarray:
    """Hides a disc, a corner, and every third pixel of a stripe: borders in every direction."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    wanted = (rows - 60) ** 2 + (columns - 90) ** 2 > 30**2
    wanted[:20, :40] = False
    wanted[105:, ::3] = False
    return wanted


def pixels_of(features: Features) -> np.ndarray:
    return np.floor(features.keypoints_xy + 0.5).astype(int)


def cells_of(features: Features, grid: Grid, size: tuple[int, int] = SIZE) -> np.ndarray:
    columns, rows = pixels_of(features).T
    return rows * grid.rows // size[0] * grid.columns + columns * grid.columns // size[1]


def rows_of(features: Features) -> set[tuple[float, ...]]:
    """Position, score and dispersity of each feature, exactly."""
    assert features.dispersity is not None
    return set(map(tuple, np.column_stack([features.keypoints_xy, features.scores, features.dispersity]).tolist()))


def test_a_mask_hides_what_it_covers_and_nothing_else(engine: Engine, image: np.ndarray, mask: np.ndarray) -> None:
    for threshold in (0.0, 0.1):
        plain = engine.extract(image, Selection(100_000, threshold))
        masked = engine.extract(image, Selection(100_000, threshold, mask=mask))
        x, y = pixels_of(plain).T
        outside = mask[y, x]
        assert 10 < outside.sum() < len(plain) - 10
        np.testing.assert_array_equal(masked.keypoints_xy, plain.keypoints_xy[outside])
        np.testing.assert_array_equal(masked.scores, plain.scores[outside])
        np.testing.assert_allclose(masked.descriptors, plain.descriptors[outside], atol=1e-6)


def test_what_is_masked_takes_nothing_of_the_limit(engine: Engine, image: np.ndarray, mask: np.ndarray) -> None:
    limited = engine.extract(image, Selection(100, 0.0, mask=mask))
    everything = engine.extract(image, Selection(100_000, 0.0, mask=mask))
    assert len(limited) == 100
    assert rows_of(limited) < rows_of(everything)
    # Refinement moves scores a little: the strongest maxima are nearly, not exactly, the strongest keypoints.
    assert np.median(limited.scores) > np.quantile(everything.scores, 1 - 100 / len(everything))


@pytest.mark.parametrize("masked", [False, True])
def test_every_cell_has_its_strongest(engine: Engine, image: np.ndarray, mask: np.ndarray, masked: bool) -> None:
    chosen = mask if masked else None
    everything = engine.extract(image, Selection(100_000, 0.0, mask=chosen))
    spread = engine.extract(image, Selection(100_000, 0.0, GRID, chosen))
    available = np.bincount(cells_of(everything, GRID), minlength=GRID.rows * GRID.columns)
    found = np.bincount(cells_of(spread, GRID), minlength=GRID.rows * GRID.columns)
    np.testing.assert_array_equal(found, np.minimum(available, GRID.max_per_cell))
    assert rows_of(spread) < rows_of(everything)
    scores = np.full(GRID.rows * GRID.columns, np.inf)
    np.minimum.at(scores, cells_of(spread, GRID), spread.scores)
    left_out = [row not in rows_of(spread) for row in map(tuple, np.column_stack(
        [everything.keypoints_xy, everything.scores, everything.dispersity]).tolist())]  # fmt: skip
    weaker = everything.scores[left_out] <= scores[cells_of(everything, GRID)[left_out]]
    assert weaker.mean() > 0.9, "but for what refinement moved past one another"


def test_the_grid_is_no_thinning_of_the_strongest(engine: Engine, image: np.ndarray) -> None:
    k = GRID.rows * GRID.columns * GRID.max_per_cell
    strongest = engine.extract(image, Selection(k, 0.0))
    spread = engine.extract(image, Selection(k, 0.0, GRID))
    crowded = np.bincount(cells_of(strongest, GRID)).max()
    assert crowded > GRID.max_per_cell
    assert len(spread) == k, "cells without strong maxima are filled by weaker ones"
    few = engine.extract(image, Selection(40, 0.0, GRID))
    assert len(few) == 40
    assert rows_of(few) < rows_of(spread)
    assert few.scores.mean() > spread.scores.mean()


def test_a_selection_leaves_no_trace(engine: Engine, image: np.ndarray, mask: np.ndarray) -> None:
    before = engine.extract(image, Selection(300, 0.05))
    first = engine.extract(image, Selection(300, 0.05, GRID, mask))
    again = engine.extract(image, Selection(300, 0.05, GRID, mask))
    after = engine.extract(image, Selection(300, 0.05))
    for one, other in ((before, after), (first, again)):
        assert one.keypoints_xy.tobytes() == other.keypoints_xy.tobytes()
        assert one.descriptors.tobytes() == other.descriptors.tobytes()
    neutral = engine.extract(image, Selection(300, 0.05, Grid(1, 1, 100_000), np.ones(SIZE, np.bool_)))
    assert neutral.keypoints_xy.tobytes() == before.keypoints_xy.tobytes()


def test_a_mask_over_everything_leaves_nothing(engine: Engine, image: np.ndarray) -> None:
    assert len(engine.extract(image, Selection(300, 0.0, GRID, np.zeros(SIZE, np.bool_)))) == 0


def assert_same_choice(selection: Selection, image: np.ndarray, engines: list[Engine]) -> None:
    ours, theirs = (engine.extract(image, selection) for engine in engines)
    assert len(ours) == len(theirs) > 0
    distance = np.linalg.norm(theirs.keypoints_xy[:, None] - ours.keypoints_xy[None], axis=2)
    # Scores that differ in the last digits may swap places at a limit, of a cell or of all.
    assert (distance.min(1) <= 0.02).mean() >= 0.99


@pytest.mark.parametrize("limit", [60, 100_000])
@pytest.mark.parametrize("threshold", [0.0, 0.1])
def test_engines_choose_alike(image: np.ndarray, mask: np.ndarray, limit: int, threshold: float) -> None:
    engines = [make(name) for name in ENGINES]
    for grid in (None, GRID):
        for chosen in (None, mask):
            assert_same_choice(Selection(limit, threshold, grid, chosen), image, engines)


@pytest.mark.golden
def test_engines_choose_alike_on_real_frames(desk_frames: list[np.ndarray]) -> None:
    engines = [make(name, "aliked-n16") for name in ENGINES]
    mask = np.ones(desk_frames[0].shape[:2], np.bool_)
    mask[300:] = False
    assert_same_choice(Selection(500, 0.0, Grid(6, 8, 12), mask), desk_frames[4], engines)


def test_the_number_of_threads_changes_nothing(image: np.ndarray, mask: np.ndarray) -> None:
    make("C++")
    selection = Selection(200, 0.0, GRID, mask)
    found = {
        CpuEngine(load("aliked-t16"), threads=threads).extract(image, selection).keypoints_xy.tobytes()
        for threads in (1, 3)
    }
    assert len(found) == 1


def test_the_library_refuses_what_would_be_read_beyond(image: np.ndarray) -> None:
    engine = make("C++")
    with pytest.raises(ValueError, match="mask must be"):
        engine.extract(image, Selection(10, 0.0, mask=np.ones((131, 172), np.bool_)))
    with pytest.raises(ValueError, match="grid needs positive"):
        engine.extract(image, Selection(10, 0.0, Grid(0, 8, 1)))
