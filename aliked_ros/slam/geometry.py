# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Rigid motions as (4, 4) float64 matrices; ``pose_world_from_camera`` takes points of the camera to the world.

A camera's frame is optical: x right, y down, z forward. Image coordinates ``uv`` are undistorted pixels relative to
the principal point, of a camera of one focal length: u = f x / z, v = f y / z.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
MIN_DEPTH = 1e-6  # what lies nearer, or behind, has no projection


def make_pose(rotation: FloatArray, translation: FloatArray) -> FloatArray:
    """The motion (4, 4) of a rotation (3, 3) and a translation (3,)."""
    pose = np.eye(4)
    pose[:3, :3] = rotation
    pose[:3, 3] = translation
    return pose


def inverse(pose: FloatArray) -> FloatArray:
    """The inverse motion; also of stacked ones, (..., 4, 4)."""
    result = np.zeros_like(pose)
    rotation = np.swapaxes(pose[..., :3, :3], -1, -2)
    result[..., :3, :3] = rotation
    result[..., :3, 3] = -(rotation @ pose[..., :3, 3, None])[..., 0]
    result[..., 3, 3] = 1.0
    return result


def transform(pose: FloatArray, points: FloatArray) -> FloatArray:
    """Points (N, 3), moved."""
    return np.asarray(points @ pose[:3, :3].T + pose[:3, 3], np.float64)


def skew(vectors: FloatArray) -> FloatArray:
    """The matrices (N, 3, 3) that multiply as the cross product with vectors (N, 3)."""
    matrices = np.zeros((len(vectors), 3, 3))
    x, y, z = vectors.T
    matrices[:, 0, 1], matrices[:, 0, 2], matrices[:, 1, 2] = -z, y, -x
    matrices[:, 1, 0], matrices[:, 2, 0], matrices[:, 2, 1] = z, -y, x
    return matrices


def rotation_of(vector: FloatArray) -> FloatArray:
    """The rotation (3, 3) of a rotation vector (3,), radians (Rodrigues)."""
    angle = float(np.linalg.norm(vector))
    cross = skew(vector[None])[0]
    if angle < 1e-8:
        return np.asarray(np.eye(3) + cross + 0.5 * cross @ cross, np.float64)
    a, b = np.sin(angle) / angle, (1 - np.cos(angle)) / angle**2
    return np.asarray(np.eye(3) + a * cross + b * cross @ cross, np.float64)


def rotation_vector(rotation: FloatArray) -> FloatArray:
    """The rotation vector (3,) of a rotation (3, 3), radians; at most half a turn."""
    w, *xyz = quaternion_wxyz(rotation)
    sine = float(np.linalg.norm(xyz))
    if sine < 1e-12:
        return np.zeros(3)
    return np.asarray(np.array(xyz) * (2.0 * np.arctan2(sine, w) / sine), np.float64)


def angle_of(rotation: FloatArray) -> float:
    """The angle of a rotation (3, 3), radians."""
    sine = 0.5 * np.linalg.norm(
        [rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]]
    )
    return float(np.arctan2(sine, 0.5 * (np.trace(rotation) - 1)))


def nearest_rotation(matrix: FloatArray) -> FloatArray:
    """The rotation (3, 3) nearest to a matrix: products of many rotations drift off the group."""
    u, _, vt = np.linalg.svd(matrix)
    return np.asarray(u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt, np.float64)


def project(points_camera: FloatArray, focal_px: float) -> FloatArray:
    """``uv`` (N, 2) of points (N, 3) of the camera's frame; NaN where a point is not ahead of it."""
    depth = np.where(points_camera[:, 2] > MIN_DEPTH, points_camera[:, 2], np.nan)
    return np.asarray(focal_px * points_camera[:, :2] / depth[:, None], np.float64)


def projection_jacobian(points_camera: FloatArray, focal_px: float) -> FloatArray:
    """Derivatives (N, 2, 3) of ``uv`` by the point of the camera's frame."""
    x, y, z = points_camera.T
    jacobian = np.zeros((len(points_camera), 2, 3))
    jacobian[:, 0, 0] = jacobian[:, 1, 1] = focal_px / z
    jacobian[:, 0, 2] = -focal_px * x / z**2
    jacobian[:, 1, 2] = -focal_px * y / z**2
    return jacobian


def rays(uv: FloatArray, focal_px: float) -> FloatArray:
    """Points (N, 3) of the plane z = 1 that image points (N, 2) see."""
    return np.column_stack([uv / focal_px, np.ones(len(uv))])


def quaternion_wxyz(rotation: FloatArray) -> FloatArray:
    """The unit quaternion (4,) of a rotation (3, 3), w first and not negative.

    It is the eigenvector of the largest eigenvalue of a symmetric matrix (Bar-Itzhack, JGCD 23(6), 2000), which
    needs no case distinctions and forgives a matrix that is not quite a rotation.
    """
    r = rotation
    k = np.array(
        [
            [r[0, 0] - r[1, 1] - r[2, 2], 0, 0, 0],
            [r[1, 0] + r[0, 1], r[1, 1] - r[0, 0] - r[2, 2], 0, 0],
            [r[2, 0] + r[0, 2], r[2, 1] + r[1, 2], r[2, 2] - r[0, 0] - r[1, 1], 0],
            [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], r[0, 0] + r[1, 1] + r[2, 2]],
        ]
    )
    _, vectors = np.linalg.eigh(k / 3.0)  # reads the lower triangle
    x, y, z, w = vectors[:, 3]
    q = np.array([w, x, y, z])
    return np.asarray(-q if w < 0 else q, np.float64)
