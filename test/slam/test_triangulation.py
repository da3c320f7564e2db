# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Landmarks from known poses, and whether their covariances are honest."""

from __future__ import annotations

import numpy as np
import pytest

from aliked_ros.slam.geometry import inverse, make_pose, project, rotation_of, transform
from aliked_ros.slam.map import Sightings
from aliked_ros.slam.triangulation import refine_landmarks, triangulate_pairs

FOCAL = 500.0
RNG = np.random.default_rng(2)
POSES = np.stack([make_pose(rotation_of(np.array([0.0, 0.02 * k, 0.0])), np.array([0.15 * k, 0, 0])) for k in range(4)])
POINTS = RNG.uniform((-1, -1, 2), (1, 1, 4), (400, 3))


def sight(
    sigma_px: float = 0.0, depth_sigma_m: float = 0.0, *, with_depth: bool = False, views: int = 4
) -> tuple[Sightings, np.ndarray]:
    keyframes = np.repeat(np.arange(views), len(POINTS))
    index = np.tile(np.arange(len(POINTS)), views)
    camera = np.concatenate([transform(inverse(pose), POINTS) for pose in POSES[:views]])
    count = len(index)
    depth = camera[:, 2] + depth_sigma_m * RNG.normal(size=count) if with_depth else np.full(count, np.nan)
    sightings = Sightings(
        keyframes,
        index,
        index,
        project(camera, FOCAL) + sigma_px * RNG.normal(size=(count, 2)),
        np.full(count, max(sigma_px, 0.5)),
        depth,
        np.full(count, max(depth_sigma_m, 0.01)) if with_depth else np.full(count, np.nan),
    )
    return sightings, index


def test_two_rays_meet_in_the_point() -> None:
    b_from_a = inverse(POSES[3]) @ POSES[0]
    points, angle = triangulate_pairs(
        project(POINTS, FOCAL), project(transform(b_from_a, POINTS), FOCAL), b_from_a, FOCAL
    )
    np.testing.assert_allclose(points, POINTS, atol=1e-9)
    expected = np.arccos(
        np.sum(POINTS * (POINTS - POSES[3][:3, 3]), 1)
        / np.linalg.norm(POINTS, axis=1)
        / np.linalg.norm(POINTS - POSES[3][:3, 3], axis=1)
    )
    np.testing.assert_allclose(angle, expected, atol=1e-6)


def test_rays_that_meet_behind_give_no_point() -> None:
    b_from_a = make_pose(np.eye(3), np.array([-0.3, 0.0, 0.0]))
    points, _ = triangulate_pairs(np.array([[-50.0, 0.0]]), np.array([[50.0, 0.0]]), b_from_a, FOCAL)
    assert np.isnan(points).all()


@pytest.mark.parametrize("with_depth", [False, True])
def test_points_are_recovered_from_rough_ones(with_depth: bool) -> None:
    sightings, index = sight(with_depth=with_depth)
    found = refine_landmarks(sightings, POSES, POINTS + 0.05 * RNG.normal(size=POINTS.shape), index, FOCAL)
    np.testing.assert_allclose(found.positions_xyz, POINTS, atol=1e-4)
    assert found.errors_sigma.max() < 0.01


@pytest.mark.parametrize("with_depth", [False, True])
def test_covariances_are_honest(with_depth: bool) -> None:
    sightings, index = sight(0.5, 0.01, with_depth=with_depth)
    found = refine_landmarks(sightings, POSES, POINTS, index, FOCAL)
    error = found.positions_xyz - POINTS
    squared = np.einsum("li,lij,lj->l", error, np.linalg.inv(found.covariances), error)
    # Squared Mahalanobis distances of three coordinates have the mean 3; Huber's weights widen it a little.
    assert 2.6 < squared.mean() < 3.6


def test_one_view_without_depth_determines_nothing() -> None:
    sightings, index = sight(views=1)
    found = refine_landmarks(sightings, POSES[:1], POINTS, index, FOCAL)
    assert np.isinf(found.covariances).any(axis=(1, 2)).all()


def test_a_wrong_sighting_is_told_by_its_error() -> None:
    sightings, index = sight(0.1)
    sightings.uv[7] += 40.0
    found = refine_landmarks(sightings, POSES, POINTS, index, FOCAL)
    assert found.errors_sigma.argmax() == 7
    assert np.linalg.norm(found.positions_xyz[7] - POINTS[7]) < 0.2  # Huber: pulled, not carried away
