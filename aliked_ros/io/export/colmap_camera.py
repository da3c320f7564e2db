# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""COLMAP's camera models, and its pixels: (0.5, 0.5) is the centre of the top-left one.

Source: COLMAP's documentation, "Camera Models" and "Database Format".
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aliked_ros.camera import Camera
from aliked_ros.errors import CalibrationError

PIXEL_SHIFT = 0.5  # from this project's coordinates, in which that centre is (0, 0)

# What COLMAP itself assumes of a camera it knows nothing about, and marks as no prior.
_FOCAL_LENGTH_GUESS = 1.2  # times the longer side of the image


class CameraModel(enum.IntEnum):
    """The models that calibrations of ROS are written as; the values are COLMAP's."""

    PINHOLE = 1
    SIMPLE_RADIAL = 2
    OPENCV = 4
    OPENCV_FISHEYE = 5
    FULL_OPENCV = 6


@dataclass(frozen=True, eq=False)
class ColmapCamera:
    """A row of COLMAP's table of cameras."""

    model: CameraModel
    width: int
    height: int
    params: NDArray[np.float64]
    has_prior: bool  # the focal length was measured


def calibrated(camera: Camera) -> ColmapCamera:
    """The camera with all its distortion.

    Raises:
        CalibrationError: COLMAP has no model with these coefficients.
    """
    model, distortion = _distortion(camera)
    intrinsics = (camera.fx, camera.fy, camera.cx + PIXEL_SHIFT, camera.cy + PIXEL_SHIFT)
    params = np.array([*intrinsics, *distortion], np.float64)
    return ColmapCamera(model, camera.width, camera.height, params, has_prior=True)


def uncalibrated(width: int, height: int) -> ColmapCamera:
    """A camera whose intrinsics the mapper has to find: a guess to start from, marked as one."""
    params = np.array([_FOCAL_LENGTH_GUESS * max(width, height), width / 2, height / 2, 0.0], np.float64)
    return ColmapCamera(CameraModel.SIMPLE_RADIAL, width, height, params, has_prior=False)


def _distortion(camera: Camera) -> tuple[CameraModel, tuple[float, ...]]:
    coefficients = camera.distortion
    if camera.distortion_model == "equidistant":
        return CameraModel.OPENCV_FISHEYE, coefficients
    if not any(coefficients):
        return CameraModel.PINHOLE, ()
    if any(coefficients[8:]):
        raise CalibrationError(
            f"COLMAP has no camera with thin-prism or tilt coefficients, got {coefficients[8:]}; "
            "rectify the images and give the calibration of the rectified ones"
        )
    if any(coefficients[4:8]):
        k = (*coefficients[:8], *(0.0,) * (8 - len(coefficients[:8])))
        return CameraModel.FULL_OPENCV, k
    return CameraModel.OPENCV, coefficients[:4]
