# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""A frame as the backend sees it: undistorted image points with their errors, descriptors and tracks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aliked_ros.camera import Camera
from aliked_ros.errors import CalibrationError, ShapeError, SourceError
from aliked_ros.features import Features, Float32Array, Tracks
from aliked_ros.slam.config import SensorConfig
from aliked_ros.slam.geometry import FloatArray, rays


@dataclass(frozen=True, eq=False)
class Observation:
    """N features of one frame."""

    stamp_ns: int
    uv: FloatArray  # (N, 2) see geometry
    sigma_px: FloatArray  # (N,)
    depth_m: FloatArray  # (N,) NaN where unknown
    depth_sigma_m: FloatArray  # (N,) NaN where unknown
    descriptors: Float32Array  # (N, D)
    track_ids: NDArray[np.int64]  # (N,) -1 where a feature is in no track
    ages: NDArray[np.int64]  # (N,) images in which its track was seen, 1 without one
    size: tuple[int, int]  # width and height in pixels
    focal_px: float

    def __len__(self) -> int:
        return len(self.uv)

    def points(self, rows: NDArray[np.intp]) -> FloatArray:
        """Points (M, 3) of the camera's frame that features with depth see."""
        return rays(self.uv[rows], self.focal_px) * self.depth_m[rows, None]

    def covariances(self, rows: NDArray[np.intp]) -> FloatArray:
        """Of these points, (M, 3, 3): the error of the keypoint across the ray, that of depth along it."""
        ray = rays(self.uv[rows], self.focal_px)  # (M, 3)
        across = (self.sigma_px[rows] * self.depth_m[rows] / self.focal_px) ** 2
        covariance = self.depth_sigma_m[rows, None, None] ** 2 * ray[:, :, None] * ray[:, None, :]
        covariance[:, 0, 0] += across
        covariance[:, 1, 1] += across
        return np.asarray(covariance, np.float64)


def observe(
    stamp_ns: int,
    features: Features,
    tracks: Tracks,
    camera: Camera,
    sensor: SensorConfig,
    depth_m: Float32Array | None,
    depth_sigma_m: Float32Array | None,
) -> Observation:
    """The frame's observation, without the features that have no place on the plane z = 1.

    Raises:
        CalibrationError: the calibration is for images of another size.
        ShapeError: arrays that belong together disagree, or tracks name features that are not there.
        SourceError: the mode needs depth and there is none.
    """
    _check(features, tracks, camera, sensor, depth_m, depth_sigma_m)
    count = len(features)
    focal = 0.5 * (camera.fx + camera.fy)
    depth, depth_sigma = _depth(count, sensor, depth_m, depth_sigma_m)
    ages = np.ones(count, np.int64)
    ages[tracks.feature_indices] = tracks.ages
    sigma = np.full(count, sensor.sigma_px) if features.sigma_px is None else features.sigma_px.astype(np.float64)
    uv = camera.normalise(features.keypoints_xy).astype(np.float64) * focal
    seen = np.isfinite(uv).all(1)
    return Observation(
        stamp_ns=stamp_ns,
        uv=uv[seen],
        sigma_px=np.where(np.isfinite(sigma) & (sigma > 0), sigma, sensor.sigma_px)[seen],
        depth_m=depth[seen],
        depth_sigma_m=depth_sigma[seen],
        descriptors=features.descriptors[seen],
        track_ids=tracks.ids_of_features(count)[seen],
        ages=ages[seen],
        size=(camera.width, camera.height),
        focal_px=focal,
    )


def _check(
    features: Features,
    tracks: Tracks,
    camera: Camera,
    sensor: SensorConfig,
    depth_m: Float32Array | None,
    depth_sigma_m: Float32Array | None,
) -> None:
    if (camera.width, camera.height) != (features.image_width, features.image_height):
        raise CalibrationError(
            f"the calibration is for {camera.width}×{camera.height} pixels, the image has "
            f"{features.image_width}×{features.image_height}; calibrate at the size that is used"
        )
    count = len(features)
    if not np.isfinite(features.keypoints_xy).all():
        raise ShapeError("keypoints_xy has a value that is not finite; drop such features")
    if len(tracks) and int(tracks.feature_indices.max()) >= count:
        raise ShapeError(
            f"tracks name feature {int(tracks.feature_indices.max())} of {count}; give the tracks of these features"
        )
    for name, values in (("depth_m", depth_m), ("depth_sigma_m", depth_sigma_m)):
        if values is not None and values.shape != (count,):
            raise ShapeError(f"{name} must have shape ({count},), one for each feature, got {values.shape}")
    if sensor.mode != "mono" and depth_m is None:
        raise SourceError(
            f"mode {sensor.mode} needs the depth of each feature and this frame has none; "
            "connect depth, or use mode mono"
        )


def _depth(
    count: int, sensor: SensorConfig, depth_m: Float32Array | None, depth_sigma_m: Float32Array | None
) -> tuple[FloatArray, FloatArray]:
    """Depth that can be used and its error, NaN elsewhere. How far stereo sees, its error says."""
    if depth_m is None or sensor.mode == "mono":
        return np.full(count, np.nan), np.full(count, np.nan)
    depth = depth_m.astype(np.float64)
    sigma = sensor.depth_sigma_m * depth**2 if depth_sigma_m is None else depth_sigma_m.astype(np.float64)
    farthest_m = sensor.max_depth_m if sensor.mode == "rgbd" else np.inf
    with np.errstate(invalid="ignore"):
        is_in_range = (depth >= sensor.min_depth_m) & (depth <= farthest_m)
        usable = is_in_range & (sigma > 0) & (sigma <= sensor.max_depth_error * depth)
    return np.where(usable, depth, np.nan), np.where(usable, sigma, np.nan)
