# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Landmarks from known poses: weighted least squares over every sighting, with the covariance it leaves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aliked_ros.slam.geometry import MIN_DEPTH, FloatArray, inverse, project, projection_jacobian, rays
from aliked_ros.slam.map import Sightings

_ITERATIONS = 4
_HUBER = 2.0  # sigmas beyond which an error counts linearly
_MAX_CONDITION = 1e8  # of a landmark's information; beyond it a direction is as good as unknown
_MAX_STEP = 0.3  # of a landmark's distance, per iteration


@dataclass(frozen=True, eq=False)
class Triangulated:
    """Landmarks and how well their sightings agree with them."""

    positions_xyz: FloatArray  # (L, 3)
    covariances: FloatArray  # (L, 3, 3); infinite where the sightings do not determine the point
    errors_sigma: FloatArray  # (S,) of each sighting, in sigmas; infinite behind the camera


def triangulate_pairs(
    uv_a: FloatArray, uv_b: FloatArray, pose_b_from_a: FloatArray, focal_px: float
) -> tuple[FloatArray, FloatArray]:
    """Points (N, 3) of camera a's frame midway between two rays, and the angle (N,) between these, radians."""
    ray_a = rays(uv_a, focal_px)
    pose_a_from_b = inverse(pose_b_from_a)
    ray_b = rays(uv_b, focal_px) @ pose_a_from_b[:3, :3].T
    origin_b = pose_a_from_b[:3, 3]
    # The nearest points s ray_a and origin_b + t ray_b of the two lines.
    aa, ab, bb = (np.sum(p * q, axis=1) for p, q in ((ray_a, ray_a), (ray_a, ray_b), (ray_b, ray_b)))
    ao, bo = ray_a @ origin_b, ray_b @ origin_b
    determinant = np.maximum(aa * bb - ab**2, 1e-12)
    s, t = (ao * bb - bo * ab) / determinant, (ao * ab - bo * aa) / determinant
    points = 0.5 * (s[:, None] * ray_a + origin_b + t[:, None] * ray_b)
    points[(s <= MIN_DEPTH) | (t <= MIN_DEPTH)] = np.nan
    cosine = ab / np.sqrt(aa * bb)
    return points, np.arccos(np.clip(cosine, -1, 1))


def refine_landmarks(
    sightings: Sightings,
    poses_world_from_camera: FloatArray,
    positions: FloatArray,
    index: NDArray[np.intp],
    focal: float,
) -> Triangulated:
    """Landmarks (L, 3) moved to where all their sightings agree best.

    Args:
        sightings: S of them.
        poses_world_from_camera: (K, 4, 4) of the keyframes that ``sightings.keyframes`` counts.
        positions: (L, 3) to start from.
        index: (S,) the row of ``positions`` that each sighting is of.
        focal: length in pixels.
    """
    from_world = inverse(poses_world_from_camera)[sightings.keyframes]  # (S, 4, 4)
    points = positions.copy()
    for _ in range(_ITERATIONS):
        information, gradient, _ = _normal_equations(sightings, from_world, points, index, focal)
        points += _bounded(_solve(information, gradient), points, poses_world_from_camera)
    information, _, errors = _normal_equations(sightings, from_world, points, index, focal)
    return Triangulated(points, _inverted(information), errors)


def _normal_equations(
    sightings: Sightings, from_world: FloatArray, points: FloatArray, index: NDArray[np.intp], focal: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Per landmark the information (L, 3, 3) and gradient (L, 3), and per sighting the error (S,) in sigmas."""
    rotation = from_world[:, :3, :3]
    camera = (rotation @ points[index][:, :, None])[:, :, 0] + from_world[:, :3, 3]
    ahead = camera[:, 2] > MIN_DEPTH
    camera[~ahead] = (0.0, 0.0, 1.0)
    jacobian = np.empty((len(camera), 3, 3))
    jacobian[:, :2] = projection_jacobian(camera, focal) / sightings.sigma_px[:, None, None]
    jacobian[:, 2] = (0.0, 0.0, 1.0)
    residual = np.empty((len(camera), 3))
    residual[:, :2] = (sightings.uv - project(camera, focal)) / sightings.sigma_px[:, None]
    measured = np.isfinite(sightings.depth_m)
    sigma = np.where(measured, sightings.depth_sigma_m, 1.0)
    jacobian[:, 2] *= np.where(measured, 1.0 / sigma, 0.0)[:, None]
    residual[:, 2] = np.where(measured, (np.where(measured, sightings.depth_m, 0.0) - camera[:, 2]) / sigma, 0.0)
    error = np.linalg.norm(residual, axis=1)
    weight = np.where(ahead, np.minimum(1.0, _HUBER / np.maximum(error, 1e-12)), 0.0)
    jacobian = jacobian @ rotation
    weighted = jacobian * weight[:, None, None]
    information, gradient = (
        _summed(values, index, len(points))
        for values in (np.swapaxes(weighted, 1, 2) @ jacobian, (residual[:, None, :] @ weighted)[:, 0])
    )
    return information, gradient, np.where(ahead, error, np.inf)


def _summed(values: FloatArray, index: NDArray[np.intp], count: int) -> FloatArray:
    """The sums (L, ...) of the rows of values (S, ...) that have the same index."""
    flat = values.reshape(len(values), -1)
    sums = [np.bincount(index, column, count) for column in flat.T]
    return np.asarray(np.stack(sums, axis=1), np.float64).reshape(count, *values.shape[1:])


def _solve(information: FloatArray, gradient: FloatArray) -> FloatArray:
    """Steps (L, 3); damped a little, so that a point seen from one place only stays on its ray."""
    scale = np.trace(information, axis1=1, axis2=2) / 3 + 1e-12
    damped = information + 1e-6 * scale[:, None, None] * np.eye(3)
    return np.asarray(np.linalg.solve(damped, gradient[:, :, None])[:, :, 0], np.float64)


def _bounded(steps: FloatArray, points: FloatArray, poses: FloatArray) -> FloatArray:
    """No step leads farther than a share of the way to the cameras."""
    centre = poses[:, :3, 3].mean(0)
    limit = _MAX_STEP * np.linalg.norm(points - centre, axis=1)
    length = np.linalg.norm(steps, axis=1)
    return np.asarray(steps * np.minimum(1.0, limit / np.maximum(length, 1e-12))[:, None], np.float64)


def _inverted(information: FloatArray) -> FloatArray:
    values, vectors = np.linalg.eigh(information)  # (L, 3) ascending
    known = values[:, 0] * _MAX_CONDITION > np.maximum(values[:, 2], 1e-12)
    inverted = np.where(known[:, None], 1.0 / np.where(known[:, None], values, 1.0), np.inf)
    covariance = np.full_like(information, np.inf)
    v = vectors[known]
    covariance[known] = (v * inverted[known][:, None, :]) @ np.swapaxes(v, 1, 2)
    return covariance
