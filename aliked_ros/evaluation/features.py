# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Repeatability, matching and localisation error of features against exact depth and poses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from aliked_ros.engine.base import Image
from aliked_ros.errors import ConfigError
from aliked_ros.evaluation.metrics import repeatability
from aliked_ros.evaluation.refinement import refine_pair
from aliked_ros.evaluation.report import Chart, Report, Table
from aliked_ros.evaluation.sequences import Sequence
from aliked_ros.features import Features
from aliked_ros.frontend.matching import mutual_nearest_neighbours
from aliked_ros.sim import truth

GAPS = (1, 5, 15, 30)  # frames between the two of a pair: the view changes more and more
THRESHOLD_PX = 3.0
_START_EVERY = 5  # frames
Extract = Callable[[Image], Features]


@dataclass(frozen=True)
class GapResult:
    """Means over the pairs of one gap."""

    gap: int
    pairs: int
    repeatability: float  # share of points seen again within THRESHOLD_PX
    matches: float  # mutual nearest neighbours per pair, where the truth is known
    precision: float  # share of them within THRESHOLD_PX
    correct: float  # of them, per pair
    error_px: float  # median of the correct ones


def evaluate(
    sequence: Sequence,
    extract: Extract,
    min_similarity: float,
    done: Callable[[], object],
    *,
    gaps: tuple[int, ...] = GAPS,
    refine: bool = False,
) -> list[GapResult]:
    """Pairs of frames of one sequence, a number of frames apart.

    Args:
        sequence: with depth and poses.
        extract: finds features.
        min_similarity: of a match.
        done: is called after each frame.
        gaps: frames between the two of a pair.
        refine: whether the second frame's matched points are refined photometrically.

    Raises:
        ConfigError: no pair is as far apart.
    """
    if not gaps or min(gaps) < 1 or max(gaps) >= len(sequence.frames):
        raise ConfigError(f"gaps must be between 1 and {len(sequence.frames) - 1} frames, got {gaps}")
    features = []
    for frame in sequence.frames:
        features.append(extract(frame.image))
        done()
    return [_evaluate_gap(sequence, features, gap, min_similarity, refine) for gap in gaps]


def _evaluate_gap(
    sequence: Sequence, features: list[Features], gap: int, min_similarity: float, refine: bool
) -> GapResult:
    shares, known, errors = [], 0, []
    starts = range(0, len(features) - gap, _START_EVERY)
    for start in starts:
        before, after = features[start], features[start + gap]
        first, second = sequence.frames[start], sequence.frames[start + gap]
        points = truth.world_points(first, sequence.camera, before.keypoints_xy)
        expected = truth.project(second, sequence.camera, points)
        shares.append(repeatability(expected, after.keypoints_xy, THRESHOLD_PX))
        matches = mutual_nearest_neighbours(after, before, min_similarity)
        found = refine_pair(first.image, second.image, before, after, matches) if refine else after
        distances = np.linalg.norm(found.keypoints_xy[matches.indices] - expected[matches.indices_ref], axis=1)
        distances = distances[np.isfinite(distances)]
        known += len(distances)
        errors.append(distances[distances <= THRESHOLD_PX])
    correct = np.concatenate(errors)
    return GapResult(
        gap=gap,
        pairs=len(starts),
        repeatability=float(np.nanmean(shares)),
        matches=known / len(starts),
        precision=len(correct) / known if known else 0.0,
        correct=len(correct) / len(starts),
        error_px=float(np.median(correct)) if len(correct) else float("nan"),
    )


Results = dict[str, dict[str, list[GapResult]]]  # by sequence and method


def report(results: Results, settings: dict[str, object]) -> Report:
    """A table for each sequence and charts over the gap."""
    tables = tuple(_table(name, methods) for name, methods in results.items())
    charts = []
    for name, methods in results.items():
        for title, label, attribute in (
            ("Repeatability", f"share within {THRESHOLD_PX:g} px", "repeatability"),
            ("Localisation error", "median of correct matches, px", "error_px"),
            ("Correct matches", "per pair", "correct"),
        ):
            lines = {
                method: ([r.gap for r in rows], [getattr(r, attribute) for r in rows])
                for method, rows in methods.items()
            }
            charts.append(Chart(f"{title}: {name}", "frames between the two", label, lines))
    return Report("Features", settings, results, tables, tuple(charts))


def _table(name: str, methods: dict[str, list[GapResult]]) -> Table:
    header = ("", "frames apart", "repeatability", "matches", "precision", "correct", "error, px")
    rows = tuple(
        (method, str(r.gap), f"{100 * r.repeatability:.1f} %", f"{r.matches:.0f}", f"{100 * r.precision:.1f} %",
         f"{r.correct:.0f}", f"{r.error_px:.3f}")
        for gap in range(len(next(iter(methods.values()))))
        for method, row in methods.items() for r in (row[gap],)
    )  # fmt: skip
    return Table(name, header, rows)
