# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The pose of a frame from landmarks: PnP by PoseLib's robust estimator, then weighted least squares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import poselib
from numpy.typing import NDArray

from aliked_ros.slam.config import AssociationConfig
from aliked_ros.slam.geometry import (
    MIN_DEPTH,
    FloatArray,
    inverse,
    make_pose,
    nearest_rotation,
    project,
    projection_jacobian,
    rotation_of,
    skew,
    transform,
)
from aliked_ros.slam.observation import Observation

_SEED = 0  # the same correspondences give the same pose
_MIN_ITERATIONS = 20
_REFINEMENTS = 8
_FORGIVING = 3  # of these, in which every correspondence has a say
_HUBER = 1.5  # sigmas beyond which an error counts linearly
_CONVERGED = 1e-7  # length of a step, radians and metres
_MIN_DETERMINED = 1e-14  # ratio of the information's smallest eigenvalue to its largest
_MAX_ERROR_SIGMA = 4.0  # of an inlier, where the landmark's own uncertainty is large


@dataclass(frozen=True, eq=False)
class Correspondences:
    """Features of a frame and the points of the world they are taken to see."""

    rows: NDArray[np.intp]  # (M,) of the observation
    points: FloatArray  # (M, 3) of the world
    covariances: FloatArray  # (M, 3, 3) of the points

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, eq=False)
class PoseEstimate:
    """A pose and what speaks for it."""

    pose_world_from_camera: FloatArray  # (4, 4)
    inliers: NDArray[np.bool_]  # (M,) of the correspondences
    covariance: FloatArray  # (6, 6) of (rotation, translation) of the camera's frame

    @property
    def num_inliers(self) -> int:
        """How many correspondences agree."""
        return int(self.inliers.sum())


@dataclass(frozen=True, eq=False)
class Resection:
    """A pose that a robust estimator found, to be refined."""

    pose_world_from_camera: FloatArray  # (4, 4)
    inliers: NDArray[np.bool_]  # (M,) of the correspondences


def resect(observation: Observation, pairs: Correspondences, config: AssociationConfig) -> Resection | None:
    """The pose without a prior one; ``None`` where fewer than ``min_inliers`` correspondences agree."""
    if len(pairs) < config.min_inliers:
        return None
    ransac: dict[str, Any] = {
        "max_reproj_error": config.max_error_px,
        "min_iterations": min(_MIN_ITERATIONS, config.ransac_iterations),
        "max_iterations": config.ransac_iterations,
        "seed": _SEED,
    }
    width, height = observation.size
    pinhole = {
        "model": "SIMPLE_PINHOLE",
        "width": width,
        "height": height,
        "params": [observation.focal_px, 0.0, 0.0],
    }
    found, info = poselib.estimate_absolute_pose(observation.uv[pairs.rows], pairs.points, pinhole, ransac, {})
    if info["num_inliers"] < config.min_inliers:
        return None
    return Resection(inverse(make_pose(found.R, found.t)), np.asarray(info["inliers"], np.bool_))


def refine(
    observation: Observation, pairs: Correspondences, start: FloatArray, config: AssociationConfig
) -> PoseEstimate | None:
    """The pose near ``start`` that minimises weighted errors of keypoints and of depth.

    Each error is weighted by the keypoint's and the depth's own sigma together with the landmark's uncertainty as
    the camera sees it. ``None`` where fewer than ``min_inliers`` correspondences agree with the result.
    """
    if len(pairs) < config.min_inliers:
        return None
    pose_from_world = inverse(start)
    weights = _square_roots(observation, pairs, pose_from_world)
    for round_ in range(_REFINEMENTS):
        jacobian, residual, error = _linearise(observation, pairs, pose_from_world, weights)
        scale = np.minimum(1.0, _HUBER / np.maximum(error, 1e-12))
        if round_ >= _FORGIVING:
            scale[error > _MAX_ERROR_SIGMA] = 0.0
        weighted = (jacobian * scale[:, None, None]).reshape(-1, 6)
        information = weighted.T @ jacobian.reshape(-1, 6)
        gradient = weighted.T @ residual.reshape(-1)
        if not _is_determined(information):
            return None
        step = np.asarray(np.linalg.solve(information, gradient), np.float64)
        motion = make_pose(rotation_of(step[:3]), step[3:])
        pose_from_world = motion @ pose_from_world
        if np.linalg.norm(step) < _CONVERGED:
            break
    pose_from_world[:3, :3] = nearest_rotation(pose_from_world[:3, :3])
    return _estimate(observation, pairs, pose_from_world, weights, config)


def _estimate(
    observation: Observation,
    pairs: Correspondences,
    pose_from_world: FloatArray,
    weights: FloatArray,
    config: AssociationConfig,
) -> PoseEstimate | None:
    camera = transform(pose_from_world, pairs.points)
    miss = observation.uv[pairs.rows] - project(camera, observation.focal_px)
    error_px = np.linalg.norm(miss, axis=1)
    jacobian, _, error = _linearise(observation, pairs, pose_from_world, weights)
    with np.errstate(invalid="ignore"):
        # A landmark known roughly may miss by pixels and still agree.
        agrees = (error_px <= config.max_error_px) | (
            (error <= _MAX_ERROR_SIGMA) & (error_px <= 3 * config.max_error_px)
        )
    depth, sigma = observation.depth_m[pairs.rows], observation.depth_sigma_m[pairs.rows]
    spread = np.sqrt(sigma**2 + np.abs(pairs.covariances[:, 2, 2]))
    with np.errstate(invalid="ignore"):
        contradicted = np.abs(depth - camera[:, 2]) > np.maximum(5 * spread, 0.05 * depth)  # false for NaN
    inliers = agrees & ~contradicted & (camera[:, 2] > MIN_DEPTH)
    if inliers.sum() < config.min_inliers:
        return None
    rows = jacobian[inliers].reshape(-1, 6)
    information = rows.T @ rows
    return PoseEstimate(inverse(pose_from_world), inliers, np.linalg.pinv(information))


def _is_determined(information: FloatArray) -> bool:
    """Whether least squares with this information (6, 6) has one solution, numerically."""
    if not np.isfinite(information).all():
        return False
    values = np.linalg.eigvalsh(information)
    return bool(values[0] > _MIN_DETERMINED * values[-1])


def _square_roots(observation: Observation, pairs: Correspondences, pose_from_world: FloatArray) -> FloatArray:
    """Matrices (M, 3, 3) that whiten (u, v, depth); depth that was not measured weighs nothing."""
    camera = transform(pose_from_world, pairs.points)
    camera[camera[:, 2] <= MIN_DEPTH] = (0.0, 0.0, 1.0)
    sensed = np.zeros((len(pairs), 3, 3))
    sensed[:, :2] = projection_jacobian(camera, observation.focal_px)
    sensed[:, 2, 2] = 1.0
    sensed = sensed @ pose_from_world[:3, :3]
    covariance = sensed @ pairs.covariances @ np.swapaxes(sensed, 1, 2)
    sigma = observation.sigma_px[pairs.rows]
    depth_sigma = observation.depth_sigma_m[pairs.rows]
    measured = np.isfinite(depth_sigma)
    covariance[:, 0, 0] += sigma**2
    covariance[:, 1, 1] += sigma**2
    covariance[:, 2, 2] += np.where(measured, depth_sigma, 1e4) ** 2
    lower = np.linalg.cholesky(covariance)
    return np.asarray(np.linalg.inv(lower), np.float64)


def _linearise(
    observation: Observation, pairs: Correspondences, pose_from_world: FloatArray, weights: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Whitened derivatives (M, 3, 6) by (rotation, translation) of the camera, residuals (M, 3), their norms (M,)."""
    camera = transform(pose_from_world, pairs.points)
    ahead = camera[:, 2] > MIN_DEPTH
    camera[~ahead] = (0.0, 0.0, 1.0)
    by_point = np.zeros((len(pairs), 3, 3))
    by_point[:, :2] = projection_jacobian(camera, observation.focal_px)
    by_point[:, 2, 2] = 1.0
    jacobian = np.concatenate([by_point @ -skew(camera), by_point], axis=2)
    residual = np.empty((len(pairs), 3))
    residual[:, :2] = observation.uv[pairs.rows] - project(camera, observation.focal_px)
    depth = observation.depth_m[pairs.rows]
    residual[:, 2] = np.where(np.isfinite(depth), depth, camera[:, 2]) - camera[:, 2]
    weighted = np.where(ahead[:, None, None], weights, 0.0)
    jacobian = weighted @ jacobian
    residual = (weighted @ residual[:, :, None])[:, :, 0]
    return jacobian, residual, np.where(ahead, np.linalg.norm(residual, axis=1), np.inf)
