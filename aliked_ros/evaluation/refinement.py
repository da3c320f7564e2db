# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What photometric refinement gains on real frames: errors of matched points under known homographies, and coverage."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aliked_ros.engine.base import Image
from aliked_ros.errors import SourceError
from aliked_ros.evaluation.metrics import apply_homography, coverage
from aliked_ros.evaluation.report import Chart, Report, Table
from aliked_ros.evaluation.warping import CONDITIONS, Condition, degraded, noisy, random_homography, warped
from aliked_ros.features import Features, Matches, Tracks
from aliked_ros.frontend.config import TrackingConfig
from aliked_ros.frontend.matching import mutual_nearest_neighbours
from aliked_ros.frontend.refinement import PointRefiner

CORRECT_PX = 5.0  # a match farther off is another point's
_SEED = 1
Extract = Callable[[Image], Features]
_Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Errors:
    """Of the matches of one condition, detected and refined."""

    detected_xy: _Matrix  # (N, 2) pixels
    refined_xy: _Matrix  # (N, 2); the detection's where it stayed
    sigma_px: NDArray[np.float32]  # (N,) NaN where the detection stayed

    @property
    def ratio(self) -> float:
        """Of the median errors, refined over detected, all correct matches counted."""
        return _median(self.refined_xy) / _median(self.detected_xy)

    def summary(self) -> dict[str, float]:
        """The numbers of a table's row."""
        moved = np.isfinite(self.sigma_px)
        return {
            "matches": len(self.detected_xy),
            "refined_share": float(moved.mean()),
            "median_detected_px": _median(self.detected_xy),
            "median_px": _median(self.refined_xy),
            "ratio": self.ratio,
            "p90_px": float(np.quantile(np.linalg.norm(self.refined_xy, axis=1), 0.9)),
            "median_sigma_px": float(np.median(self.sigma_px[moved])),
            "coverage_1_sigma": coverage(self.refined_xy, self.sigma_px),
            "coverage_2_sigma": coverage(self.refined_xy, 2 * self.sigma_px),
        }


def evaluate(frames: Sequence[Image], extract: Extract, done: Callable[[], object]) -> dict[str, Errors]:
    """Each frame against itself through a random homography, under each condition.

    Args:
        frames: (H, W, 3) uint8 RGB.
        extract: finds features.
        done: is called after each pair.
    """
    errors = {}
    for condition in CONDITIONS:
        rng = np.random.default_rng(_SEED)
        parts = []
        for frame in frames:
            parts.append(_errors_of_pair(frame, condition, extract, rng))
            done()
        errors[condition.name] = _joined(parts)
    return errors


def _errors_of_pair(frame: Image, condition: Condition, extract: Extract, rng: np.random.Generator) -> Errors:
    homography = random_homography(condition, (frame.shape[1], frame.shape[0]), rng)
    reference = noisy(frame, condition.noise_sigma, rng)
    image = degraded(warped(frame, homography), condition, rng)
    before, after = extract(reference), extract(image)
    matches = mutual_nearest_neighbours(after, before)
    refined = refine_pair(reference, image, before, after, matches)
    truth = apply_homography(homography, matches.xy_ref)
    correct = np.linalg.norm(matches.xy - truth, axis=1) <= CORRECT_PX
    rows = matches.indices[correct]
    sigma_px = np.full(len(after), np.nan, np.float32) if refined.sigma_px is None else refined.sigma_px
    return Errors((matches.xy - truth)[correct], refined.keypoints_xy[rows] - truth[correct], sigma_px[rows])


def refine_pair(reference: Image, image: Image, before: Features, after: Features, matches: Matches) -> Features:
    """The second image's features with matched ones refined, as the second image of a sequence would have them."""
    refiner = PointRefiner(float(TrackingConfig.refinement_max_shift_px))
    refiner.refine(reference, before, np.full(len(before), -1, np.int64))
    refiner.remember(_first_tracks(before))
    ids = np.full(len(after), -1, np.int64)
    ids[matches.indices] = matches.indices_ref
    return refiner.refine(image, after, ids)


def cost_ms(frames: Sequence[Image], extract: Extract, rounds: int = 20) -> tuple[float, int]:
    """The least time in ms that refining a frame's points took, everything counted, and how many they were."""
    image = frames[0]
    features = extract(image)
    ids, tracks = np.arange(len(features), dtype=np.int64), _first_tracks(features)
    refiner = PointRefiner(float(TrackingConfig.refinement_max_shift_px))
    refiner.refine(image, features, np.full(len(features), -1, np.int64))
    refiner.remember(tracks)
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        refiner.refine(image, features, ids)
        refiner.remember(tracks)
        times.append(1e3 * (time.perf_counter() - start))
    return min(times), len(features)


def _first_tracks(features: Features) -> Tracks:
    """Every feature as the first observation of a track whose id is its row."""
    count = len(features)
    rows = np.arange(count)
    return Tracks(
        ids=rows.astype(np.int64),
        ages=np.ones(count, np.uint32),
        feature_indices=rows.astype(np.uint32),
        xy=features.keypoints_xy,
        scores=features.scores,
        lost_ids=np.empty(0, np.int64),
        median_parallax_px=float("nan"),
        keyframe_hint=False,
    )


def report(errors: dict[str, Errors], settings: dict[str, object]) -> Report:
    """A row for each condition, and one for all matches together; SourceError where a condition has no match."""
    for condition, found in errors.items():
        if not np.isfinite(found.sigma_px).any():
            raise SourceError(f"{condition}: no point was matched and refined; take images with more texture, or more")
    rows = {**errors, "all": _joined(list(errors.values()))}
    summary = {name: found.summary() for name, found in rows.items()}
    header = ("", "matches", "refined", "detected, px", "refined, px", "ratio", "90 %, px", "1-sigma", "2-sigma")
    table = Table(
        "Median errors of matched points, and the share of errors within the estimated sigma",
        header,
        tuple(
            (name, f"{v['matches']:.0f}", f"{100 * v['refined_share']:.1f} %", f"{v['median_detected_px']:.3f}",
             f"{v['median_px']:.3f}", f"{v['ratio']:.2f}", f"{v['p90_px']:.3f}",
             f"{100 * v['coverage_1_sigma']:.1f} %", f"{100 * v['coverage_2_sigma']:.1f} %")
            for name, v in summary.items()
        ),
    )  # fmt: skip
    return Report("Sub-pixel refinement", settings, summary, (table,), (_chart(rows["all"]),))


def _chart(errors: Errors) -> Chart:
    """The share of all matches whose error is at most so many pixels."""
    px = np.linspace(0, CORRECT_PX, 101)
    lines = {}
    for name, found in (("detected", errors.detected_xy), ("refined", errors.refined_xy)):
        ordered = np.sort(np.linalg.norm(found, axis=1))
        lines[name] = (px.tolist(), (np.searchsorted(ordered, px, side="right") / len(ordered)).tolist())
    return Chart("Errors of matched points", "px", "share of matches with at most this error", lines)


def _joined(parts: Sequence[Errors]) -> Errors:
    names = ("detected_xy", "refined_xy", "sigma_px")
    return Errors(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _median(errors_xy: _Matrix) -> float:
    return float(np.median(np.linalg.norm(errors_xy, axis=1)))
