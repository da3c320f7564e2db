# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Poses and frames: conventions, round trips, and what cannot be built."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aliked_ros.errors import ShapeError
from aliked_ros.io.frames import Frame, Pose, quaternion_xyzw

angles = st.floats(-3.2, 3.2)


@given(st.tuples(angles, angles, angles))
def test_quaternion_and_rotation_are_the_same_orientation(rotation_vector: tuple[float, float, float]) -> None:
    rotation, _ = cv2.Rodrigues(np.array(rotation_vector))
    pose = Pose.from_rotation(rotation, np.zeros(3))
    np.testing.assert_allclose(pose.rotation, rotation, atol=1e-12)
    assert pose.orientation_quat_xyzw[3] >= 0
    assert np.linalg.norm(pose.orientation_quat_xyzw) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_half_turns(axis: int) -> None:
    rotation = -np.eye(3)
    rotation[axis, axis] = 1
    expected = np.zeros(4)
    expected[axis] = 1
    np.testing.assert_allclose(np.abs(quaternion_xyzw(rotation)), expected, atol=1e-12)


def test_a_quarter_turn_about_z_takes_x_to_y() -> None:
    half = np.sqrt(0.5)
    pose = Pose(np.array([1.0, 2.0, 3.0]), np.array([0.0, 0.0, half, half]))
    np.testing.assert_allclose(pose.to_world(np.array([[1.0, 0, 0]])), [[1, 3, 3]], atol=1e-12)


def test_to_camera_undoes_to_world() -> None:
    pose = Pose(np.array([1.0, -2.0, 0.5]), np.array([0.5, 0.5, -0.5, 0.5]))
    points = np.random.default_rng(0).normal(size=(10, 3))
    np.testing.assert_allclose(pose.to_camera(pose.to_world(points)), points, atol=1e-12)


def test_quaternions_rounded_to_four_decimals_still_rotate_without_scaling() -> None:
    pose = Pose(np.zeros(3), np.array([0.7321, -0.4621, 0.2587, -0.4284]))  # a line of freiburg2_desk
    np.testing.assert_allclose(pose.rotation @ pose.rotation.T, np.eye(3), atol=1e-12)


@pytest.mark.parametrize(
    ("position", "orientation"),
    [
        (np.zeros(2), np.array([0.0, 0, 0, 1])),
        (np.zeros(3, np.float32), np.array([0.0, 0, 0, 1])),
        (np.array([0, np.nan, 0]), np.array([0.0, 0, 0, 1])),
        (np.zeros(3), np.array([0.0, 0, 0, 1.1])),
        (np.zeros(3), np.zeros(4)),
    ],
)
def test_impossible_poses_cannot_be_built(position: np.ndarray, orientation: np.ndarray) -> None:
    with pytest.raises(ShapeError):
        Pose(position, orientation)


@pytest.mark.parametrize(
    ("image", "depth"),
    [
        (np.zeros((4, 5), np.uint16), None),
        (np.zeros((4, 5, 4), np.uint8), None),
        ("image.png", None),
        (np.zeros((4, 5), np.uint8), np.zeros((5, 4), np.float32)),
        (np.zeros((4, 5), np.uint8), np.zeros((4, 5), np.float64)),
    ],
)
def test_impossible_frames_cannot_be_built(image: np.ndarray, depth: np.ndarray | None) -> None:
    with pytest.raises(ShapeError):
        Frame(0, image, depth)
