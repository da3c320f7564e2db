# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Relative poses and the area under their recall curve."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from aliked_ros.bench.relative_pose import (
    RelativePose,
    RelativePoseResult,
    estimate_relative_pose,
    evaluate_relative_poses,
    pose_auc,
    pose_error_deg,
    relative_pose,
)
from aliked_ros.camera import TUM_CAMERAS
from aliked_ros.errors import ConfigError, SourceError
from aliked_ros.features import Features, Matches
from aliked_ros.io.frames import Frame, Pose

CAMERA = TUM_CAMERAS["fr2"]


def rotation_about_y(degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


REFERENCE = Pose.from_rotation(rotation_about_y(20.0), np.array([1.0, 2.0, 3.0]))
CURRENT = Pose.from_rotation(rotation_about_y(26.0), np.array([1.3, 2.1, 3.0]))


def points_seen_by_both(count: int = 200) -> np.ndarray:
    """World points in front of both cameras, (N, 3) metres."""
    rng = np.random.default_rng(1)
    return REFERENCE.to_world(rng.uniform([-1, -0.7, 2.0], [1, 0.7, 5.0], (count, 3)))


def matches_of(xy_ref: np.ndarray, xy: np.ndarray) -> Matches:
    rows = np.arange(len(xy), dtype=np.uint32)
    similar = np.ones(len(xy), np.float32)
    return Matches(rows, rows, xy.astype(np.float32), xy_ref.astype(np.float32), similar, "test")


def exact_matches(count: int = 200) -> Matches:
    points = points_seen_by_both(count)
    return matches_of(*(CAMERA.project(pose.to_camera(points)) for pose in (REFERENCE, CURRENT)))


def test_relative_pose_takes_points_from_one_camera_to_the_other() -> None:
    points, truth = points_seen_by_both(), relative_pose(REFERENCE, CURRENT)
    moved = REFERENCE.to_camera(points) @ truth.rotation.T + truth.translation
    np.testing.assert_allclose(moved, CURRENT.to_camera(points), atol=1e-12)


def test_the_pose_of_exact_matches_is_found_through_the_distortion() -> None:
    found = estimate_relative_pose(exact_matches(), CAMERA)
    assert found is not None
    assert np.linalg.norm(found.translation) == pytest.approx(1.0)
    assert max(pose_error_deg(found, relative_pose(REFERENCE, CURRENT))) < 0.1


def test_wrong_matches_are_outvoted() -> None:
    matches = exact_matches()
    xy = matches.xy.copy()
    xy[::4] = np.random.default_rng(2).uniform(0, 480, xy[::4].shape).astype(np.float32)
    found = estimate_relative_pose(dataclasses.replace(matches, xy=xy), CAMERA)
    assert found is not None
    assert max(pose_error_deg(found, relative_pose(REFERENCE, CURRENT))) < 0.5


def test_too_few_matches_give_no_pose() -> None:
    assert estimate_relative_pose(exact_matches(4), CAMERA) is None


@pytest.mark.parametrize(("turn", "expected"), [(0.0, 0.0), (7.0, 7.0), (180.0, 180.0)])
def test_rotation_error(turn: float, expected: float) -> None:
    x = np.array([1.0, 0.0, 0.0])
    truth = RelativePose(rotation_about_y(33.0), x)
    estimate = RelativePose(rotation_about_y(33.0 + turn), 5.0 * x)
    rotation, translation = pose_error_deg(estimate, truth)
    assert rotation == pytest.approx(expected, abs=1e-5)
    assert translation == pytest.approx(0.0, abs=1e-5)


def test_translation_error_is_of_the_direction() -> None:
    truth = RelativePose(np.eye(3), np.array([0.0, 0.0, 0.1]))
    sideways, backwards = (RelativePose(np.eye(3), np.array(t)) for t in ([0.0, 1.0, 1.0], [0.0, 0.0, -1.0]))
    assert pose_error_deg(sideways, truth)[1] == pytest.approx(45.0)
    assert pose_error_deg(backwards, truth)[1] == pytest.approx(180.0)


def test_auc() -> None:
    assert pose_auc([0.0, 0.0], 5.0) == pytest.approx(1.0)
    assert pose_auc([6.0, 180.0], 5.0) == 0.0
    # Recall rises linearly to 1/2 at 2 degrees, to 1 at 4, and stays: (1 + 3 + 1) / 2 ... by trapezoids over 5.
    assert pose_auc([2.0, 4.0], 5.0) == pytest.approx((2 * 0.25 + 2 * 0.75 + 1 * 1.0) / 5)
    assert pose_auc([4.0, 2.0], 5.0) == pose_auc([2.0, 4.0], 5.0)
    for errors, threshold in (([], 5.0), ([1.0], 0.0)):
        with pytest.raises(ConfigError, match="AUC needs"):
            pose_auc(errors, threshold)


def sequence(num_frames: int) -> tuple[list[Frame], dict[int, Features]]:
    """Frames of a camera that moves along x, told apart by their first pixel, and what there is to see in each."""
    points, rng = points_seen_by_both(), np.random.default_rng(4)
    descriptors = rng.standard_normal((len(points), 32)).astype(np.float32)
    descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
    frames, features = [], {}
    for i in range(num_frames):
        pose = Pose.from_rotation(rotation_about_y(20.0 + i), np.array([1.0 + 0.1 * i, 2.0, 3.0]))
        frames.append(Frame(i, np.full((480, 640), i, np.uint8), None, pose))
        xy = CAMERA.project(pose.to_camera(points)).astype(np.float32)
        scores = np.linspace(0.9, 0.3, len(xy), dtype=np.float32)
        features[i] = Features(xy, scores, descriptors, 640, 480)
    return frames, features


def test_a_sequence_whose_poses_can_be_found() -> None:
    frames, features = sequence(6)
    result = evaluate_relative_poses(frames, lambda image: features[int(image[0, 0])], CAMERA)
    assert result.num_matches == (200, 200, 200)
    assert max(result.errors_deg) < 0.1
    assert result.auc_percent(5.0) > 97.0


def test_a_pair_without_matches_counts_as_failed() -> None:
    frames, features = sequence(4)
    nothing = Features(np.empty((0, 2), np.float32), np.empty(0, np.float32), np.empty((0, 32), np.float32), 640, 480)
    result = evaluate_relative_poses(frames, lambda image: nothing, CAMERA)
    assert result == RelativePoseResult((180.0,), (180.0,), (0,))
    assert result.auc_percent(10.0) == 0.0
    with pytest.raises(ConfigError, match="gap must be at least 1, got 0"):
        evaluate_relative_poses(frames, lambda image: features[0], CAMERA, gap=0)


def test_frames_without_ground_truth_are_an_error() -> None:
    frames = [dataclasses.replace(frame, pose_world_from_camera=None) for frame in sequence(4)[0]]
    with pytest.raises(SourceError, match="ground truth"):
        evaluate_relative_poses(frames, lambda image: pytest.fail("nothing needs to be extracted"), CAMERA)
