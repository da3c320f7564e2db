# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Pinhole cameras with lens distortion, in the terms of ROS's sensor_msgs/CameraInfo."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.polynomial.polynomial import polyval
from numpy.typing import NDArray

from aliked_ros.errors import CalibrationError

# How many coefficients each ROS distortion model may carry (sensor_msgs/distortion_models.hpp, OpenCV calib3d).
_COEFFICIENT_COUNTS = {"plumb_bob": (0, 4, 5), "rational_polynomial": (8, 12, 14), "equidistant": (4,)}
_GRID = 9  # pixels along each side of what is looked at, at which distortion is tried
_TRIED_FISHEYE_RAD = 1.2  # from the axis, as far as the focal length alone tells
_FISHEYE_ROUNDS = 12  # of Newton's method at most; it doubles the digits in each
_FISHEYE_STEP_RAD = 1e-6  # the next is about the square of the last
_MAX_RETURN_PX = 1.0  # from a pixel to its ray and back
_MIN_INVERTIBLE = 0.5  # share of the pixels that must come back
_MIN_BENT = 0.5  # of the tangent that a pixel would have without distortion, as a median
_MAX_RAY = 57.0  # from the axis on the z = 1 plane: 89 degrees, where a hundredth of a pixel moves a ray far
_MIN_FOCAL_LENGTH = 0.01  # of the image's side; a fisheye that saw all around would have 0.16


@dataclass(frozen=True, eq=False)
class Camera:
    """Intrinsic calibration of one camera.

    Raises:
        CalibrationError: a focal length is not positive, a value is not finite, the model is unknown, the principal
            point is far outside the image, or the distortion cannot be undone in most of it.
    """

    width: int  # pixels
    height: int  # pixels
    fx: float  # pixels
    fy: float  # pixels
    cx: float  # pixels; (0, 0) is the centre of the top-left pixel
    cy: float  # pixels
    distortion_model: str = "plumb_bob"
    distortion: tuple[float, ...] = ()  # in OpenCV's order: k1, k2, p1, p2, k3, ...

    def __post_init__(self) -> None:
        self._check_model()  # first: of a hostile message the coefficients may be a million
        values = (self.fx, self.fy, self.cx, self.cy, *self.distortion)
        if not np.all(np.isfinite(values)):
            raise CalibrationError(f"calibration has a value that is not finite: {values}; calibrate the camera")
        if self.fx <= 0 or self.fy <= 0:
            raise CalibrationError(
                f"focal lengths must be positive, got fx = {self.fx}, fy = {self.fy}; "
                "a camera that is not calibrated publishes zeros: calibrate it or leave camera_info unconnected"
            )
        if self.width <= 0 or self.height <= 0:
            raise CalibrationError(f"calibration is for an image of {self.width}×{self.height} pixels")
        for name, value, size in (("fx", self.fx, self.width), ("fy", self.fy, self.height)):
            if value < _MIN_FOCAL_LENGTH * size:
                raise CalibrationError(
                    f"{name} = {value} is far too short for an image of {self.width}×{self.height} pixels; focal "
                    "lengths are in pixels"
                )
        for name, value, size in (("cx", self.cx, self.width), ("cy", self.cy, self.height)):
            if not -size <= value <= 2 * size:  # a cut-out may lie beside it
                raise CalibrationError(
                    f"{name} = {value} lies far outside an image of {self.width}×{self.height} pixels; is this the "
                    "calibration of another camera, or of another image size?"
                )
        if any(self.distortion):
            self._check_distortion()

    def _check_distortion(self) -> None:
        """A wide lens's model may fold over in the corners, but not where most of the image is.

        Of a fisheye only what is well in front of it counts: aside there are no rays on the plane z = 1, and its image
        may end long before the corners.
        """
        is_fisheye = self.distortion_model == "equidistant"
        reach, part = (_TRIED_FISHEYE_RAD, "what lies in front of the camera") if is_fisheye else (np.inf, "the image")
        x, y = np.meshgrid(
            np.linspace(*_span(self.cx, reach * self.fx, self.width), _GRID),
            np.linspace(*_span(self.cy, reach * self.fy, self.height), _GRID),
        )
        pixels = np.stack([x.ravel(), y.ravel()], 1)
        straight = np.hypot((pixels[:, 0] - self.cx) / self.fx, (pixels[:, 1] - self.cy) / self.fy)
        pixels, straight = pixels[straight < reach], straight[straight < reach]
        if len(pixels) < _GRID:
            return  # a cut-out that shows next to nothing of it
        with np.errstate(all="ignore"):
            distances = np.hypot(*self._undistorted(pixels).T)
            if is_fisheye:
                distances = np.arctan(distances)
            share = float(np.isfinite(self.normalise(pixels.astype(np.float32))).all(1).mean())
            bent = float(np.median(distances) / max(float(np.median(straight)), 1e-9))
        remedy = "calibrate the camera, and look for coefficients in another order or of another model"
        if share < _MIN_INVERTIBLE:
            raise CalibrationError(
                f"the distortion {self.distortion} cannot be undone in {1 - share:.0%} of {part}: no lens bends so; "
                f"{remedy}"
            )
        if bent < _MIN_BENT:
            raise CalibrationError(
                f"the distortion {self.distortion} leaves {bent:.0%} of the angle that the focal length gives: no lens "
                f"bends so; {remedy}"
            )

    def _check_model(self) -> None:
        counts = _COEFFICIENT_COUNTS.get(self.distortion_model)
        if counts is None:
            known = ", ".join(_COEFFICIENT_COUNTS)
            raise CalibrationError(f"unknown distortion model {self.distortion_model!r}; known: {known}")
        if len(self.distortion) not in counts:
            raise CalibrationError(
                f"{self.distortion_model} takes {' or '.join(map(str, counts))} coefficients, "
                f"got {len(self.distortion)}"
            )

    @property
    def matrix(self) -> NDArray[np.float64]:
        """K, (3, 3): pixels from the z = 1 plane."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], np.float64)

    def normalise(self, xy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Undistorted coordinates on the z = 1 plane, (N, 2) float32, of pixels (N, 2).

        NaN where there are none: 89 degrees and more from the axis, outside a fisheye's image circle, and where the
        distortion cannot be undone.
        """
        if len(xy) == 0:
            return np.empty((0, 2), np.float32)
        pixels = np.ascontiguousarray(xy, np.float64)
        rays = self._undistorted(pixels)
        if any(self.distortion) or self.distortion_model == "equidistant":
            with np.errstate(all="ignore"):
                back = self.project(np.hstack([rays, np.ones((len(rays), 1))]))
                is_ray = (np.linalg.norm(back - pixels, axis=1) <= _MAX_RETURN_PX) & (np.hypot(*rays.T) <= _MAX_RAY)
            rays[~is_ray] = np.nan  # NaN fails, too
        return np.asarray(rays, np.float32)

    def _undistorted(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rays (N, 2) of pixels (N, 2), right or not: the iterations may end anywhere."""
        if self.distortion_model == "equidistant":
            centred = (pixels - (self.cx, self.cy)) / (self.fx, self.fy)
            return _undistort_fisheye(centred, np.array(self.distortion, np.float64))
        points = np.ascontiguousarray(pixels, np.float64).reshape(-1, 1, 2)
        result = _undistort(points, self.matrix, np.array(self.distortion, np.float64))
        return np.asarray(result.reshape(-1, 2), np.float64)

    def project(self, points_xyz: NDArray[np.float64]) -> NDArray[np.float64]:
        """Pixels (N, 2) of points (N, 3) in the camera's frame (x right, y down, z forward), with distortion."""
        if len(points_xyz) == 0:
            return np.empty((0, 2), np.float64)
        points = np.ascontiguousarray(points_xyz, np.float64).reshape(-1, 1, 3)
        zero, coefficients = np.zeros(3), np.array(self.distortion, np.float64)
        if self.distortion_model == "equidistant":
            pixels, _ = cv2.fisheye.projectPoints(points, zero, zero, self.matrix, coefficients)
        else:
            pixels, _ = cv2.projectPoints(points, zero, zero, self.matrix, coefficients)
        return np.asarray(pixels.reshape(-1, 2), np.float64)


def _span(centre: float, reach: float, size: int) -> tuple[float, float]:
    """The pixels of a row or column that are so near its principal point, first and last."""
    first, last = np.clip((centre - reach, centre + reach), 0, size - 1)
    return float(first), float(last)


def _undistort(
    points: NDArray[np.float64], matrix: NDArray[np.float64], coefficients: NDArray[np.float64]
) -> NDArray[np.float64]:
    """OpenCV's iteration run to convergence: its default of five rounds leaves 0.08 px in the corners of TUM's fr1."""
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 40, 1e-9)
    if hasattr(cv2, "undistortPointsIter"):  # OpenCV 4; version 5 merged it into undistortPoints
        return np.asarray(cv2.undistortPointsIter(points, matrix, coefficients, None, None, criteria))
    return np.asarray(cv2.undistortPoints(points, matrix, coefficients, None, None, None, criteria))


def _undistort_fisheye(centred: NDArray[np.float64], coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rays (N, 2) of the equidistant model (Kannala and Brandt, PAMI 2006, eq. 6; odd powers to the ninth).

    OpenCV's own inverse takes every distance beyond pi / 2 for pi / 2, which lenses reach at less than 90 degrees.
    """
    distance = np.hypot(*centred.T)
    angle = np.minimum(distance, 1.5)
    factors = np.concatenate([[1.0], coefficients])
    slopes = factors * np.arange(1, 2 * len(factors), 2)
    with np.errstate(all="ignore"):
        for _ in range(_FISHEYE_ROUNDS):
            square = angle * angle
            step = (angle * polyval(square, factors) - distance) / polyval(square, slopes)
            angle = angle - step
            if not (np.abs(step) > _FISHEYE_STEP_RAD).any():  # NaN stays
                break
        stretch = np.where(distance > 1e-9, np.tan(angle) / np.maximum(distance, 1e-9), 1.0)
    return np.asarray(centred * stretch[:, None], np.float64)


# Intrinsics of the TUM RGB-D benchmark's three Kinects (Sturm et al., IROS 2012, calibration page).
TUM_CAMERAS = {
    "fr1": Camera(
        640,
        480,
        517.306,
        516.469,
        318.643,
        255.314,
        "plumb_bob",
        (0.262383, -0.953104, -0.005358, 0.002628, 1.163314),
    ),
    "fr2": Camera(
        640,
        480,
        520.909,
        521.007,
        325.141,
        249.702,
        "plumb_bob",
        (0.231222, -0.784899, -0.003257, -0.000105, 0.917205),
    ),
    "fr3": Camera(640, 480, 535.4, 539.2, 320.1, 247.6),
}
