# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Whether two engines compute the same features."""

from __future__ import annotations

import numpy as np

from aliked_ros.features import Features

MAX_DISTANCE_PX = 0.02
MAX_SCORE_ERROR = 1e-4
MIN_COSINE = 0.9999


def nearest(ours: Features, theirs: Features) -> tuple[np.ndarray, np.ndarray]:
    """For each of their keypoints the nearest of ours, and how far it is."""
    distance = np.linalg.norm(theirs.keypoints_xy[:, None] - ours.keypoints_xy[None], axis=2)
    rows = distance.argmin(1)
    return rows, distance[np.arange(len(rows)), rows]


def assert_same_function(ours: Features, theirs: Features, min_share: float = 1.0) -> None:
    assert abs(len(ours) - len(theirs)) <= (1 - min_share) * max(len(theirs), 1)
    if len(theirs) == 0:
        return
    rows, distance = nearest(ours, theirs)
    found = distance <= MAX_DISTANCE_PX
    assert found.mean() >= min_share
    rows = rows[found]
    assert np.abs(ours.scores[rows] - theirs.scores[found]).max() <= MAX_SCORE_ERROR
    assert np.sum(ours.descriptors[rows] * theirs.descriptors[found], axis=1).min() >= MIN_COSINE
    assert ours.dispersity is not None
    assert theirs.dispersity is not None
    np.testing.assert_allclose(ours.dispersity[rows], theirs.dispersity[found], atol=1e-3)


def bytes_of(features: Features) -> bytes:
    return features.keypoints_xy.tobytes() + features.scores.tobytes() + features.descriptors.tobytes()
