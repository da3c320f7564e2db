# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Points that are not detected again are followed: precisely, for so long, within the budget, and as what they are."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_samples import make_textured_image

from aliked_ros import Extractor, Features, Frontend
from aliked_ros.engine.base import EngineInfo, OneAfterAnother
from aliked_ros.features import Matches
from aliked_ros.frontend.config import ExtractorConfig, TrackingConfig, VerificationConfig
from aliked_ros.frontend.following import FOLLOWED_SCORE, _with_new
from aliked_ros.frontend.frontend import FrameResult
from aliked_ros.frontend.tracking import Undetected
from aliked_ros.mask import ImageMask

SCENE = make_textured_image(300, 420, seed=1)
STEP = np.array([3, 2])  # pixels that the scene moves by from image to image
FRAME_NS = 100_000_000
NUM_POINTS = 60
DESCRIPTORS = np.linalg.qr(np.random.default_rng(0).normal(size=(64, 64)))[0].astype(np.float32)[:NUM_POINTS]
POINTS = np.random.default_rng(1).uniform([70, 60], [290, 210], (NUM_POINTS, 2)).astype(np.float32)


def view(step: int) -> np.ndarray:
    x, y = STEP * step
    return SCENE[y : y + 240, x : x + 320]


def place(points: Any, step: int) -> np.ndarray:
    return (POINTS[points] - STEP * step).astype(np.float32)


class Scripted(OneAfterAnother):
    """Detects known points of the scene, in each image those that it is told to; the strongest have low numbers."""

    def __init__(self, script: Iterable[Any], describe: Callable[[int, np.ndarray], np.ndarray] | None = None) -> None:
        self._script = [np.asarray(points, int) for points in script]
        self._describe = describe or (lambda step, points: DESCRIPTORS[points])
        self.step = 0
        self.info = EngineInfo("aliked-t16", "cpu", "scripted", "fp32", 64, Path("weights"), "0" * 64)
        self.last_timings_ms: Mapping[str, float] = {}

    def extract(self, image: Any, selection: Any, reference: Features | None = None) -> Features:
        points = self._script[self.step][: selection.max_keypoints]
        scores = (0.9 - points / 100).astype(np.float32)
        xy, descriptors = place(points, self.step), self._describe(self.step, points)
        self.step += 1
        return Features(xy, scores, descriptors, 320, 240)

    def score_map(self, image: Any) -> Any:
        raise NotImplementedError


def run(script: Iterable[Any], budget: int = NUM_POINTS, **options: Any) -> list[FrameResult]:
    """The results of a script; of tracking's options refinement is photometric."""
    mask, describe = options.pop("mask", None), options.pop("describe", None)
    verification = VerificationConfig(geometry=options.pop("geometry", "none"))
    engine = Scripted(script, describe)
    extractor = Extractor(engine, ExtractorConfig("aliked-t16", max_keypoints=budget))
    tracking = TrackingConfig(refinement="photometric", **options)
    frontend = Frontend(extractor, tracking, verification, mask=mask)
    return [frontend(view(step), step * FRAME_NS) for step in range(len(engine._script))]


ALL, SOME = range(NUM_POINTS), range(0, NUM_POINTS, 2)


def followed_in(result: FrameResult) -> np.ndarray:
    return result.features.scores == FOLLOWED_SCORE


def test_a_point_that_flickers_keeps_its_track_and_its_place() -> None:
    results = run([ALL, SOME, ALL, SOME, SOME, ALL])
    plain = run([ALL, SOME, ALL, SOME, SOME, ALL], max_followed=0)
    assert not any(followed_in(result).any() for result in plain)
    for step, result in enumerate(results):
        followed = followed_in(result)
        assert followed.sum() == (0 if step in (0, 2, 5) else NUM_POINTS // 2)
        assert (np.diff(result.features.scores) <= 0).all(), "strongest first, and these last"
        ids = result.tracks.ids_of_features(len(result.features))
        order = np.argsort(ids)
        np.testing.assert_array_equal(ids[order], range(NUM_POINTS))
        distance = np.linalg.norm(result.features.keypoints_xy[order] - place(ids[order], step), axis=1)
        assert distance.max() < 0.1
        np.testing.assert_array_equal(result.features.descriptors[order], DESCRIPTORS[ids[order]])
        assert (result.tracks.ages == step + 1).all()
        if step:
            assert result.features.sigma_px is not None
            assert (result.features.sigma_px[followed] < 0.1).all()
            assert len(result.tracks.lost_ids) == 0


def test_matches_tell_of_every_track_that_goes_on() -> None:
    for geometry in ("none", "homography"):
        results = run([ALL, SOME, ALL, SOME], geometry=geometry)
        for before, after in itertools.pairwise(results):
            matches = after.matches
            assert matches is not None
            assert len(matches) == NUM_POINTS
            assert (np.diff(matches.indices.astype(int)) > 0).all()
            np.testing.assert_array_equal(matches.xy, after.features.keypoints_xy[matches.indices])
            np.testing.assert_array_equal(matches.xy_ref, before.features.keypoints_xy[matches.indices_ref])
            np.testing.assert_allclose(matches.similarities, 1, atol=1e-5)
            assert (matches.inliers is None) == (geometry == "none")
            assert matches.inliers is None or matches.inliers.all()
            ids = [each.tracks.ids_of_features(len(each.features)) for each in (after, before)]
            np.testing.assert_array_equal(ids[0][matches.indices], ids[1][matches.indices_ref])


def test_it_ends_after_so_many_images() -> None:
    results = run([ALL] + [SOME] * 5, max_followed=3, max_gap=1)
    assert [int(followed_in(result).sum()) for result in results] == [0, 30, 30, 30, 0, 0]
    assert [len(result.tracks.lost_ids) for result in results] == [0, 0, 0, 0, 0, 30]
    # A detection in between starts the count anew.
    results = run([ALL, SOME, SOME, ALL, SOME, SOME, SOME], max_followed=2)
    assert [int(followed_in(result).sum()) for result in results] == [0, 30, 30, 0, 30, 30, 0]


def test_the_budget_is_kept_at_the_cost_of_the_weakest_new_detections() -> None:
    old, new = range(20), range(20, 60)
    before, after = run([old, [*range(10), *new]], budget=40)
    assert len(before.features) == 20
    assert len(after.features) == 40
    assert followed_in(after).sum() == 10
    # Ten tracks go on, ten are followed, and of the thirty new ones that fit the twenty strongest stay.
    detected = after.features.keypoints_xy[~followed_in(after)]
    expected = place([*range(10), *range(20, 40)], 1)
    assert np.linalg.norm(np.sort(detected, 0) - np.sort(expected, 0), axis=1).max() < 0.05
    # No more than half of an image's features are followed, the oldest first.
    results = run([range(30), [*range(30), *range(30, 40)], range(9)], budget=40)
    ids = results[-1].tracks.ids_of_features(len(results[-1].features))
    assert followed_in(results[-1]).sum() == 20
    assert (np.sort(ids[followed_in(results[-1])]) == range(9, 29)).all()


def test_a_detection_beside_it_continues_the_track_with_its_own_descriptor() -> None:
    def other(step: int, points: np.ndarray) -> np.ndarray:
        return (
            DESCRIPTORS[points]
            if step == 0
            else np.roll(DESCRIPTORS, 1, axis=1)[points] * np.where(points % 2, -1, 1)[:, None]
        )

    def half(step: int, points: np.ndarray) -> np.ndarray:
        return np.where((points % 3 == 0)[:, None] & (step > 0), other(step, points), DESCRIPTORS[points]).astype(
            np.float32
        )

    _, after = run([ALL, ALL], describe=half)
    assert not followed_in(after).any()
    ids = after.tracks.ids_of_features(NUM_POINTS)
    np.testing.assert_array_equal(ids, range(NUM_POINTS))
    np.testing.assert_array_equal(after.features.descriptors, half(1, np.arange(NUM_POINTS)))
    assert after.matches is not None
    assert len(after.matches) == NUM_POINTS
    assert (after.matches.similarities < 0.5).sum() == NUM_POINTS // 3


def test_masks_hide_followed_points_too() -> None:
    wanted = np.ones((240, 320), np.bool_)
    wanted[:, 180:] = False
    results = run([ALL, SOME], mask=ImageMask(wanted))
    followed = results[1].features.keypoints_xy[followed_in(results[1])]
    assert 0 < len(followed) < 30
    assert (followed[:, 0] < 179.5).all()


def test_nothing_is_followed_where_it_cannot_be() -> None:
    # Too few neighbours tell the motion; later everything is detected anew.
    assert not any(followed_in(result).any() for result in run([ALL, range(5), ALL]))
    blank = run([ALL, SOME])
    engine = Scripted([ALL, SOME])
    frontend = Frontend(
        Extractor(engine, ExtractorConfig("aliked-t16", max_keypoints=NUM_POINTS)),
        TrackingConfig(refinement="photometric"),
    )
    frontend(view(0), 0)
    dark = frontend(np.zeros_like(view(1)), FRAME_NS)
    assert followed_in(blank[1]).sum() == 30
    assert not followed_in(dark).any(), "a black image shows no patch"


def test_the_same_images_give_the_same_bytes() -> None:
    script = [ALL, SOME, range(0, 60, 3), ALL, SOME]
    for one, other in zip(run(script), run(script), strict=True):
        assert one.features.keypoints_xy.tobytes() == other.features.keypoints_xy.tobytes()
        assert one.tracks.ids.tobytes() == other.tracks.ids.tobytes()


def test_matches_stay_one_to_one_where_verification_refused_some() -> None:
    count = 6
    rng = np.random.default_rng(0)
    xy = rng.uniform(0, 100, (count, 2)).astype(np.float32)
    features = Features(xy, np.full(count, 0.5, np.float32), DESCRIPTORS[:count], 640, 480)
    # Rows 1 and 3 were matched wrongly, 4 is gone; then 1 continues track 5, and a new row 5 track 3.
    matches = Matches(
        indices=np.array([0, 1, 3, 4], np.uint32),
        indices_ref=np.array([0, 1, 3, 4], np.uint32),
        xy=xy[[0, 1, 3, 4]],
        xy_ref=xy[[0, 1, 3, 4]],
        similarities=np.full(4, 0.95, np.float32),
        matcher="mutual_nearest_neighbours",
        inliers=np.array([True, False, False, True]),
    )
    tracks = Undetected(np.array([3, 5]), np.array([13, 15]), np.ones(2, np.uint32), xy[[3, 5]], DESCRIPTORS[[3, 5]])
    kept = np.array([0, 1, 2, 3, 5])
    source = np.array([0, 5, -1, -1, 3])
    joined = Features(xy[kept], features.scores[kept], features.descriptors[kept], 640, 480)
    found = _with_new(matches, kept, joined, source, tracks)
    np.testing.assert_array_equal(found.indices, [0, 1, 4])
    np.testing.assert_array_equal(found.indices_ref, [0, 5, 3])
    np.testing.assert_array_equal(found.inliers, [True, True, True])
    np.testing.assert_array_equal(found.xy, joined.keypoints_xy[found.indices])


@pytest.mark.parametrize("budget", [1, 7, 60])
def test_any_budget_is_kept(budget: int) -> None:
    rng = np.random.default_rng(2)
    script = [np.sort(rng.choice(NUM_POINTS, rng.integers(20, 60), replace=False)) for _ in range(8)]
    for result in run(script, budget=budget):
        assert len(result.features) <= budget
        assert len(np.unique(result.tracks.ids)) == len(result.tracks)
