# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The first map of a single camera: two views with parallax, their relative pose, and what both see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import poselib
from numpy.typing import NDArray

from aliked_ros.slam.config import InitialisationConfig
from aliked_ros.slam.geometry import FloatArray, inverse, make_pose, project, transform
from aliked_ros.slam.observation import Observation
from aliked_ros.slam.triangulation import triangulate_pairs

_SEED = 0
_MAX_EPIPOLAR_ERROR_PX = 1.5
_MAX_ERROR_PX = 2.0


@dataclass(frozen=True, eq=False)
class TwoViews:
    """Two frames whose relative pose is known up to scale; the median depth in the first is 1."""

    first: Observation
    second: Observation
    pose_first_from_second: FloatArray  # (4, 4)
    rows_first: NDArray[np.intp]  # (M,) features of the first
    rows_second: NDArray[np.intp]  # (M,) the same points' features of the second
    points: FloatArray  # (M, 3) of the first camera's frame


class TwoViewInitialiser:
    """Waits for a second view that is far enough from the first."""

    def __init__(self, config: InitialisationConfig) -> None:
        self._config = config
        self._first: Observation | None = None
        self._waited = 0

    def reset(self) -> None:
        """Begins anew with the next frame."""
        self._first = None

    def add(self, observation: Observation) -> TwoViews | None:
        """The two views, as soon as this frame is a good second one."""
        first = self._first
        if first is None:
            self._begin(observation)
            return None
        self._waited += 1
        _, a, b = np.intersect1d(first.track_ids, observation.track_ids, return_indices=True)
        tracked = first.track_ids[a] >= 0
        a, b = a[tracked], b[tracked]
        if len(a) < self._config.min_matches or self._waited > self._config.max_frames:
            self._begin(observation)
            return None
        if not self._has_moved(first, observation, a, b):
            return None
        return self._reconstruct(first, observation, a, b)

    def _begin(self, observation: Observation) -> None:
        enough = len(observation) >= self._config.min_matches
        self._first, self._waited = (observation if enough else None), 0

    def _has_moved(self, first: Observation, second: Observation, a: NDArray[np.intp], b: NDArray[np.intp]) -> bool:
        """Whether the image moved as far as the wanted parallax moves it, at least; spares hopeless estimates."""
        moved = np.median(np.linalg.norm(first.uv[a] - second.uv[b], axis=1))
        return bool(moved >= np.deg2rad(self._config.min_parallax_deg) * first.focal_px)

    def _reconstruct(
        self, first: Observation, second: Observation, a: NDArray[np.intp], b: NDArray[np.intp]
    ) -> TwoViews | None:
        focal = first.focal_px
        width, height = first.size
        pinhole = {"model": "SIMPLE_PINHOLE", "width": width, "height": height, "params": [focal, 0.0, 0.0]}
        ransac = {"max_epipolar_error": _MAX_EPIPOLAR_ERROR_PX, "seed": _SEED, "min_iterations": 200}
        found, info = poselib.estimate_relative_pose(first.uv[a], second.uv[b], pinhole, pinhole, ransac, {})
        inliers = np.asarray(info["inliers"], np.bool_)
        a, b = a[inliers], b[inliers]
        if len(a) < self._config.min_matches:
            return None
        second_from_first = make_pose(found.R, found.t)
        points, angle = triangulate_pairs(first.uv[a], second.uv[b], second_from_first, focal)
        good = _agree(first, second, a, b, points, second_from_first)
        # Far points have no parallax and would spoil nothing, but a scene of them alone gives no pose.
        if good.sum() < self._config.min_matches or good.mean() < 0.7:
            return None
        if np.rad2deg(np.median(angle[good])) < self._config.min_parallax_deg:
            return None
        scale = 1.0 / float(np.median(points[good, 2]))
        pose = inverse(second_from_first)
        pose[:3, 3] *= scale
        return TwoViews(first, second, pose, a[good], b[good], points[good] * scale)


def _agree(
    first: Observation,
    second: Observation,
    a: NDArray[np.intp],
    b: NDArray[np.intp],
    points: FloatArray,
    second_from_first: FloatArray,
) -> NDArray[np.bool_]:
    """Which points both cameras see where their features are; false for NaN."""
    with np.errstate(invalid="ignore"):
        error_a = np.linalg.norm(project(points, first.focal_px) - first.uv[a], axis=1)
        error_b = np.linalg.norm(project(transform(second_from_first, points), second.focal_px) - second.uv[b], axis=1)
        return np.asarray((error_a < _MAX_ERROR_PX) & (error_b < _MAX_ERROR_PX), np.bool_)
