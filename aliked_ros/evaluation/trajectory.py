# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Trajectories against ground truth, computed by evo: absolute and relative pose errors (ATE, RPE)."""

from __future__ import annotations

import copy
import importlib
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aliked_ros.config import Config, option
from aliked_ros.errors import AlikedError, ConfigError, SourceError
from aliked_ros.evaluation.numbers import read_numbers
from aliked_ros.evaluation.report import Chart, Report, Table

ALIGNMENTS = ("none", "se3", "sim3")
_TUM_COLUMNS, _KITTI_COLUMNS, _EUROC_COLUMNS = 8, 12, 8
_EUROC_FILE = Path("state_groundtruth_estimate0", "data.csv")
_TUM_FILE = Path("groundtruth.txt")
_FILES = (_TUM_FILE, Path("mav0") / _EUROC_FILE, _EUROC_FILE)  # of directories
_MIN_POSES = 3  # that determine an alignment


class EvoMissingError(AlikedError):
    """Trajectories were to be evaluated where evo is not installed."""


@dataclass(frozen=True)
class TrajectoryConfig(Config):
    """How an estimate is compared."""

    alignment: str = option(
        "se3", "what may be fitted before errors are measured; sim3 also fits the scale", choices=ALIGNMENTS
    )
    max_difference_s: float = option(
        0.02, "farthest apart in time that two poses belong together", unit="s", minimum=0.0, maximum=10.0
    )
    rpe_delta: float = option(1.0, "distance of the poses of a relative error", minimum=1e-3, maximum=1e6)
    rpe_unit: str = option("s", "unit of rpe_delta: seconds, metres or frames", choices=("s", "m", "frames"))


def read_estimate(path: Path) -> Any:
    """An estimated trajectory in TUM's format, ``stamp x y z qx qy qz qw``, as evo's PoseTrajectory3D.

    Raises:
        SourceError: the file cannot be read or a line is wrong: which, and how.
        EvoMissingError: evo is not installed.
    """
    return _tum(path)


def read_ground_truth(path: Path, times: Path | None = None) -> Any:
    """A ground truth by what it is: TUM's text, KITTI odometry's matrices with times, EuRoC's csv, or a bag's poses.

    Args:
        path: a file, a bag, or a directory of TUM's (``groundtruth.txt``), EuRoC's (it, or its ``mav0``) or KITTI
            odometry's layout (``sequences/NN``, whose poses are ``../../poses/NN.txt``).
        times: KITTI's ``times.txt``; without, it is looked for as ``../sequences/NN/times.txt`` and beside the file.

    Raises:
        SourceError: the file cannot be read or a line is wrong: which, and how.
        EvoMissingError: evo is not installed.
    """
    from aliked_ros.io.sources.opening import is_bag  # OpenCV is not needed to parse a command line

    if is_bag(path):
        return _bag(path)
    if path.is_dir():
        places = (*(path / inside for inside in _FILES), path.parent.parent / "poses" / f"{path.resolve().name}.txt")
        for place in places:
            if place.is_file():
                return read_ground_truth(place, times)
        raise SourceError(
            f"{path}: holds none of {', '.join(map(str, _FILES))}, and is no bag; for KITTI name poses/NN.txt or "
            "sequences/NN"
        )
    if path.suffix.lower() == ".csv":
        return _euroc(path)
    first = _first_columns(path)
    if first == _KITTI_COLUMNS:
        return _kitti(path, times)
    return _tum(path)


def _first_columns(path: Path) -> int:
    return len(read_numbers(path, 1, at_least=True)[0])


def _tum(path: Path) -> Any:
    rows = read_numbers(path, _TUM_COLUMNS)
    _require_poses(path, [row[0] for row in rows], [row[4:8] for row in rows])
    return _evo("tools.file_interface").read_tum_trajectory_file(str(path))


def _euroc(path: Path) -> Any:
    rows = read_numbers(path, _EUROC_COLUMNS, ",", at_least=True)
    _require_poses(path, [row[0] for row in rows], [row[4:8] for row in rows])
    return _evo("tools.file_interface").read_euroc_csv_trajectory(str(path))


def _kitti(path: Path, times: Path | None) -> Any:
    rows = read_numbers(path, _KITTI_COLUMNS)
    for number, row in enumerate(rows, 1):
        rotation = np.array(row).reshape(3, 4)[:, :3]
        if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-2) or np.linalg.det(rotation) < 0:
            raise SourceError(f"{path}: pose {number} is no rotation and translation: {row}")
    count = len(rows)
    beside = (path.parent.parent / "sequences" / path.stem / "times.txt", path.parent / "times.txt")
    found = times or next((place for place in beside if place.is_file()), None)
    if found is None:
        raise SourceError(f"{path}: KITTI's poses have no times; give its times.txt with --times")
    stamps = np.array([row[0] for row in read_numbers(found, 1)])
    if len(stamps) != count:
        raise SourceError(f"{found}: has {len(stamps)} times for the {count} poses of {path}")
    _require_poses(found, stamps.tolist(), [])
    poses = _evo("tools.file_interface").read_kitti_poses_file(str(path))
    return _evo("core.trajectory").PoseTrajectory3D(poses_se3=poses.poses_se3, timestamps=stamps)


def _bag(path: Path) -> Any:
    from aliked_ros.io.sources.opening import open_source

    stamps, poses = [], []
    with open_source(str(path)) as source:
        for frame in source:
            if frame.pose_world_from_camera is not None:
                stamps.append(frame.stamp_ns * 1e-9)
                poses.append(frame.pose_world_from_camera)
    if not poses:
        raise SourceError(f"{path}: none of its frames has a true pose; name another file with the ground truth")
    xyz = np.array([pose.position_xyz for pose in poses])
    wxyz = np.roll([pose.orientation_quat_xyzw for pose in poses], 1, axis=1)
    trajectory = _evo("core.trajectory").PoseTrajectory3D
    return trajectory(positions_xyz=xyz, orientations_quat_wxyz=wxyz, timestamps=np.array(stamps))


def _require_poses(path: Path, stamps: list[float], quaternions: list[list[float]]) -> None:
    """Raises SourceError for times that do not rise and quaternions that are none."""
    for number, (before, after) in enumerate(itertools.pairwise(stamps), 2):
        if after <= before:
            raise SourceError(f"{path}: pose {number} is at {after}, not after the one before it at {before}; sort it")
    for number, quaternion in enumerate(quaternions, 1):
        length = float(np.linalg.norm(quaternion))
        if abs(length - 1.0) > 1e-2:
            raise SourceError(f"{path}: pose {number} has a quaternion of length {length:.3g}; it must be 1")


def evaluate(truth: Any, estimate: Any, config: TrajectoryConfig) -> Report:
    """ATE of positions and RPE of positions and angles, after the alignment, as evo computes them.

    Raises:
        SourceError: the two share too few times, or nothing is rpe_delta apart.
    """
    truth, estimate = copy.deepcopy(truth), copy.deepcopy(estimate)
    poses = len(estimate.timestamps)
    sync, geometry = _evo("core.sync"), _evo("core.geometry")
    try:
        truth, estimate = sync.associate_trajectories(truth, estimate, max_diff=config.max_difference_s)
    except sync.SyncException as error:
        raise SourceError(
            f"estimate and ground truth share no times within {config.max_difference_s} s: {error}"
        ) from error
    if len(estimate.timestamps) < _MIN_POSES:
        raise SourceError(f"{len(estimate.timestamps)} poses have ground truth, an alignment needs {_MIN_POSES}")
    scale = 1.0
    if config.alignment != "none":
        try:
            _, _, scale = estimate.align(truth, correct_scale=config.alignment == "sim3")
        except geometry.GeometryException as error:
            raise SourceError(f"the estimate cannot be aligned: {error}; it may not move") from error
    return _report(truth, estimate, config, {"poses": poses, "scale": float(scale)})


def _report(truth: Any, estimate: Any, config: TrajectoryConfig, found: dict[str, Any]) -> Report:
    metrics = _evo("core.metrics")
    relation = metrics.PoseRelation
    absolute = metrics.APE(relation.translation_part)
    absolute.process_data((truth, estimate))
    delta, unit = _delta(truth, config, metrics.Unit)
    relatives = {}
    for name, part in (("rpe_m", relation.translation_part), ("rpe_deg", relation.rotation_angle_deg)):
        metric = metrics.RPE(part, delta, unit, all_pairs=True)
        try:
            metric.process_data((truth, estimate))
        except _evo("core.filters").FilterException as error:
            raise SourceError(f"no two poses are {config.rpe_delta:g} {config.rpe_unit} apart: {error}") from error
        if len(metric.error) == 0:
            raise SourceError(
                f"no two poses are {config.rpe_delta:g} {config.rpe_unit} apart; take a smaller rpe_delta"
            )
        relatives[name] = metric.get_all_statistics()
    path_m = float(truth.path_length)
    ate = absolute.get_all_statistics()
    results = {**found, "poses_compared": len(truth.timestamps), "path_length_m": path_m, "ate_m": ate, **relatives}
    settings = {
        "alignment": config.alignment,
        "poses with ground truth": f"{len(truth.timestamps)} of {found['poses']}",
        "path length": f"{path_m:.3f} m",
        "fitted scale": f"{found['scale']:.5f}",
    }
    return Report(
        "Trajectory", settings, results, (_table(ate, relatives, config),), _charts(truth, estimate, absolute)
    )


def _delta(truth: Any, config: TrajectoryConfig, units: Any) -> tuple[float, Any]:
    """The distance of a relative error as evo takes it, which knows no seconds: they become frames."""
    if config.rpe_unit == "m":
        return config.rpe_delta, units.meters
    if config.rpe_unit == "frames":
        if config.rpe_delta != round(config.rpe_delta):
            raise ConfigError(f"rpe_delta must be a whole number of frames, got {config.rpe_delta:g}")
        return round(config.rpe_delta), units.frames
    period_s = float(np.median(np.diff(truth.timestamps)))
    return max(1, round(config.rpe_delta / period_s)), units.frames


def _table(ate: dict[str, float], relatives: dict[str, dict[str, float]], config: TrajectoryConfig) -> Table:
    columns = ("rmse", "mean", "median", "std", "min", "max")
    apart = f"over {config.rpe_delta:g} {config.rpe_unit}"
    rows = tuple(
        (name, *(f"{values[column]:.4f}" for column in columns))
        for name, values in (
            ("ATE, m", ate), (f"RPE {apart}, m", relatives["rpe_m"]), (f"RPE {apart}, °", relatives["rpe_deg"]),
        )
    )  # fmt: skip
    return Table("Errors", ("", *columns), rows)


def _charts(truth: Any, estimate: Any, absolute: Any) -> tuple[Chart, ...]:
    lines, axes = {}, _two_axes(truth.positions_xyz)
    for name, trajectory in (("ground truth", truth), ("estimate", estimate)):
        xyz = trajectory.positions_xyz
        lines[name] = (xyz[:, axes[0]].tolist(), xyz[:, axes[1]].tolist())
    names = "xyz"
    elapsed = (truth.timestamps - truth.timestamps[0]).tolist()
    return (
        Chart("Trajectory", f"{names[axes[0]]}, m", f"{names[axes[1]]}, m", lines, equal_axes=True),
        Chart("Absolute error", "s", "m", {"error of the position": (elapsed, np.asarray(absolute.error).tolist())}),
    )


def _two_axes(xyz: Any) -> tuple[int, int]:
    """The two axes along which positions differ most, in their order."""
    spread = np.ptp(xyz, axis=0)
    first, second = sorted(np.argsort(spread)[-2:].tolist())
    return int(first), int(second)


def _evo(module: str) -> Any:
    try:
        return importlib.import_module(f"evo.{module}")
    except ImportError as error:
        raise EvoMissingError(f"trajectories need evo ({error}); pip install -r requirements/eval.txt") from error
