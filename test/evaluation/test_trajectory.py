# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Trajectories in every format, with errors that are known beforehand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aliked_ros.cli.main import main
from aliked_ros.errors import ConfigError, SourceError
from aliked_ros.evaluation import trajectory
from aliked_ros.evaluation.trajectory import TrajectoryConfig

NUM_POSES = 50
STAMPS = 1000.0 + np.arange(NUM_POSES) * 0.1
ANGLES = np.linspace(0, 2.0, NUM_POSES)
XYZ = np.column_stack([3 * np.sin(ANGLES), 3 - 3 * np.cos(ANGLES), 0.2 * ANGLES])
QUATERNIONS = np.column_stack([np.zeros(NUM_POSES), np.zeros(NUM_POSES), np.sin(ANGLES / 2), np.cos(ANGLES / 2)])
WORLD = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])  # a quarter turn around z


def write_tum(path: Path, stamps: np.ndarray = STAMPS, xyz: np.ndarray = XYZ, q: np.ndarray = QUATERNIONS) -> Path:
    np.savetxt(path, np.column_stack([stamps, xyz, q]), fmt="%.9f", header="stamp x y z qx qy qz qw")
    return path


def rotations() -> np.ndarray:
    c, s = np.cos(ANGLES), np.sin(ANGLES)
    matrices = np.tile(np.eye(3), (NUM_POSES, 1, 1))
    matrices[:, 0, 0], matrices[:, 0, 1], matrices[:, 1, 0], matrices[:, 1, 1] = c, -s, s, c
    return matrices


def evaluate(truth: Path, estimate: Path, **options: object) -> dict:
    config = TrajectoryConfig(**options)  # type: ignore[arg-type]
    report = trajectory.evaluate(trajectory.read_ground_truth(truth), trajectory.read_estimate(estimate), config)
    return report.results  # type: ignore[no-any-return]


def test_a_moved_and_scaled_copy_is_exact_after_the_alignment(tmp_path: Path) -> None:
    truth = write_tum(tmp_path / "truth.txt")
    turn = np.array([0, 0, np.sin(np.pi / 4), np.cos(np.pi / 4)])
    x, y, z, w = QUATERNIONS.T
    turned = np.column_stack([x * turn[3], y * turn[3], w * turn[2] + z * turn[3], w * turn[3] - z * turn[2]])
    moved = write_tum(tmp_path / "moved.txt", STAMPS + 0.004, 0.5 * XYZ @ WORLD.T + [1, 2, 3], turned)
    similar = evaluate(truth, moved, alignment="sim3")
    assert similar["ate_m"]["rmse"] < 1e-6
    assert similar["rpe_deg"]["rmse"] < 1e-4
    assert similar["scale"] == pytest.approx(2.0, abs=1e-6)
    assert similar["poses_compared"] == NUM_POSES
    assert evaluate(truth, moved, alignment="se3")["ate_m"]["rmse"] > 0.1
    assert evaluate(truth, moved, alignment="none")["ate_m"]["rmse"] > 1.0


def test_a_known_error_is_measured(tmp_path: Path) -> None:
    truth = write_tum(tmp_path / "truth.txt")
    sideways = np.where(np.arange(NUM_POSES)[:, None] % 2 == 0, 0.03, -0.03) * [[0, 0, 1]]
    found = evaluate(truth, write_tum(tmp_path / "estimate.txt", xyz=XYZ + sideways), alignment="none")
    assert found["ate_m"]["rmse"] == pytest.approx(0.03, abs=1e-6)
    near = evaluate(truth, tmp_path / "estimate.txt", alignment="none", rpe_delta=1, rpe_unit="frames")
    assert near["rpe_m"]["rmse"] == pytest.approx(0.06, abs=1e-6)
    even = evaluate(truth, tmp_path / "estimate.txt", alignment="none", rpe_delta=0.2, rpe_unit="s")
    assert even["rpe_m"]["rmse"] == pytest.approx(0.0, abs=1e-6)
    assert evaluate(truth, tmp_path / "estimate.txt", rpe_delta=1.0, rpe_unit="m")["rpe_m"]["rmse"] > 0


def test_every_format_says_the_same(tmp_path: Path) -> None:
    estimate = write_tum(tmp_path / "estimate.txt", xyz=XYZ * 1.1)
    tum = tmp_path / "tum"
    tum.mkdir()
    write_tum(tum / "groundtruth.txt")
    kitti = tmp_path / "kitti" / "poses" / "07.txt"
    times = tmp_path / "kitti" / "sequences" / "07" / "times.txt"
    for path in (kitti, times):
        path.parent.mkdir(parents=True)
    np.savetxt(kitti, np.concatenate([rotations(), XYZ[:, :, None]], 2).reshape(NUM_POSES, 12))
    np.savetxt(times, STAMPS)
    euroc = tmp_path / "euroc" / "mav0" / "state_groundtruth_estimate0" / "data.csv"
    euroc.parent.mkdir(parents=True)
    rows = np.column_stack([STAMPS * 1e9, XYZ, QUATERNIONS[:, 3], QUATERNIONS[:, :3], np.zeros((NUM_POSES, 9))])
    np.savetxt(euroc, rows, delimiter=",", fmt="%.9f", header="timestamp, p_x, p_y, p_z, q_w, q_x, q_y, q_z, ...")
    errors = [evaluate(path, estimate)["ate_m"]["rmse"] for path in (tum, kitti, tmp_path / "euroc", euroc)]
    assert errors[0] > 0.01
    np.testing.assert_allclose(errors, errors[0], rtol=1e-4)


def test_the_report_has_a_table_and_two_charts(tmp_path: Path) -> None:
    truth = trajectory.read_ground_truth(write_tum(tmp_path / "truth.txt"))
    report = trajectory.evaluate(truth, truth, TrajectoryConfig())
    assert "| ATE, m | 0.0000 |" in report.markdown()
    assert [chart.title for chart in report.charts] == ["Trajectory", "Absolute error"]
    assert (report.charts[0].x_label, report.charts[0].y_label) == ("x, m", "y, m"), "z hardly changes"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 0 0 0 0 0 0 1\n2 0 0 0 0 0 1\n", "line 2: has 7 columns, needs 8"),
        ("1 0 0 0 0 0 0 1\n\n# c\n2 0 0 x 0 0 0 1\n", "line 4: 'x' is no number"),
        ("1 0 0 0 0 0 0 1\n1 0 0 0 0 0 0 1\n", "pose 2 is at 1.0, not after the one before it at 1.0"),
        ("1 0 0 0 0 0 0 2\n", "pose 1 has a quaternion of length 2"),
        ("", "holds no line"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "estimate.txt"
    path.write_text(text)
    with pytest.raises(SourceError, match=f"estimate.txt.*{expected}"):
        trajectory.read_estimate(path)


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    truth = write_tum(tmp_path / "truth.txt")
    with pytest.raises(SourceError, match=r"share no times within 0\.02 s"):
        evaluate(truth, write_tum(tmp_path / "late.txt", STAMPS + 500))
    with pytest.raises(SourceError, match="2 poses have ground truth, an alignment needs 3"):
        evaluate(truth, write_tum(tmp_path / "short.txt", STAMPS[:2], XYZ[:2], QUATERNIONS[:2]))
    with pytest.raises(SourceError, match="no two poses are 500 m apart"):
        evaluate(truth, truth, rpe_delta=500.0, rpe_unit="m")
    with pytest.raises(SourceError, match=r"holds none of groundtruth\.txt, mav0"):
        trajectory.read_ground_truth(tmp_path)
    with pytest.raises(ConfigError, match="alignment must be one of none, se3, sim3"):
        TrajectoryConfig(alignment="sim2")
    kitti = tmp_path / "00.txt"
    np.savetxt(kitti, np.tile(np.eye(3, 4).ravel(), (5, 1)))
    with pytest.raises(SourceError, match=r"have no times; give its times\.txt"):
        trajectory.read_ground_truth(kitti)
    np.savetxt(tmp_path / "t.txt", STAMPS[:4])
    with pytest.raises(SourceError, match="has 4 times for the 5 poses"):
        trajectory.read_ground_truth(kitti, tmp_path / "t.txt")
    np.savetxt(tmp_path / "t.txt", STAMPS[4::-1])
    with pytest.raises(SourceError, match=r"t\.txt: pose 2 is at .*, not after the one before"):
        trajectory.read_ground_truth(kitti, tmp_path / "t.txt")
    np.savetxt(tmp_path / "t.txt", STAMPS[:5])
    for matrix in (2 * np.eye(3, 4), np.diag([1, 1, -1, 1])[:3]):
        np.savetxt(kitti, np.vstack([np.eye(3, 4).ravel()] * 3 + [matrix.ravel()] * 2))
        with pytest.raises(SourceError, match="pose 4 is no rotation and translation"):
            trajectory.read_ground_truth(kitti, tmp_path / "t.txt")
    for delta, message in ((0.3, "whole number of frames, got 0.3"), (1.5, "got 1.5")):
        with pytest.raises(ConfigError, match=message):
            evaluate(truth, truth, rpe_delta=delta, rpe_unit="frames")
    with pytest.raises(SourceError, match="no two poses are 500 frames apart"):
        evaluate(truth, truth, rpe_delta=500.0, rpe_unit="frames")


def test_directories_and_bags_are_read_as_they_are_published(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    estimate = write_tum(tmp_path / "estimate.txt")
    kitti = tmp_path / "kitti"
    (kitti / "poses").mkdir(parents=True)
    (kitti / "sequences" / "07").mkdir(parents=True)
    matrices = np.concatenate([rotations(), XYZ[..., None]], axis=2)
    np.savetxt(kitti / "poses" / "07.txt", matrices.reshape(NUM_POSES, 12))
    np.savetxt(kitti / "sequences" / "07" / "times.txt", STAMPS)
    assert evaluate(kitti / "sequences" / "07", estimate)["ate_m"]["rmse"] < 1e-6
    euroc = tmp_path / "MH_01" / "mav0" / "state_groundtruth_estimate0"
    euroc.mkdir(parents=True)
    rows = np.column_stack([STAMPS * 1e9, XYZ, QUATERNIONS[:, [3, 0, 1, 2]]])
    np.savetxt(euroc / "data.csv", rows, delimiter=",", fmt=["%d"] + ["%.9f"] * 7, header="timestamp, p, q")
    for folder in (tmp_path / "MH_01", tmp_path / "MH_01" / "mav0"):
        assert evaluate(folder, estimate)["ate_m"]["rmse"] < 1e-6
    simulated, bag = tmp_path / "sim", tmp_path / "bag"
    assert main(["sim", str(simulated), "--frames", "4", "--width", "64", "--height", "48"]) == 0
    assert main(["bag", "create", str(simulated), str(bag)]) == 0
    found = evaluate(bag, simulated / "groundtruth.txt", rpe_delta=1.0, rpe_unit="frames", alignment="none")
    assert found["poses_compared"] == 4
    assert found["ate_m"]["rmse"] < 1e-4
    assert found["rpe_deg"]["rmse"] < 1e-2
    assert main(["bag", "create", str(simulated / "rgb"), str(tmp_path / "blind")]) == 0
    with pytest.raises(SourceError, match="none of its frames has a true pose"):
        trajectory.read_ground_truth(tmp_path / "blind")
    capsys.readouterr()
