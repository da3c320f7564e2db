# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Where a frame is when nothing is known of its motion: by what it looks like, then by a pose that many agree with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aliked_ros.slam.config import AssociationConfig, PlaceConfig
from aliked_ros.slam.map import Ids, Keyframe, Map
from aliked_ros.slam.matching import alike
from aliked_ros.slam.observation import Observation
from aliked_ros.slam.pose import Correspondences, PoseEstimate, refine, resect

_GRID = (8, 6)  # cells over the image


@dataclass(frozen=True, eq=False)
class Recognised:
    """A frame that sees what a keyframe saw."""

    keyframe: Keyframe
    estimate: PoseEstimate
    rows: NDArray[np.intp]  # (M,) features of the frame that agree
    landmark_ids: Ids  # (M,) what they see


def recognise(
    map_: Map,
    observation: Observation,
    candidates: Iterable[int],
    place: PlaceConfig,
    association: AssociationConfig,
) -> Recognised | None:
    """The first of these keyframes that shows the same place, where one does."""
    for id_ in candidates:
        found = _compare(map_, observation, map_.keyframes[id_], place, association)
        if found is not None:
            return found
    return None


def _compare(
    map_: Map, observation: Observation, keyframe: Keyframe, place: PlaceConfig, association: AssociationConfig
) -> Recognised | None:
    seen = keyframe.rows()
    rows, columns = alike(
        observation.descriptors, keyframe.observation.descriptors[seen], association.place_min_similarity
    )
    if len(rows) < place.min_inliers:
        return None
    ids = keyframe.landmark_ids[seen[columns]]
    landmarks = map_.landmarks
    pairs = Correspondences(rows, landmarks.positions_xyz[ids], landmarks.covariances[ids])
    needed = max(place.min_inliers, association.min_inliers)
    demanding = association.replace(min_inliers=needed)
    rough = resect(observation, pairs, demanding)
    estimate = None if rough is None else refine(observation, pairs, rough.pose_world_from_camera, demanding)
    if estimate is None or estimate.inliers.mean() < place.min_inlier_share:
        return None
    rows, ids = rows[estimate.inliers], ids[estimate.inliers]
    # One picture that hangs in two places agrees perfectly with itself, and covers a small part of the image.
    if coverage(observation, rows) < place.min_coverage:
        return None
    return Recognised(keyframe, estimate, rows, ids)


def coverage(observation: Observation, rows: NDArray[np.intp]) -> float:
    """The share of the cells of a grid over the image that these features lie in."""
    columns, lines = _GRID
    width, height = observation.size
    cells = np.floor((observation.uv[rows] / (width, height) + 0.5) * (columns, lines)).astype(int)
    cells = np.clip(cells, 0, (columns - 1, lines - 1))
    return len(np.unique(cells[:, 0] * lines + cells[:, 1])) / (columns * lines)
