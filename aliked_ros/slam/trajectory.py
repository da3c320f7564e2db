# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Trajectories: their text as the TUM benchmark writes it, their alignment, and their error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aliked_ros.errors import ShapeError, SourceError
from aliked_ros.slam.geometry import FloatArray, quaternion_wxyz

ALIGNMENTS = ("se3", "sim3")
_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Poses of a camera in the world, in the order of their stamps.

    Raises:
        ShapeError: the arrays disagree in length, or stamps do not increase.
    """

    stamps_ns: NDArray[np.int64]  # (N,)
    positions_xyz: FloatArray  # (N, 3) metres, or units of the map where nothing measures the scale
    orientations_quat_wxyz: FloatArray  # (N, 4) unit length

    def __post_init__(self) -> None:
        count = len(self.stamps_ns)
        for name, extent in (("positions_xyz", 3), ("orientations_quat_wxyz", 4)):
            found = getattr(self, name).shape
            if found != (count, extent):
                raise ShapeError(f"{name} must have shape ({count}, {extent}), one row for each stamp, got {found}")
        if np.any(np.diff(self.stamps_ns) <= 0):
            raise ShapeError("stamps of a trajectory must increase; sort the poses and drop double ones")

    def __len__(self) -> int:
        return len(self.stamps_ns)

    @classmethod
    def from_poses(cls, stamps_ns: Sequence[int], poses_world_from_camera: Sequence[FloatArray]) -> Trajectory:
        """Of poses (4, 4)."""
        poses = np.stack(poses_world_from_camera) if len(poses_world_from_camera) else np.empty((0, 4, 4))
        quaternions = [quaternion_wxyz(pose[:3, :3]) for pose in poses]
        return cls(
            np.asarray(stamps_ns, np.int64), np.array(poses[:, :3, 3]), np.array(quaternions, np.float64).reshape(-1, 4)
        )

    @property
    def length(self) -> float:
        """The way along it, in its own units."""
        return float(np.linalg.norm(np.diff(self.positions_xyz, axis=0), axis=1).sum())

    def at(self, stamps_ns: NDArray[np.int64]) -> Trajectory:
        """The poses of these stamps, which must all be there."""
        rows = np.searchsorted(self.stamps_ns, stamps_ns)
        return Trajectory(self.stamps_ns[rows], self.positions_xyz[rows], self.orientations_quat_wxyz[rows])

    def as_tum(self) -> str:
        """Lines of ``timestamp tx ty tz qx qy qz qw``; the numbers read back as the same float64."""
        lines = ["# timestamp tx ty tz qx qy qz qw"]
        for stamp, position, (w, x, y, z) in zip(
            self.stamps_ns.tolist(), self.positions_xyz.tolist(), self.orientations_quat_wxyz.tolist(), strict=True
        ):
            seconds = f"{stamp // _NS_PER_S}.{stamp % _NS_PER_S:09d}"
            lines.append(" ".join([seconds, *map(repr, position), *map(repr, (x, y, z, w))]))
        return "\n".join(lines) + "\n"

    def write_tum(self, path: Path) -> None:
        """Writes the file.

        Raises:
            SourceError: it cannot be written.
        """
        try:
            path.write_text(self.as_tum(), encoding="utf-8")
        except OSError as error:
            raise SourceError(f"{path}: cannot be written ({error.strerror}); choose another place") from error


@dataclass(frozen=True, eq=False)
class Alignment:
    """The similarity that takes an estimate to the truth: ``scale * rotation @ position + translation``."""

    rotation: FloatArray  # (3, 3)
    translation: FloatArray  # (3,)
    scale: float

    def apply(self, positions_xyz: FloatArray) -> FloatArray:
        """Positions (N, 3), aligned."""
        return np.asarray(self.scale * positions_xyz @ self.rotation.T + self.translation, np.float64)


def align(estimate_xyz: FloatArray, truth_xyz: FloatArray, kind: str) -> Alignment:
    """The least-squares alignment of two lists of positions (N, 3) (Umeyama, PAMI 13(4), 1991).

    Args:
        estimate_xyz: what is moved.
        truth_xyz: where it belongs, row by row.
        kind: ``se3`` keeps the scale, ``sim3`` finds it.

    Raises:
        ShapeError: the lists differ in length or have fewer than three positions.
    """
    if estimate_xyz.shape != truth_xyz.shape or len(truth_xyz) < 3:
        raise ShapeError(
            f"alignment needs two lists of three or more positions, got {estimate_xyz.shape} and {truth_xyz.shape}"
        )
    mean_estimate, mean_truth = estimate_xyz.mean(0), truth_xyz.mean(0)
    centred = estimate_xyz - mean_estimate
    covariance = (truth_xyz - mean_truth).T @ centred / len(truth_xyz)
    u, values, vt = np.linalg.svd(covariance)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = u @ np.diag(signs) @ vt
    variance = float((centred**2).sum() / len(centred))
    scale = float(values @ signs) / variance if kind == "sim3" and variance > 0 else 1.0
    return Alignment(rotation, mean_truth - scale * rotation @ mean_estimate, scale)


def absolute_errors(estimate: Trajectory, truth: Trajectory, kind: str) -> FloatArray:
    """Distances (N,) of the aligned positions to the true ones of the same stamps, in units of the truth.

    Raises:
        ShapeError: fewer than three stamps are common.
    """
    common = np.intersect1d(estimate.stamps_ns, truth.stamps_ns)
    ours, theirs = estimate.at(common).positions_xyz, truth.at(common).positions_xyz
    aligned = align(ours, theirs, kind).apply(ours)
    return np.asarray(np.linalg.norm(aligned - theirs, axis=1), np.float64)


def rmse(errors: FloatArray) -> float:
    """The root of the mean square."""
    return float(np.sqrt(np.mean(errors**2)))
