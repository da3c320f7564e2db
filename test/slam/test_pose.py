# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Poses from landmarks."""

from __future__ import annotations

import numpy as np
import pytest
from worlds import CAMERA, Watcher, World, looking

from aliked_ros.slam.config import AssociationConfig, SensorConfig
from aliked_ros.slam.geometry import angle_of, inverse
from aliked_ros.slam.observation import Observation, observe
from aliked_ros.slam.pose import Correspondences, refine, resect

WORLD = World.room()
TRUTH = looking((0.2, -0.3, 0.1), 0.4)
CONFIG = AssociationConfig()


def frame(seed: int = 0, noise_px: float = 0.5) -> tuple[Observation, Correspondences]:
    seen = Watcher(WORLD, noise_px=noise_px, seed=seed).see(TRUTH)
    observation = observe(
        seen.stamp_ns, seen.features, seen.tracks, CAMERA, SensorConfig(sigma_px=0.5), seen.depth_m, None
    )
    points = WORLD.points[seen.points]
    return observation, Correspondences(np.arange(len(points)), points, np.zeros((len(points), 3, 3)))


def apart(pose: np.ndarray) -> tuple[float, float]:
    relative = inverse(TRUTH) @ pose
    return float(np.linalg.norm(relative[:3, 3])), angle_of(relative[:3, :3])


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_the_pose_is_found_among_wrong_correspondences(share: float) -> None:
    observation, pairs = frame()
    count = round(share * len(pairs))
    wrong = np.random.default_rng(5).permutation(len(pairs))[:count]
    pairs.points[wrong] = np.roll(pairs.points[wrong], 1, axis=0)
    found = resect(observation, pairs, CONFIG)
    assert found is not None
    estimate = refine(observation, pairs, found.pose_world_from_camera, CONFIG)
    assert estimate is not None
    shift, turn = apart(estimate.pose_world_from_camera)
    assert shift < 0.005
    assert turn < 0.002
    assert not estimate.inliers[wrong].any()
    assert estimate.num_inliers > 0.95 * (len(pairs) - count)


def test_too_few_landmarks_give_no_pose() -> None:
    observation, pairs = frame()
    few = Correspondences(pairs.rows[:10], pairs.points[:10], pairs.covariances[:10])
    assert resect(observation, few, CONFIG) is None
    assert refine(observation, few, TRUTH, CONFIG) is None


def test_nothing_but_wrong_correspondences_gives_no_pose() -> None:
    observation, pairs = frame()
    mixed = np.random.default_rng(6).permutation(pairs.points)
    wrong = Correspondences(pairs.rows, mixed, pairs.covariances)
    assert resect(observation, wrong, CONFIG) is None
    assert refine(observation, wrong, TRUTH, CONFIG) is None


def test_points_on_one_line_of_sight_give_no_pose() -> None:
    observation, pairs = frame()
    same = np.broadcast_to(pairs.points[0], pairs.points.shape).copy()
    assert refine(observation, Correspondences(pairs.rows, same, pairs.covariances), TRUTH, CONFIG) is None


def test_depth_that_contradicts_makes_an_outlier() -> None:
    observation, pairs = frame()
    observation.depth_m[:5] *= 1.5
    estimate = refine(observation, pairs, TRUTH, CONFIG)
    assert estimate is not None
    assert not estimate.inliers[:5].any()
    assert estimate.inliers[5:].mean() > 0.95


def test_uncertain_landmarks_weigh_less() -> None:
    observation, pairs = frame(noise_px=0.2)
    shifted = pairs.points.copy()
    half = np.arange(0, len(pairs), 2)
    shifted[half] += (0.01, 0.0, 0.0)
    covariances = pairs.covariances.copy()
    covariances[half] = 0.05**2 * np.eye(3)
    alike = refine(observation, Correspondences(pairs.rows, shifted, pairs.covariances), TRUTH, CONFIG)
    weighted = refine(observation, Correspondences(pairs.rows, shifted, covariances), TRUTH, CONFIG)
    assert alike is not None
    assert weighted is not None
    assert apart(weighted.pose_world_from_camera)[0] < 0.6 * apart(alike.pose_world_from_camera)[0]


def test_the_covariance_is_honest() -> None:
    squared = []
    for seed in range(60):
        observation, pairs = frame(seed)
        estimate = refine(observation, pairs, TRUTH, CONFIG)
        assert estimate is not None
        # Steps are of the camera: (rotation, translation) of the motion from the estimate's frame to the true one.
        relative = inverse(TRUTH) @ estimate.pose_world_from_camera
        turn = 0.5 * np.array(
            [relative[2, 1] - relative[1, 2], relative[0, 2] - relative[2, 0], relative[1, 0] - relative[0, 1]]
        )
        error = np.concatenate([turn, relative[:3, 3]])
        squared.append(error @ np.linalg.inv(estimate.covariance) @ error)
    assert 4.0 < np.mean(squared) < 8.0  # six coordinates
