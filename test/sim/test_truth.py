# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Ground truth from depth and poses, on surfaces whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from aliked_ros.camera import Camera
from aliked_ros.errors import SourceError
from aliked_ros.io.frames import Frame, Pose
from aliked_ros.sim.truth import depth_at, project, world_points

CAMERA = Camera(64, 48, 50.0, 50.0, 31.5, 23.5, "plumb_bob", (0.05, -0.02, 0.001, 0.002, 0.0))
IDENTITY = Pose(np.zeros(3), np.array([0.0, 0, 0, 1]))
IMAGE = np.zeros((48, 64, 3), np.uint8)


def frame(depth: np.ndarray | None, pose: Pose | None = IDENTITY) -> Frame:
    return Frame(0, IMAGE, depth, pose)


def flat(depth: float) -> np.ndarray:
    return np.full((48, 64), depth, np.float32)


def test_depth_on_a_slanted_plane_is_exact_between_pixels() -> None:
    y, x = np.mgrid[:48, :64]
    depth = (1 / (0.5 + 0.002 * x - 0.003 * y)).astype(np.float32)
    xy = np.random.default_rng(0).uniform((0, 0), (63, 47), (500, 2))
    expected = 1 / (0.5 + 0.002 * xy[:, 0] - 0.003 * xy[:, 1])
    np.testing.assert_allclose(depth_at(depth, xy), expected, rtol=1e-6)


def test_depth_is_unknown_outside_at_holes_and_across_edges() -> None:
    depth = flat(2.0)
    depth[:, 40:] = 3.0  # an edge along a column
    depth[10, 10] = np.nan
    xy = np.array([[-0.1, 5], [63.1, 5], [5, 47.1], [9.5, 9.5], [39.5, 20], [20, 20], [63, 47], [0, 0]])
    known = np.isfinite(depth_at(depth, xy))
    assert known.tolist() == [False, False, False, False, False, True, True, True]


def test_points_project_back_to_their_pixels_with_distortion() -> None:
    pose = Pose(np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.5, 0.5, 0.5]))
    xy = np.random.default_rng(0).uniform((2, 2), (61, 45), (200, 2)).astype(np.float32)
    seen = project(frame(flat(2.0), pose), CAMERA, world_points(frame(flat(2.0), pose), CAMERA, xy))
    np.testing.assert_allclose(seen, xy, atol=2e-4)


def test_what_is_hidden_behind_or_outside_is_not_seen() -> None:
    points = np.array([[0, 0, 2.0], [0, 0, 2.5], [0, 0, -2.0], [5.0, 0, 2.0], [np.nan, 0, 2.0]])
    seen = np.isfinite(project(frame(flat(2.0)), CAMERA, points)[:, 0])
    assert seen.tolist() == [True, False, False, False, False]
    without_depth = np.isfinite(project(frame(None), CAMERA, points)[:, 0])
    assert without_depth.tolist() == [True, True, False, False, False]


def test_frames_without_truth_are_refused() -> None:
    with pytest.raises(SourceError, match="depth and pose"):
        world_points(frame(None), CAMERA, np.zeros((1, 2)))
    with pytest.raises(SourceError, match="a pose"):
        project(frame(flat(1.0), None), CAMERA, np.zeros((1, 3)))
