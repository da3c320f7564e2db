# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Refined tracks: precise, without drift, with errors that are what they say, and honest where nothing was found."""

from __future__ import annotations

import dataclasses
import itertools

import cv2
import numpy as np
import pytest
from image_samples import make_textured_image

from aliked_ros import Extractor, Features, Frontend
from aliked_ros.evaluation.metrics import coverage
from aliked_ros.evaluation.refinement import evaluate
from aliked_ros.features import Tracks
from aliked_ros.frontend.config import TrackingConfig
from aliked_ros.frontend.frontend import FrameResult
from aliked_ros.frontend.refinement import PointRefiner, common_motion

FRAME_NS = 100_000_000
SCENE = cv2.GaussianBlur(make_textured_image(300, 400, seed=1), (0, 0), 1.0)
REFINED = TrackingConfig(refinement="photometric")
STEP = np.array([1.37, 0.61])
NUM_FRAMES = 8


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    return Extractor.from_pretrained("aliked-t16", device="cpu", score_threshold=0.1, max_keypoints=300)


def view(step: int) -> np.ndarray:
    """The scene moved to the left and upwards by STEP with each step, with noise."""
    # By the Fourier transform: OpenCV's cubic interpolation moves images by up to 0.04 px, as much as is measured here.
    x, y = STEP * step
    phase = np.fft.fftfreq(SCENE.shape[1]) * x + np.fft.fftfreq(SCENE.shape[0])[:, None] * y
    spectrum = np.fft.fft2(SCENE.astype(float), axes=(0, 1)) * np.exp(2j * np.pi * phase)[..., None]
    seen = np.real(np.fft.ifft2(spectrum, axes=(0, 1)))[20:260, 20:340]
    noise = np.random.default_rng(step).normal(0, 1.5, seen.shape)
    return np.clip(np.rint(seen + noise), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def results(extractor: Extractor) -> list[FrameResult]:
    frontend = Frontend(extractor, tracking=REFINED)
    return [frontend(view(step), step * FRAME_NS) for step in range(NUM_FRAMES)]


def errors_of(results: list[FrameResult]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Errors (N, 2) of later observations against the first, their sigma (N,), and frames since (N,)."""
    first: dict[int, tuple[int, np.ndarray]] = {}
    errors, sigmas, ages = [], [], []
    for step, result in enumerate(results):
        tracks = result.tracks
        sigma = np.full(len(tracks), np.nan) if tracks.sigma_px is None else tracks.sigma_px
        for i, id_ in enumerate(tracks.ids.tolist()):
            start, xy = first.setdefault(id_, (step, tracks.xy[i]))
            if step > start:
                errors.append(tracks.xy[i] - (xy - STEP * (step - start)))
                sigmas.append(sigma[i])
                ages.append(step - start)
    return np.array(errors), np.array(sigmas), np.array(ages)


def test_tracks_are_precise_and_do_not_drift(extractor: Extractor, results: list[FrameResult]) -> None:
    errors, sigmas, ages = errors_of(results)
    frontend = Frontend(extractor)
    detected, _, _ = errors_of([frontend(view(step), step * FRAME_NS) for step in range(NUM_FRAMES)])
    distance = np.linalg.norm(errors, axis=1)
    assert np.median(distance) < 0.6 * np.median(np.linalg.norm(detected, axis=1))
    assert np.median(distance[ages == NUM_FRAMES - 1]) < 1.5 * np.median(distance[ages == 1]) + 0.01
    assert np.isfinite(sigmas).mean() > 0.8
    assert 0.5 < coverage(errors, sigmas) < 0.85


def test_first_observations_have_no_error_to_tell(results: list[FrameResult]) -> None:
    assert results[0].features.sigma_px is None
    for result in results[1:]:
        assert result.tracks.sigma_px is not None
        assert np.isnan(result.tracks.sigma_px[result.tracks.ages == 1]).all()


def test_matches_features_and_tracks_agree(results: list[FrameResult]) -> None:
    for before, after in itertools.pairwise(results):
        assert after.matches is not None
        np.testing.assert_array_equal(after.matches.xy, after.features.keypoints_xy[after.matches.indices])
        np.testing.assert_array_equal(after.matches.xy_ref, before.features.keypoints_xy[after.matches.indices_ref])
        np.testing.assert_array_equal(after.tracks.xy, after.features.keypoints_xy[after.tracks.feature_indices])
        assert after.features.sigma_px is not None
        np.testing.assert_array_equal(after.tracks.sigma_px, after.features.sigma_px[after.tracks.feature_indices])


def test_it_can_be_switched_while_tracks_go_on(extractor: Extractor) -> None:
    frontend = Frontend(extractor)
    assert frontend(view(0), 0).tracks.sigma_px is None
    frontend.reconfigure(tracking=REFINED)
    frontend(view(1), FRAME_NS)
    tracks = frontend(view(2), 2 * FRAME_NS).tracks
    assert tracks.sigma_px is not None
    assert np.isfinite(tracks.sigma_px[tracks.ages == 3]).mean() > 0.7
    frontend.reconfigure(tracking=REFINED.replace(refinement_max_shift_px=0.1))
    nearly_fixed = frontend(view(3), 3 * FRAME_NS).tracks
    assert nearly_fixed.sigma_px is not None
    assert np.isfinite(nearly_fixed.sigma_px).mean() < np.isfinite(tracks.sigma_px).mean()
    frontend.reconfigure(tracking=TrackingConfig())
    after = frontend(view(4), 4 * FRAME_NS)
    assert after.tracks.sigma_px is None
    assert (after.tracks.ages == 5).any(), "the tracks went on"


def features_at(xy: np.ndarray) -> Features:
    count = len(xy)
    return Features(
        xy.astype(np.float32),
        np.linspace(0.9, 0.5, count, dtype=np.float32),
        np.eye(count, 64, dtype=np.float32),
        320,
        240,
    )


def tracks_of(features: Features, ids: np.ndarray, lost: tuple[int, ...] = ()) -> Tracks:
    count = len(ids)
    return Tracks(
        ids.astype(np.int64), np.ones(count, np.uint32), np.arange(count, dtype=np.uint32), features.keypoints_xy,
        features.scores, np.array(lost, np.int64), float("nan"), False,
    )  # fmt: skip


def test_a_wrong_match_stays_where_it_was_detected() -> None:
    xy = np.random.default_rng(5).uniform(40, 200, (20, 2))
    refiner, features = PointRefiner(3.0), features_at(xy)
    refiner.refine(view(0), features, np.full(20, -1))
    refiner.remember(tracks_of(features, np.arange(20)))
    wrong = np.arange(20) < 4
    detected = features_at(xy + np.where(wrong[:, None], (37.0, 21.0), 0.4))
    refined = refiner.refine(view(0), detected, np.arange(20))
    assert refined.sigma_px is not None
    np.testing.assert_array_equal(refined.keypoints_xy[wrong], detected.keypoints_xy[wrong])
    assert np.isnan(refined.sigma_px[wrong]).all()
    assert np.median(np.linalg.norm(refined.keypoints_xy[~wrong] - xy[~wrong], axis=1)) < 0.02


def test_lost_tracks_are_forgotten() -> None:
    rng, refiner = np.random.default_rng(6), PointRefiner(3.0)
    lost: tuple[int, ...] = ()
    for step in range(30):
        features, ids = features_at(rng.uniform(40, 200, (50, 2))), np.arange(50 * step, 50 * step + 50)
        refiner.refine(view(0), features, np.full(50, -1))
        refiner.remember(tracks_of(features, ids, lost))
        lost = tuple(ids.tolist())
    assert len(refiner._store.patches) <= 200


def test_the_anchor_is_renewed_when_the_view_changes() -> None:
    """A camera that comes nearer, to twice the scale: the patch of the first view alone would not be found."""
    centre, xy = np.array([160.0, 120.0]), np.random.default_rng(7).uniform([120, 90], [200, 150], (25, 2))
    refiner, errors, sigmas = PointRefiner(3.0), [], []
    scene = make_textured_image(240, 320, seed=9)
    for scale in np.geomspace(1, 2.2, 14):
        matrix = np.column_stack([np.eye(2) * scale, centre * (1 - scale)])
        image = np.asarray(cv2.warpAffine(scene, matrix, (320, 240), flags=cv2.INTER_CUBIC))
        truth = (xy - centre) * scale + centre
        features = features_at(truth + np.random.default_rng(8).normal(0, 0.4, truth.shape) * (scale > 1))
        refined = refiner.refine(image, features, np.full(25, -1) if scale == 1 else np.arange(25))
        refiner.remember(tracks_of(refined, np.arange(25)))
        errors.append(np.median(np.linalg.norm(refined.keypoints_xy - truth, axis=1)))
        sigmas.append(np.nan if refined.sigma_px is None else np.nanmedian(refined.sigma_px))
    assert refined.sigma_px is not None
    assert np.isfinite(refined.sigma_px).mean() > 0.6
    assert errors[-1] < 0.35
    assert sigmas[-1] > sigmas[1], "errors of renewed anchors count"


def test_common_motion() -> None:
    rng = np.random.default_rng(3)
    before = rng.uniform(0, 600, (300, 2)).astype(np.float32)
    matrix = np.array([[1.1, -0.2], [0.15, 0.95]])
    after = (before @ matrix.T + [5, -3] + rng.normal(0, 0.3, before.shape)).astype(np.float32)
    after[::4] = rng.uniform(0, 600, after[::4].shape)
    np.testing.assert_allclose(common_motion(before, after), matrix, atol=5e-3)
    np.testing.assert_array_equal(common_motion(before[:5], after[:5]), np.eye(2))
    line = np.column_stack([np.linspace(0, 600, 50), np.full(50, 200)]).astype(np.float32)
    np.testing.assert_allclose(common_motion(line, line + np.float32(3)), np.eye(2), atol=1e-3)


@pytest.mark.golden
def test_the_gain_and_the_coverage_on_real_frames(extractor: Extractor, desk_frames: list[np.ndarray]) -> None:
    """The two figures that refinement must keep; docs/evaluation.md has them for more frames and features."""
    strong = Extractor.from_pretrained("aliked-t16", device="cpu", max_keypoints=500)
    errors = evaluate([np.ascontiguousarray(desk_frames[9])], strong, lambda: None)
    parts = [dataclasses.astuple(part) for part in errors.values()]
    refined, sigma = np.concatenate([part[1] for part in parts]), np.concatenate([part[2] for part in parts])
    detected = np.concatenate([part[0] for part in parts])
    assert len(refined) > 500
    ratio = np.median(np.linalg.norm(refined, axis=1)) / np.median(np.linalg.norm(detected, axis=1))
    assert ratio <= 0.6
    assert 0.60 <= coverage(refined, sigma) <= 0.76
