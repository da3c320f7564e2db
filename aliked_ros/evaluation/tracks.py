# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Tracks against exact depth and poses: how long points are followed, how many survive, and how far they drift.

Every method tracks the whole sequence. Points that it has in some frames, the starts, are then looked up in the frames
after: the truth says where each must be, or that it is not to be seen.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aliked_ros.engine.base import Image
from aliked_ros.errors import ConfigError
from aliked_ros.evaluation import metrics
from aliked_ros.evaluation.report import Chart, Report, Table
from aliked_ros.evaluation.sequences import Sequence
from aliked_ros.features import Features, Float32Array
from aliked_ros.frontend.config import TrackingConfig
from aliked_ros.frontend.following import associate
from aliked_ros.frontend.matching import mutual_nearest_neighbours
from aliked_ros.frontend.refinement import PointRefiner
from aliked_ros.frontend.tracking import FeatureTracker
from aliked_ros.sim import truth

THRESHOLD_PX = 3.0  # farther from the truth a track is wrong
START_EVERY = 10  # frames
HORIZON = 30  # frames that a start is followed for
AGES = (1, 5, 10, 20, 30)  # of the table


@dataclass(frozen=True, eq=False)
class Observations:
    """The tracks of one image."""

    ids: NDArray[np.int64]  # (T,)
    xy: Float32Array  # (T, 2) pixels
    sigma_px: Float32Array | None = None  # (T,) NaN where unknown


class Tracker(Protocol):
    """Follows points through a sequence."""

    def __call__(self, image: Image) -> Observations:
        """The tracks of the next image."""
        ...


class DescriptorTracker:
    """This project's tracker on any method's features.

    Args:
        extract: finds features.
        min_similarity: of a match; a track that was unseen is resumed a third of the way from there to 1.
        refinement: as :class:`TrackingConfig` has it.
        budget: most features of an image where undetected points are followed, with refinement; 0 follows none.
    """

    def __init__(
        self, extract: Callable[[Image], Features], min_similarity: float, refinement: str = "none", budget: int = 0
    ) -> None:
        self._extract, self._min_similarity, self._budget = extract, min_similarity, budget
        gap = min_similarity + (1 - min_similarity) * 0.3
        self._tracker = FeatureTracker(TrackingConfig(min_similarity=min_similarity, gap_min_similarity=gap))
        self._refiner = None if refinement == "none" else PointRefiner(TrackingConfig.refinement_max_shift_px)
        self._previous: Features | None = None
        self._count = 0

    def __call__(self, image: Image) -> Observations:
        """The tracks of the next image."""
        features = self._extract(image)
        matches = None
        if self._previous is not None:
            matches = mutual_nearest_neighbours(features, self._previous, self._min_similarity)
        found = associate(image, features, matches, self._tracker, self._refiner, self._budget)
        tracks = self._tracker.update(found.features, found.matches, self._count, None, found.source)
        if self._refiner is not None:
            self._refiner.remember(tracks)
        self._previous, self._count = found.features, self._count + 1
        return Observations(tracks.ids, tracks.xy, tracks.sigma_px)


@dataclass(frozen=True, eq=False)
class TrackResult:
    """What became of the points of all starts."""

    errors_xy: NDArray[np.float64]  # (N, A, 2) pixels at age a + 1; NaN where not observed or not to be seen
    visible: NDArray[np.bool_]  # (N, A)
    sigma_px: NDArray[np.float64]  # (N, A) NaN where unknown

    @property
    def correct(self) -> NDArray[np.bool_]:
        """(N, A) observed within THRESHOLD_PX of the truth."""
        return np.asarray(np.linalg.norm(self.errors_xy, axis=2) <= THRESHOLD_PX)

    def summary(self) -> dict[str, Any]:
        """Numbers for tables and charts."""
        correct, observed = self.correct, np.isfinite(self.errors_xy[..., 0])
        distances = np.where(correct, np.linalg.norm(self.errors_xy, axis=2), np.nan)
        flat, sigma = self.errors_xy.reshape(-1, 2), self.sigma_px.ravel()
        return {
            "points": len(correct),
            "length_mean": float(metrics.lengths(correct, self.visible).mean()),
            "survival": metrics.survival(correct, self.visible),
            "wrong_share": float((observed & ~correct).sum() / max(observed.sum(), 1)),
            "error_px": float(np.nanmedian(distances)),
            "error_px_by_age": [_median(distances[:, age]) for age in range(distances.shape[1])],
            "coverage_1_sigma": metrics.coverage(flat, sigma),
        }


def evaluate(sequence: Sequence, tracker: Tracker, done: Callable[[], object]) -> TrackResult:
    """Tracks a sequence and compares; calls ``done`` after each frame.

    Raises:
        ConfigError: the sequence is shorter than the horizon.
    """
    if len(sequence.frames) <= HORIZON:
        raise ConfigError(f"tracks need more than {HORIZON} frames, got {len(sequence.frames)}")
    observed = []
    for frame in sequence.frames:
        observed.append(tracker(frame.image))
        done()
    starts = range(0, len(observed) - HORIZON, START_EVERY)
    parts = [_follow(sequence, observed, start) for start in starts]
    return TrackResult(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _follow(
    sequence: Sequence, observed: list[Observations], start: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]:
    """Errors, visibility and sigmas of one start's points in the frames after it."""
    first = observed[start]
    points = truth.world_points(sequence.frames[start], sequence.camera, first.xy)
    known = np.isfinite(points).all(1)
    ids, points = first.ids[known], points[known]
    errors = np.full((len(ids), HORIZON, 2), np.nan)
    sigmas = np.full((len(ids), HORIZON), np.nan)
    visible = np.zeros((len(ids), HORIZON), np.bool_)
    for age, (frame, tracks) in enumerate(_after(sequence, observed, start)):
        expected = truth.project(frame, sequence.camera, points)
        visible[:, age] = np.isfinite(expected).all(1)
        _, rows, columns = np.intersect1d(ids, tracks.ids, assume_unique=True, return_indices=True)
        errors[rows, age] = tracks.xy[columns] - expected[rows]
        if tracks.sigma_px is not None:
            sigmas[rows, age] = tracks.sigma_px[columns]
    return errors, visible, sigmas


def _after(sequence: Sequence, observed: list[Observations], start: int) -> Iterator[tuple[Any, Observations]]:
    pairs = zip(sequence.frames[start + 1 :], observed[start + 1 :], strict=True)
    return itertools.islice(pairs, HORIZON)


def _median(values: NDArray[np.float64]) -> float:
    return float(np.nanmedian(values)) if np.isfinite(values).any() else float("nan")


def report(results: Mapping[str, Mapping[str, TrackResult]], settings: dict[str, object]) -> Report:
    """A table for each sequence, and charts of survival and error over age."""
    summaries = {
        name: {method: result.summary() for method, result in methods.items()} for name, methods in results.items()
    }
    tables, charts = [], []
    ages = list(range(1, HORIZON + 1))
    for name, methods in summaries.items():
        header = ("", "points", "mean length", *(f"alive after {age}" for age in AGES), "wrong", "error, px")
        rows = tuple(
            (method, str(v["points"]), f"{v['length_mean']:.1f}",
             *(f"{100 * v['survival'][age - 1]:.1f} %" for age in AGES),
             f"{100 * v['wrong_share']:.2f} %", f"{v['error_px']:.3f}")
            for method, v in methods.items()
        )  # fmt: skip
        tables.append(Table(name, header, rows))
        survival = {method: (ages, v["survival"].tolist()) for method, v in methods.items()}
        drift = {method: (ages, v["error_px_by_age"]) for method, v in methods.items()}
        charts.append(Chart(f"Survival: {name}", "frames after the start", "share of visible points", survival))
        charts.append(Chart(f"Error: {name}", "frames after the start", "median of right tracks, px", drift))
    return Report("Tracks", settings, summaries, tuple(tables), tuple(charts))
