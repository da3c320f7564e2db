# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Features and tracks of a simulated sequence: who knows the truth gets full marks, who errs does not."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from aliked_ros.errors import ConfigError, SourceError
from aliked_ros.evaluation import features, sequences, tracks
from aliked_ros.evaluation.klt import KltTracker
from aliked_ros.evaluation.sequences import Sequence
from aliked_ros.evaluation.tracks import DescriptorTracker, Observations
from aliked_ros.features import Features
from aliked_ros.sim import truth
from aliked_ros.sim.config import SimulationConfig
from aliked_ros.sim.simulation import simulate, write_sequence

NUM_FRAMES = tracks.HORIZON + 2
CONFIG = SimulationConfig(frames=NUM_FRAMES, width=320, height=240)


@pytest.fixture(scope="module")
def sequence() -> Sequence:
    source = simulate(CONFIG)
    return Sequence("test", source.camera, tuple(source))


@pytest.fixture(scope="module")
def points(sequence: Sequence) -> np.ndarray:
    """Points of the world that the first frame sees."""
    xy = np.random.default_rng(0).uniform([40, 40], [280, 200], (120, 2))
    found = truth.world_points(sequence.frames[0], sequence.camera, xy)
    return found[np.isfinite(found).all(1)][:64]


class Oracle:
    """Sees the points exactly where they are, but for an error of some pixels in all frames but the first."""

    def __init__(self, sequence: Sequence, points: np.ndarray, error_px: float = 0.0) -> None:
        self._frames = {id(frame.image): frame for frame in sequence.frames}
        self._first, self._camera, self._points = sequence.frames[0].image, sequence.camera, points
        self._error_px = error_px
        self._descriptors = np.eye(64, dtype=np.float32)

    def where(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        xy = truth.project(self._frames[id(image)], self._camera, self._points)
        rows = np.flatnonzero(np.isfinite(xy).all(1))
        shift = 0.0 if image is self._first else self._error_px
        return rows, (xy[rows] + [shift, 0]).astype(np.float32)

    def __call__(self, image: np.ndarray) -> Features:
        rows, xy = self.where(image)
        scores = np.linspace(0.9, 0.5, len(rows), dtype=np.float32)
        return Features(xy, scores, self._descriptors[rows], 320, 240)


@pytest.mark.parametrize(("error_px", "share"), [(0.0, 1.0), (1.0, 1.0), (5.0, 0.0)])
def test_features_of_an_oracle(sequence: Sequence, points: np.ndarray, error_px: float, share: float) -> None:
    told: list[int] = []
    oracle = Oracle(sequence, points, error_px)
    results = features.evaluate(sequence, oracle, 0.9, lambda: told.append(1), gaps=(1, 30))
    assert len(told) == NUM_FRAMES
    # Only pairs with the first frame are off by the error: both frames of others are.
    first = features.evaluate(
        dataclasses.replace(sequence, frames=sequence.frames[:4]), oracle, 0.9, lambda: None, gaps=(3,)
    )[0]
    assert (first.pairs, first.precision) == (1, share)
    assert first.repeatability >= 0.9 * share
    assert first.error_px == pytest.approx(error_px, abs=0.05) if share else np.isnan(first.error_px)
    assert results[0].precision > 0.5
    report = features.report({"test": {"oracle": results}}, {})
    assert [chart.title for chart in report.charts] == [
        "Repeatability: test", "Localisation error: test", "Correct matches: test",
    ]  # fmt: skip
    assert len(report.tables[0].rows) == 2


def test_features_are_refined_on_request(sequence: Sequence, points: np.ndarray) -> None:
    detected, refined = (
        features.evaluate(sequence, Oracle(sequence, points, 1.0), 0.9, lambda: None, gaps=(NUM_FRAMES - 1,), refine=r)[
            0
        ]
        for r in (False, True)
    )
    assert detected.error_px == pytest.approx(1.0, abs=0.05)
    assert refined.error_px < 0.4


@pytest.mark.parametrize(("error_px", "alive"), [(0.0, 1.0), (5.0, 0.0)])
def test_tracks_of_an_oracle(sequence: Sequence, points: np.ndarray, error_px: float, alive: float) -> None:
    result = tracks.evaluate(sequence, DescriptorTracker(Oracle(sequence, points, error_px), 0.9), lambda: None)
    summary = result.summary()
    assert summary["points"] > 50
    # Coordinates are rounded to float32: a point at an edge may be seen in the one and not in the other.
    np.testing.assert_allclose(summary["survival"], np.full(tracks.HORIZON, alive), atol=0.03)
    assert summary["length_mean"] == pytest.approx(result.visible.sum(1).mean() if alive else 0.0, abs=1.0)
    assert summary["wrong_share"] == 1.0 - alive
    report = tracks.report({"test": {"oracle": result}}, {})
    assert f"{100 * alive:.1f} %" in report.markdown()


def test_a_track_that_ends_survives_no_longer(sequence: Sequence, points: np.ndarray) -> None:
    oracle, seen = Oracle(sequence, points), 0

    def tracker(image: np.ndarray) -> Observations:
        nonlocal seen
        rows, xy = oracle.where(image)
        seen += 1
        return Observations(rows, xy) if seen <= 11 else Observations(rows[:0], xy[:0])

    summary = tracks.evaluate(sequence, tracker, lambda: None).summary()
    np.testing.assert_allclose(summary["survival"], (np.arange(tracks.HORIZON) < 10).astype(float), atol=0.03)
    assert summary["length_mean"] <= 10
    assert summary["wrong_share"] == 0.0
    assert np.isnan(summary["coverage_1_sigma"])


def test_klt_follows_and_replaces(sequence: Sequence) -> None:
    tracker = KltTracker(150)
    ids, xy = tracker(sequence.frames[0].image)
    assert 50 < len(ids) <= 150
    later, later_xy = tracker(sequence.frames[1].image)
    kept = np.isin(later, ids)
    assert kept.sum() > 0.8 * len(ids)
    assert len(set(later.tolist())) == len(later)
    world = truth.world_points(sequence.frames[0], sequence.camera, xy[np.isin(ids, later)])
    errors = np.linalg.norm(truth.project(sequence.frames[1], sequence.camera, world) - later_xy[kept], axis=1)
    assert np.nanmedian(errors) < 0.5
    black = np.zeros_like(sequence.frames[0].image)
    assert len(tracker(black)[0]) <= 150
    assert set(tracker(sequence.frames[2].image)[0].tolist()).isdisjoint(ids.tolist()), "new points, new ids"


def test_a_written_sequence_is_the_same(tmp_path: Path) -> None:
    write_sequence(dataclasses.replace(CONFIG, frames=3), tmp_path / "sim")
    read = sequences.read(tmp_path / "sim", 2)
    assert len(read.frames) == 2
    assert read.camera.fx == pytest.approx(simulate(CONFIG).camera.fx)
    (tmp_path / "sim" / "groundtruth.txt").unlink()
    with pytest.raises(SourceError, match="frame 0 has no pose"):
        sequences.read(tmp_path / "sim", 2)


def test_impossible_requests_are_refused(sequence: Sequence, points: np.ndarray) -> None:
    oracle = Oracle(sequence, points)
    with pytest.raises(ConfigError, match="gaps must be between 1 and"):
        features.evaluate(sequence, oracle, 0.9, lambda: None, gaps=(NUM_FRAMES,))
    short = dataclasses.replace(sequence, frames=sequence.frames[:5])
    with pytest.raises(ConfigError, match="more than 30 frames, got 5"):
        tracks.evaluate(short, DescriptorTracker(oracle, 0.9), lambda: None)
    with pytest.raises(ConfigError, match="one of sharp, blurred, fast, got 'foggy'"):
        sequences.simulated("foggy", 2)
    told: list[int] = []
    assert len(sequences.simulated("blurred", 1, lambda: told.append(1)).frames) == len(told) == 1
