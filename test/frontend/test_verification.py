# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import numpy as np
import pytest

from aliked_ros.camera import TUM_CAMERAS, Camera
from aliked_ros.errors import CalibrationError
from aliked_ros.features import Matches, ModelType
from aliked_ros.frontend import verification
from aliked_ros.frontend.config import VerificationConfig
from aliked_ros.frontend.verification import verify

CAMERA = TUM_CAMERAS["fr2"]
NUM_OUTLIERS = 40


def rotation_y(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def two_views(
    camera: Camera, *, camera_ref: Camera | None = None, planar: bool = False, seed: int = 0
) -> tuple[Matches, np.ndarray]:
    """Exact projections of 200 points in two views, the last NUM_OUTLIERS of them displaced, and the true inliers."""
    rng = np.random.default_rng(seed)
    depth = np.full(200, 2.5) if planar else rng.uniform(1.5, 4.0, 200)
    points = np.stack([rng.uniform(-0.6, 0.6, 200) * depth, rng.uniform(-0.4, 0.4, 200) * depth, depth], 1)
    moved = points @ rotation_y(0.05).T + [0.2, 0.05, -0.03]
    reference, current = (camera_ref or camera).project(points), camera.project(moved)
    current[-NUM_OUTLIERS:] += rng.uniform(20, 60, (NUM_OUTLIERS, 2)) * rng.choice([-1, 1], (NUM_OUTLIERS, 2))
    indices = np.arange(200, dtype=np.uint32)
    truth = indices < 200 - NUM_OUTLIERS
    scores = np.ones(200, np.float32)
    xy, xy_ref = current.astype(np.float32), reference.astype(np.float32)
    return Matches(indices, indices, xy, xy_ref, scores, "test"), truth


def test_none_leaves_matches_unverified() -> None:
    matches, _ = two_views(CAMERA)
    assert verify(matches, VerificationConfig(), CAMERA) is matches


@pytest.mark.parametrize(
    ("geometry", "kind", "planar"),
    [
        ("fundamental", ModelType.FUNDAMENTAL, False),
        ("essential", ModelType.ESSENTIAL, False),
        ("homography", ModelType.HOMOGRAPHY, True),
    ],
)
def test_inliers_are_those_that_agree(geometry: str, kind: ModelType, planar: bool) -> None:
    camera = CAMERA if geometry == "essential" else TUM_CAMERAS["fr3"]
    matches, truth = two_views(camera, planar=planar)
    verified = verify(matches, VerificationConfig(geometry=geometry, max_error_px=1.0), camera)
    assert verified.model is not None
    assert verified.model.type is kind
    assert verified.inliers is not None
    assert verified.inliers[truth].all()
    # A displacement along the epipolar line is invisible to an epipolar model.
    assert verified.inliers[~truth].mean() < 0.2


def test_fundamental_matrix_has_the_documented_direction() -> None:
    matches, truth = two_views(TUM_CAMERAS["fr3"])
    model = verify(matches, VerificationConfig(geometry="fundamental"), None).model
    assert model is not None
    ones = np.ones((len(matches), 1))
    current, reference = np.hstack([matches.xy, ones]), np.hstack([matches.xy_ref, ones])
    lines = reference @ model.matrix.T
    distance = np.abs(np.sum(current * lines, 1)) / np.linalg.norm(lines[:, :2], axis=1)
    assert distance[truth].max() < 0.5


def test_essential_matrix_constrains_normalised_points() -> None:
    matches, truth = two_views(CAMERA)
    model = verify(matches, VerificationConfig(geometry="essential"), CAMERA).model
    assert model is not None
    ones = np.ones((len(matches), 1))
    current = np.hstack([CAMERA.normalise(matches.xy), ones])
    reference = np.hstack([CAMERA.normalise(matches.xy_ref), ones])
    residual = np.abs(np.sum(current * (reference @ model.matrix.T), 1))
    assert np.median(residual[truth]) < 1e-3
    assert np.median(residual[~truth]) > 1e-2


def test_essential_matrix_of_two_different_cameras() -> None:
    other = Camera(640, 480, 420.0, 425.0, 310.0, 250.0, "equidistant", (0.02, -0.01, 0.003, 0.0))
    matches, truth = two_views(CAMERA, camera_ref=other)
    config = VerificationConfig(geometry="essential", max_error_px=1.0)
    verified = verify(matches, config, CAMERA, other)
    assert verified.inliers is not None
    assert verified.inliers[truth].all()
    assert verified.inliers[~truth].mean() < 0.2
    assert verified.model is not None
    ones = np.ones((len(matches), 1))
    current = np.hstack([CAMERA.normalise(matches.xy), ones])
    reference = np.hstack([other.normalise(matches.xy_ref), ones])
    residual = np.abs(np.sum(current * (reference @ verified.model.matrix.T), 1))
    assert np.median(residual[truth]) < 1e-3
    mistaken = verify(matches, config, CAMERA).inliers
    assert mistaken is None or mistaken[truth].mean() < 0.8, "the reference's own calibration matters"


def test_what_lies_aside_of_a_fisheye_is_no_inlier_and_disturbs_none() -> None:
    fisheye = Camera(640, 480, 150.0, 150.0, 320.0, 240.0, "equidistant", (0.0, 0.0, 0.0, 0.0))  # 90 degrees at 236 px
    matches, truth = two_views(fisheye)
    aside = np.arange(200) % 10 == 0
    matches.xy[aside] = (5.0, 240.0)
    verified = verify(matches, VerificationConfig(geometry="essential", max_error_px=1.0), fisheye)
    assert verified.inliers is not None
    assert verified.inliers[truth & ~aside].all()
    assert not verified.inliers[aside].any()


def test_homography_maps_reference_to_current() -> None:
    matches, truth = two_views(TUM_CAMERAS["fr3"], planar=True)
    model = verify(matches, VerificationConfig(geometry="homography"), None).model
    assert model is not None
    mapped = np.hstack([matches.xy_ref, np.ones((len(matches), 1))]) @ model.matrix.T
    error = np.linalg.norm(mapped[:, :2] / mapped[:, 2:] - matches.xy, axis=1)
    assert error[truth].max() < 0.5


def test_essential_without_calibration_is_an_error() -> None:
    matches, _ = two_views(CAMERA)
    with pytest.raises(CalibrationError, match="camera_info"):
        verify(matches, VerificationConfig(geometry="essential"), None)


def test_random_matches_verify_nothing() -> None:
    rng = np.random.default_rng(0)
    indices = np.arange(60, dtype=np.uint32)
    xy, xy_ref = (rng.uniform(0, 480, (60, 2)).astype(np.float32) for _ in range(2))
    matches = Matches(indices, indices, xy, xy_ref, np.ones(60, np.float32), "test")
    verified = verify(matches, VerificationConfig(geometry="homography", max_error_px=1.0), None)
    assert verified.inliers is None
    assert verified.model is None


def test_too_few_matches_stay_unverified() -> None:
    matches, _ = two_views(CAMERA)
    few = Matches(matches.indices[:9], matches.indices_ref[:9], matches.xy[:9], matches.xy_ref[:9],
                  matches.similarities[:9], "test")  # fmt: skip
    assert verify(few, VerificationConfig(geometry="fundamental"), None).inliers is None


def test_the_same_matches_give_the_same_inliers() -> None:
    matches, _ = two_views(CAMERA)
    config = VerificationConfig(geometry="fundamental")
    first, second = (verify(matches, config, None) for _ in range(2))
    assert first.model is not None
    assert second.model is not None
    np.testing.assert_array_equal(first.inliers, second.inliers)
    np.testing.assert_array_equal(first.model.matrix, second.model.matrix)


def test_clean_matches_need_few_iterations(monkeypatch: pytest.MonkeyPatch) -> None:
    matches, truth = two_views(TUM_CAMERAS["fr3"])
    clean = Matches(
        *(array[truth] for array in (matches.indices, matches.indices_ref, matches.xy, matches.xy_ref)),
        matches.similarities[truth],
        "test",
    )
    used: list[int] = []
    estimate = verification.poselib.estimate_fundamental

    def counted(*arguments: object) -> object:
        matrix, info = estimate(*arguments)
        used.append(info["iterations"])
        return matrix, info

    monkeypatch.setattr(verification.poselib, "estimate_fundamental", counted)
    assert verify(clean, VerificationConfig(geometry="fundamental"), None).inliers is not None
    assert used[0] < 1000
