# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Depth from a rectified stereo pair's matches."""

from __future__ import annotations

import numpy as np

from aliked_ros.camera import Camera
from aliked_ros.errors import CalibrationError
from aliked_ros.features import Float32Array, Matches
from aliked_ros.slam.config import SensorConfig

_MIN_DISPARITY_PX = 0.5


def depth_of_matches(
    matches: Matches,
    num_features: int,
    camera: Camera,
    baseline_m: float,
    *,
    sigma_px: float = SensorConfig.sigma_px,
    max_row_error_px: float = 2.0,
) -> tuple[Float32Array, Float32Array]:
    """The depth of the left image's features, and its 1-sigma error.

    Args:
        matches: of the right image's features to the left's: ``indices_ref`` and ``xy_ref`` are the left's.
        num_features: N of the left image.
        camera: of both images, which are rectified.
        baseline_m: from the left to the right camera, metres.
        sigma_px: 1-sigma error of a keypoint.
        max_row_error_px: matches whose rows differ by more are no matches.

    Returns:
        (N,) metres along the optical axis and (N,) metres, NaN where there is no match.

    Raises:
        CalibrationError: the baseline is not positive, or the camera has distortion.
    """
    if not (np.isfinite(baseline_m) and baseline_m > 0):
        raise CalibrationError(
            f"the baseline must be a positive number of metres, got {baseline_m}; calibrate the pair"
        )
    if any(camera.distortion):
        raise CalibrationError(
            f"stereo takes rectified images, but the calibration has distortion {camera.distortion}; rectify the "
            "images and say so (rectified of the tracker)"
        )
    shift = (matches.xy_ref[:, 0] - matches.xy[:, 0]).astype(np.float64)
    level = np.abs(matches.xy_ref[:, 1] - matches.xy[:, 1]) <= max_row_error_px
    kept = level & (shift >= _MIN_DISPARITY_PX)
    if matches.inliers is not None:
        kept &= matches.inliers
    depth, sigma = (np.full(num_features, np.nan, np.float32) for _ in range(2))
    found = camera.fx * baseline_m / shift[kept]
    rows = matches.indices_ref[kept]
    depth[rows] = found
    # Two keypoints' errors, propagated: dz = z^2 / (f b) dd.
    sigma[rows] = found**2 / (camera.fx * baseline_m) * np.sqrt(2.0) * sigma_px
    return depth, sigma
