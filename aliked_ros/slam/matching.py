# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Descriptor matching against the map. A feature and a landmark match when each is the other's most alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aliked_ros.features import Float32Array
from aliked_ros.slam.config import AssociationConfig
from aliked_ros.slam.geometry import FloatArray, inverse, project, transform
from aliked_ros.slam.map import Ids, Landmarks
from aliked_ros.slam.observation import Observation

Rows = NDArray[np.intp]


def alike(a: Float32Array, b: Float32Array, min_similarity: float) -> tuple[Rows, Rows]:
    """Row pairs of descriptors (N, D) and (K, D) that are each other's most alike."""
    if len(a) == 0 or len(b) == 0:
        return np.empty(0, np.intp), np.empty(0, np.intp)
    similarity = a @ b.T  # (N, K)
    nearest = similarity.argmax(1)
    rows = np.arange(len(a))
    mutual = (similarity.argmax(0)[nearest] == rows) & (similarity[rows, nearest] >= min_similarity)
    return rows[mutual], nearest[mutual]


def find_landmarks(
    observation: Observation,
    free: Rows,
    landmarks: Landmarks,
    candidates: Ids,
    pose_world_from_camera: FloatArray,
    config: AssociationConfig,
) -> tuple[Rows, Ids]:
    """Which of the free features see which of the candidates, looked for where the pose expects them."""
    camera = transform(inverse(pose_world_from_camera), landmarks.positions_xyz[candidates])
    expected = project(camera, observation.focal_px)
    half = 0.5 * np.array(observation.size)
    with np.errstate(invalid="ignore"):
        visible = np.all(np.abs(expected) < half + config.map_radius_px, axis=1)
    candidates, expected = candidates[visible], expected[visible]
    near, beside = _neighbours(observation.uv[free], expected, config.map_radius_px)
    a, b = observation.descriptors[free[near]], landmarks.descriptors[candidates[beside]]
    similarity = (a[:, None, :] @ b[:, :, None])[:, 0, 0]
    chosen = _mutual(near, beside, similarity, config.map_min_similarity)
    return free[near[chosen]], candidates[beside[chosen]]


def _neighbours(uv: FloatArray, expected: FloatArray, radius_px: float) -> tuple[Rows, Rows]:
    """Row pairs of image points (N, 2) and (K, 2) no farther apart than the radius."""
    a, b = uv.astype(np.float32), expected.astype(np.float32)
    squared = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * (a @ b.T)  # (N, K), rounded to 0.1 pixels squared
    near, beside = np.nonzero(squared <= radius_px**2)
    return near, beside


def _mutual(a: Rows, b: Rows, similarity: Float32Array, min_similarity: float) -> Rows:
    """Which of the pairs are the most alike of all pairs of both their members; of equals the first."""
    order = np.argsort(-similarity, kind="stable")
    order = order[similarity[order] >= min_similarity]
    best_of_a, best_of_b = (order[np.unique(members[order], return_index=True)[1]] for members in (a, b))
    return np.asarray(np.intersect1d(best_of_a, best_of_b), np.intp)
