# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Keyframes: when a frame becomes one, and the landmarks that it brings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aliked_ros.slam.config import BackendConfig
from aliked_ros.slam.geometry import FloatArray, angle_of, inverse, project, transform
from aliked_ros.slam.map import NO_LANDMARK, Ids, Keyframe, Map
from aliked_ros.slam.observation import Observation
from aliked_ros.slam.tracking import Located
from aliked_ros.slam.triangulation import triangulate_pairs

_MIN_ANGLE = np.deg2rad(1.0)  # between the rays to a new landmark
_BACK = 6  # keyframes in which a track without landmark is looked for
_ROUGH = 0.1  # of a new landmark's distance: its sigma until it is adjusted, which is done at once
_MIN_AGE = 2  # images in which a track must have been seen before it becomes a landmark


@dataclass(frozen=True)
class _Since:
    """What has changed since the last keyframe."""

    frames: int
    motion: float  # share of the scene's depth
    rotation_deg: float
    survival: float  # share of the last keyframe's landmarks


def wants_keyframe(located: Located, last: Keyframe, frames_since: int, map_: Map, config: BackendConfig) -> bool:
    """Whether this frame is to become a keyframe."""
    limits = config.keyframe
    if frames_since < limits.min_interval:
        return False
    since = _since(located, last, frames_since, map_)
    scarce = located.num_inliers < 3 * config.association.min_inliers
    return (
        scarce
        or since.survival < limits.min_survival
        or since.motion > limits.max_motion
        or since.rotation_deg > limits.max_rotation_deg
    )


def _since(located: Located, last: Keyframe, frames: int, map_: Map) -> _Since:
    relative = inverse(last.pose_world_from_camera) @ located.pose_world_from_camera
    seen = located.landmark_ids[located.landmark_ids >= 0]
    depth = transform(inverse(located.pose_world_from_camera), map_.landmarks.positions_xyz[seen])[:, 2]
    before = last.landmark_ids[last.rows()]
    survival = np.isin(before, seen).mean() if len(before) else 0.0
    motion = float(np.linalg.norm(relative[:3, 3])) / max(float(np.median(depth)), 1e-6)
    return _Since(frames, motion, float(np.rad2deg(angle_of(relative[:3, :3]))), float(survival))


def insert_keyframe(
    map_: Map, observation: Observation, landmark_ids: Ids, pose_world_from_camera: FloatArray
) -> Keyframe:
    """A new keyframe with what it sees, and new landmarks: from measured depth, or else from two views of a track."""
    first = not map_.keyframes
    keyframe = map_.add_keyframe(observation, landmark_ids.copy(), pose_world_from_camera.copy())
    _add_measured(map_, keyframe, 1 if first else _MIN_AGE)
    _add_triangulated(map_, keyframe)
    return keyframe


def _add_measured(map_: Map, keyframe: Keyframe, min_age: int) -> None:
    """Landmarks of the features with depth."""
    observation, pose = keyframe.observation, keyframe.pose_world_from_camera
    without = keyframe.landmark_ids < 0
    rows = np.flatnonzero(without & np.isfinite(observation.depth_m) & (observation.ages >= min_age))
    rotation = pose[:3, :3]
    covariances = rotation @ observation.covariances(rows) @ rotation.T
    map_.add_landmarks(keyframe, rows, transform(pose, observation.points(rows)), covariances)


def _add_triangulated(map_: Map, keyframe: Keyframe) -> None:
    """Landmarks of the tracks that an earlier keyframe saw from elsewhere."""
    for earlier in map_.keyframes[-1 - _BACK : -1]:  # the oldest first: it is the farthest
        rows, rows_earlier = _shared_tracks(keyframe, earlier)
        if len(rows) == 0:
            continue
        points, good = _triangulated(keyframe, rows, earlier, rows_earlier)
        rows, points = rows[good], transform(keyframe.pose_world_from_camera, points[good])
        sigma = _ROUGH * np.linalg.norm(points - keyframe.pose_world_from_camera[:3, 3], axis=1)
        ids = map_.add_landmarks(keyframe, rows, points, sigma[:, None, None] ** 2 * np.eye(3))
        _attach(map_, keyframe, rows, ids)


def _shared_tracks(keyframe: Keyframe, earlier: Keyframe) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Features of both of the same track, which neither takes for a landmark."""

    def free(view: Keyframe) -> NDArray[np.intp]:
        return np.flatnonzero((view.landmark_ids < 0) & (view.observation.track_ids >= 0))

    ours, theirs = free(keyframe), free(earlier)
    _, a, b = np.intersect1d(
        keyframe.observation.track_ids[ours], earlier.observation.track_ids[theirs], return_indices=True
    )
    return ours[a], theirs[b]


def _triangulated(
    keyframe: Keyframe, rows: NDArray[np.intp], earlier: Keyframe, rows_earlier: NDArray[np.intp]
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Points of the keyframe's camera, and which of them both views agree on."""
    a, b = keyframe.observation, earlier.observation
    relative = inverse(earlier.pose_world_from_camera) @ keyframe.pose_world_from_camera
    points, angle = triangulate_pairs(a.uv[rows], b.uv[rows_earlier], relative, a.focal_px)
    with np.errstate(invalid="ignore"):
        error_a = np.linalg.norm(project(points, a.focal_px) - a.uv[rows], axis=1) / a.sigma_px[rows]
        seen = project(transform(relative, points), b.focal_px)
        error_b = np.linalg.norm(seen - b.uv[rows_earlier], axis=1) / b.sigma_px[rows_earlier]
        return points, (angle > _MIN_ANGLE) & (error_a < 3.0) & (error_b < 3.0)


def _attach(map_: Map, keyframe: Keyframe, rows: NDArray[np.intp], ids: Ids) -> None:
    """Lets every keyframe that carries these features' tracks see their landmarks."""
    tracks = keyframe.observation.track_ids[rows]
    for other in map_.keyframes[-1 - _BACK : -1]:
        carried = other.observation.track_ids
        _, here, there = np.intersect1d(tracks, carried, return_indices=True)
        free = other.landmark_ids[there] == NO_LANDMARK
        other.landmark_ids[there[free]] = ids[here[free]]
