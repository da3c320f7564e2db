# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What makes two cameras a rectified pair: alike projection matrices, and a baseline along the rows."""

from __future__ import annotations

import math

from aliked_ros.camera import Camera
from aliked_ros.errors import CalibrationError

_SAME_PX = 0.5
_MAX_RISE = 0.02  # the row's share of the baseline; KITTI's coloured cameras have 0.006
_BASELINE_M = (1e-3, 10.0)


def pair_baseline_m(left: Camera, right: Camera, shift: tuple[float, float], where: str) -> float:
    """The baseline of a rectified pair, metres.

    Args:
        left: the first camera, rectified.
        right: the second, which must have the same matrix.
        shift: how far the right camera's projection matrix is from the left's in ``P[3]``, which is -fx times the
            baseline, and in ``P[7]``, which is about 0 (sensor_msgs/CameraInfo).
        where: what the values come from, for the error.

    Raises:
        CalibrationError: they are not those of a pair whose points have the same row in both images.
    """
    along, across = shift
    if not (math.isfinite(along) and math.isfinite(across)) or along == across == 0:
        raise CalibrationError(
            f"{where}: holds no baseline; P[3] of the right camera is -fx times the metres between the two, got {along}"
        )
    if abs(across) > _MAX_RISE * abs(along):
        raise CalibrationError(
            f"{where}: the second camera is {-across / right.fy:.4g} m below the first and {-along / right.fx:.4g} m "
            "beside it; stereo takes cameras side by side"
        )
    baseline_m = -along / right.fx
    if baseline_m < 0:
        raise CalibrationError(f"{where}: the second camera is {-baseline_m:.4g} m to the left of the first; swap them")
    least, most = _BASELINE_M
    if not least <= baseline_m <= most:
        raise CalibrationError(
            f"{where}: a baseline of {baseline_m:.4g} m is not in [{least:g}, {most:g}]; is it metres?"
        )
    if (left.width, left.height) != (right.width, right.height) or any(
        abs(a - b) > _SAME_PX for a, b in zip(_matrix(left), _matrix(right), strict=True)
    ):
        raise CalibrationError(
            f"{where}: not a rectified pair's: {_text(left)} and {_text(right)}; rectify both images to one matrix "
            "(OpenCV's CALIB_ZERO_DISPARITY)"
        )
    return baseline_m


def _matrix(camera: Camera) -> tuple[float, float, float, float]:
    return camera.fx, camera.fy, camera.cx, camera.cy


def _text(camera: Camera) -> str:
    fx, fy, cx, cy = _matrix(camera)
    return f"{camera.width}×{camera.height} pixels with fx {fx:g}, fy {fy:g}, cx {cx:g}, cy {cy:g}"
