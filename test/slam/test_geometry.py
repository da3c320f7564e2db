# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Rigid motions and projections."""

from __future__ import annotations

import numpy as np
import pytest

from aliked_ros.io.frames import quaternion_xyzw
from aliked_ros.slam.geometry import (
    angle_of,
    inverse,
    make_pose,
    nearest_rotation,
    project,
    projection_jacobian,
    quaternion_wxyz,
    rays,
    rotation_of,
    transform,
)

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("angle", [0.0, 1e-10, 1e-4, 0.7, 3.1, np.pi - 1e-9])
def test_a_rotation_vector_keeps_its_angle(angle: float) -> None:
    axis = np.array([1.0, -2.0, 0.5]) / np.linalg.norm([1.0, -2.0, 0.5])
    rotation = rotation_of(angle * axis)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(rotation @ axis, axis, atol=1e-12)
    assert angle_of(rotation) == pytest.approx(angle, abs=1e-7)


def test_the_inverse_undoes_one_motion_and_many() -> None:
    poses = np.stack([make_pose(rotation_of(RNG.normal(size=3)), RNG.normal(size=3)) for _ in range(5)])
    points = RNG.normal(size=(7, 3))
    for pose, back in zip(poses, inverse(poses), strict=True):
        np.testing.assert_allclose(transform(back, transform(pose, points)), points, atol=1e-12)


def test_projection_undoes_rays_and_refuses_what_is_behind() -> None:
    uv = RNG.uniform(-300, 300, (9, 2))
    np.testing.assert_allclose(project(3.0 * rays(uv, 500.0), 500.0), uv, atol=1e-9)
    assert np.isnan(project(np.array([[0.1, 0.2, -1.0], [0.0, 0.0, 0.0]]), 500.0)).all()


def test_the_jacobian_is_the_derivative() -> None:
    points = RNG.uniform((-1, -1, 1), (1, 1, 4), (6, 3))
    step = 1e-6
    numeric = np.stack(
        [(project(points + step * e, 500.0) - project(points - step * e, 500.0)) / (2 * step) for e in np.eye(3)], -1
    )
    np.testing.assert_allclose(projection_jacobian(points, 500.0), numeric, rtol=1e-6, atol=1e-5)


def test_quaternions_agree_with_those_of_frames() -> None:
    for vector in [*RNG.normal(size=(20, 3)), np.array([np.pi, 0, 0]), np.zeros(3)]:
        w, x, y, z = quaternion_wxyz(rotation_of(vector))
        expected = quaternion_xyzw(rotation_of(vector))
        same = np.array([x, y, z, w])
        assert min(np.abs(same - expected).max(), np.abs(same + expected).max()) < 1e-9


def test_the_nearest_rotation_is_one() -> None:
    noisy = rotation_of(np.array([0.1, 0.2, 0.3])) + 1e-3 * RNG.normal(size=(3, 3))
    rotation = nearest_rotation(noisy)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1.0)
