# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Alignment and errors of trajectories, and their text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aliked_ros.errors import ShapeError, SourceError
from aliked_ros.io.sources.tum import read_list
from aliked_ros.slam.geometry import make_pose, rotation_of
from aliked_ros.slam.trajectory import Trajectory, absolute_errors, align, rmse

RNG = np.random.default_rng(1)
STAMPS = np.arange(1, 41, dtype=np.int64) * 33_333_333


def random_trajectory() -> Trajectory:
    poses = [make_pose(rotation_of(RNG.normal(size=3)), RNG.normal(size=3)) for _ in STAMPS]
    return Trajectory.from_poses(STAMPS.tolist(), poses)


@pytest.mark.parametrize(("kind", "scale"), [("se3", 1.0), ("sim3", 2.7)])
def test_alignment_recovers_a_motion(kind: str, scale: float) -> None:
    truth = RNG.normal(size=(30, 3))
    rotation, shift = rotation_of(np.array([0.4, -2.0, 0.3])), np.array([3.0, -1.0, 0.5])
    estimate = (truth - shift) @ rotation / scale
    found = align(estimate, truth, kind)
    np.testing.assert_allclose(found.apply(estimate), truth, atol=1e-10)
    assert found.scale == pytest.approx(scale)


def test_se3_keeps_the_scale_and_no_alignment_mirrors() -> None:
    truth = RNG.normal(size=(30, 3))
    assert align(0.5 * truth, truth, "se3").scale == 1.0
    mirrored = align(truth * (1, 1, -1), truth, "sim3")
    assert np.linalg.det(mirrored.rotation) == pytest.approx(1.0)


def test_errors_are_those_of_common_stamps() -> None:
    truth = random_trajectory()
    moved = truth.positions_xyz.copy()
    moved[5] += (0.3, 0, 0)
    estimate = Trajectory(truth.stamps_ns[:20], moved[:20], truth.orientations_quat_wxyz[:20])
    errors = absolute_errors(estimate, truth, "se3")
    assert len(errors) == 20
    assert errors.argmax() == 5
    assert errors[5] == pytest.approx(0.3, abs=0.04)
    assert rmse(errors) == pytest.approx(np.sqrt((errors**2).mean()))


def test_tum_text_reads_back_exactly(tmp_path: Path) -> None:
    trajectory = random_trajectory()
    trajectory.write_tum(tmp_path / "trajectory.tum")
    lines = read_list(tmp_path / "trajectory.tum", 8, lambda fields: [float(value) for value in fields])
    assert list(lines) == trajectory.stamps_ns.tolist()
    values = np.array(list(lines.values()))
    np.testing.assert_array_equal(values[:, :3], trajectory.positions_xyz)
    np.testing.assert_array_equal(values[:, [6, 3, 4, 5]], trajectory.orientations_quat_wxyz)


def test_an_unwritable_place_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="choose another place"):
        random_trajectory().write_tum(tmp_path / "missing" / "trajectory.tum")


def test_contradictions_are_refused() -> None:
    good = random_trajectory()
    with pytest.raises(ShapeError, match="positions_xyz must have shape"):
        Trajectory(good.stamps_ns, good.positions_xyz[:-1], good.orientations_quat_wxyz)
    with pytest.raises(ShapeError, match="increase"):
        Trajectory(good.stamps_ns[::-1].copy(), good.positions_xyz, good.orientations_quat_wxyz)
    with pytest.raises(ShapeError, match="three or more"):
        align(good.positions_xyz[:2], good.positions_xyz[:2], "se3")


def test_an_empty_trajectory_has_no_length() -> None:
    empty = Trajectory.from_poses([], [])
    assert len(empty) == 0
    assert empty.length == 0.0
    assert empty.as_tum().count("\n") == 1
