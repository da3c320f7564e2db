# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Geometric verification: which matches agree with one two-view model, found by PoseLib's robust estimators."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import poselib
from numpy.typing import NDArray

from aliked_ros.camera import Camera
from aliked_ros.errors import CalibrationError
from aliked_ros.features import Matches, ModelType, TwoViewModel
from aliked_ros.frontend.config import VerificationConfig

_SEED = 0  # the same matches give the same inliers
_MIN_ITERATIONS = 50  # PoseLib's own default is 1000, which leaves nothing to stop early


def verify(
    matches: Matches, config: VerificationConfig, camera: Camera | None, camera_ref: Camera | None = None
) -> Matches:
    """The matches with ``inliers`` and ``model`` filled in.

    The reference was taken by the same camera unless ``camera_ref`` is given.
    Where no model has ``min_inliers`` inliers nothing was verified: both stay ``None``, and a consumer sees so.

    Raises:
        CalibrationError: an essential matrix was asked for without a calibration.
    """
    if config.geometry == "none":
        return matches
    if config.geometry == "essential" and camera is None:
        raise CalibrationError(
            "geometry: essential needs a calibrated camera; connect camera_info or choose geometry: fundamental"
        )
    if len(matches) < config.min_inliers:
        return matches
    model, inliers = _estimate(matches, config, camera, camera_ref)
    if model is None or inliers.sum() < config.min_inliers:
        return matches
    return dataclasses.replace(matches, inliers=inliers, model=model)


def _estimate(
    matches: Matches, config: VerificationConfig, camera: Camera | None, camera_ref: Camera | None
) -> tuple[TwoViewModel | None, NDArray[np.bool_]]:
    ransac: dict[str, Any] = {
        "min_iterations": min(_MIN_ITERATIONS, config.max_iterations),
        "max_iterations": config.max_iterations,
        "seed": _SEED,
    }
    if config.geometry == "essential" and camera is not None:
        return _estimate_essential(matches, config, camera, camera_ref, ransac)
    reference, current = matches.xy_ref.astype(np.float64), matches.xy.astype(np.float64)
    if config.geometry == "fundamental":
        ransac["max_epipolar_error"] = config.max_error_px
        matrix, info = poselib.estimate_fundamental(reference, current, ransac, {})
        kind = ModelType.FUNDAMENTAL
    else:
        ransac["max_reproj_error"] = config.max_error_px
        matrix, info = poselib.estimate_homography(reference, current, ransac, {})
        kind = ModelType.HOMOGRAPHY
    return _model(kind, matrix), _inliers(info)


def estimate_relative_pose(
    matches: Matches,
    camera: Camera,
    ransac: dict[str, Any],
    refinement: dict[str, Any],
    camera_ref: Camera | None = None,
) -> tuple[Any, dict[str, Any]]:
    """PoseLib's pose of the image's camera from the reference's, and what its estimator tells.

    The points are undistorted and scaled to one focal length, so that the options' errors are in pixels; what has no
    place on the plane z = 1 takes no part and is no inlier. The reference was taken by the same camera unless
    ``camera_ref`` is given.
    """
    before = camera_ref or camera
    focal = 0.25 * (camera.fx + camera.fy + before.fx + before.fy)
    reference = before.normalise(matches.xy_ref).astype(np.float64) * focal
    current = camera.normalise(matches.xy).astype(np.float64) * focal
    pinhole = {"model": "SIMPLE_PINHOLE", "width": camera.width, "height": camera.height, "params": [focal, 0.0, 0.0]}
    seen = np.asarray(np.isfinite(np.hstack([reference, current])).all(1), np.bool_)
    pose, info = poselib.estimate_relative_pose(reference[seen], current[seen], pinhole, pinhole, ransac, refinement)
    inliers = np.zeros(len(seen), np.bool_)
    inliers[seen] = info["inliers"]
    return pose, {**info, "inliers": inliers}


def _estimate_essential(
    matches: Matches, config: VerificationConfig, camera: Camera, camera_ref: Camera | None, ransac: dict[str, Any]
) -> tuple[TwoViewModel | None, NDArray[np.bool_]]:
    """The essential matrix of undistorted points."""
    ransac["max_epipolar_error"] = config.max_error_px
    pose, info = estimate_relative_pose(matches, camera, ransac, {}, camera_ref)
    tx, ty, tz = pose.t
    cross = np.array([[0.0, -tz, ty], [tz, 0.0, -tx], [-ty, tx, 0.0]])
    return _model(ModelType.ESSENTIAL, cross @ pose.R), _inliers(info)


def _model(kind: ModelType, matrix: Any) -> TwoViewModel | None:
    array = np.ascontiguousarray(matrix, np.float64)
    return TwoViewModel(kind, array) if array.shape == (3, 3) and np.isfinite(array).all() else None


def _inliers(info: dict[str, Any]) -> NDArray[np.bool_]:
    return np.asarray(info["inliers"], np.bool_)
