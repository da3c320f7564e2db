# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Loops: a keyframe that sees a place again tells how far the map has drifted, and a pose graph spreads the correction.

The graph's nodes are similarities: a single camera's scale drifts like its pose does. Where depth is measured, the
scale of every edge is 1 and nothing moves it.
"""

from __future__ import annotations

from dataclasses import dataclass

import gtsam
import numpy as np
from gtsam.symbol_shorthand import X

from aliked_ros.slam.config import BackendConfig
from aliked_ros.slam.geometry import FloatArray, angle_of, inverse, nearest_rotation, transform
from aliked_ros.slam.map import Keyframe, Map
from aliked_ros.slam.relocalisation import Recognised, recognise
from aliked_ros.slam.retrieval import PlaceIndex

_NEIGHBOURS = 4  # covisible keyframes that each keyframe is tied to
_MIN_SHARED = 20  # landmarks that two keyframes share to be tied
_SIGMA_ROTATION, _SIGMA_TRANSLATION = 0.002, 0.005  # of an edge of _REFERENCE_SHARED; radians, share of the depth
_SIGMA_SCALE, _SIGMA_KNOWN_SCALE = 0.005, 1e-4
_REFERENCE_SHARED = 100
_FIXED_SIGMA = 1e-6
_MAX_CORRECTION_DEG = 25.0
_DRIFT_FLOOR = 0.05  # of the scene's depth: a correction that small is plausible after any way


@dataclass(frozen=True, eq=False)
class LoopClosure:
    """A loop that was closed."""

    keyframe_id: int
    matched_keyframe_id: int
    num_inliers: int
    correction: float  # distance by which the newest keyframe moved, in units of the map
    correction_deg: float
    before_from_after: FloatArray  # (4, 4) the newest keyframe after the correction, in its own frame before it


@dataclass(frozen=True, eq=False)
class Edge:
    """How one keyframe lies in another's frame: a (4, 4) motion, and the ratio of their scales."""

    first: int
    second: int
    motion: FloatArray
    scale: float
    shared: int


class LoopCloser:
    """Finds loops and corrects the map by them."""

    def __init__(self, map_: Map, index: PlaceIndex, config: BackendConfig) -> None:
        self._map = map_
        self._index = index
        self._config = config
        self._edges: list[Edge] = []  # of loops closed so far

    def close(self, keyframe: Keyframe) -> LoopClosure | None:
        """Closes a loop at the newest keyframe, where there is one."""
        found = self._find(keyframe)
        if found is None or not self._plausible(keyframe, found):
            return None
        before = keyframe.pose_world_from_camera.copy()
        motion = inverse(found.keyframe.pose_world_from_camera) @ found.estimate.pose_world_from_camera
        scale = self._scale(keyframe, found)
        edge = Edge(found.keyframe.id, keyframe.id, motion, scale, found.estimate.num_inliers)
        self._edges.append(edge)
        correct(self._map, self._edges, metric=self._config.sensor.mode != "mono")
        self._fuse(keyframe, found)
        moved = inverse(before) @ keyframe.pose_world_from_camera
        return LoopClosure(
            keyframe.id,
            found.keyframe.id,
            found.estimate.num_inliers,
            float(np.linalg.norm(moved[:3, 3])),
            float(np.rad2deg(angle_of(moved[:3, :3]))),
            moved,
        )

    def _find(self, keyframe: Keyframe) -> Recognised | None:
        near = {id_ for _, id_ in self._map.covisible(keyframe.landmark_ids[keyframe.rows()])}
        recent = range(max(0, keyframe.id - self._config.place.loop_min_keyframes), keyframe.id + 1)
        excluded = sorted(near.union(recent))
        if len(excluded) == len(self._map.keyframes):
            return None
        candidates = self._index.most_alike(keyframe.observation.descriptors, excluded)
        return recognise(self._map, keyframe.observation, candidates, self._config.place, self._config.association)

    def _plausible(self, keyframe: Keyframe, found: Recognised) -> bool:
        """Whether the map can have drifted so far on its way from there to here."""
        correction = inverse(keyframe.pose_world_from_camera) @ found.estimate.pose_world_from_camera
        way = np.stack([k.pose_world_from_camera[:3, 3] for k in self._map.keyframes[found.keyframe.id :]])
        length = float(np.linalg.norm(np.diff(way, axis=0), axis=1).sum())
        depth = _median_depth(self._map, keyframe)
        limit = self._config.place.max_drift * length + _DRIFT_FLOOR * depth
        turned = np.rad2deg(angle_of(correction[:3, :3]))
        return bool(np.linalg.norm(correction[:3, 3]) <= limit and turned <= _MAX_CORRECTION_DEG)

    def _scale(self, keyframe: Keyframe, found: Recognised) -> float:
        """How much larger the old map is than the new one where both see the same; 1 where depth is measured."""
        own = keyframe.landmark_ids[found.rows]
        both = own >= 0
        if self._config.sensor.mode != "mono" or both.sum() < _MIN_SHARED:
            return 1.0
        positions = self._map.landmarks.positions_xyz
        here = positions[own[both]] - keyframe.pose_world_from_camera[:3, 3]
        there = positions[found.landmark_ids[both]] - found.estimate.pose_world_from_camera[:3, 3]
        return float(np.median(np.linalg.norm(there, axis=1) / np.linalg.norm(here, axis=1)))

    def _fuse(self, keyframe: Keyframe, found: Recognised) -> None:
        """What the keyframe sees again is what was seen before."""
        own = keyframe.landmark_ids[found.rows]
        alive = self._map.landmarks.alive[found.landmark_ids]
        new, old = (own >= 0) & alive & (own != found.landmark_ids), (own < 0) & alive
        taken = np.isin(found.landmark_ids, keyframe.landmark_ids)
        keyframe.landmark_ids[found.rows[old & ~taken]] = found.landmark_ids[old & ~taken]
        self._map.merge_landmarks(found.landmark_ids[new & ~taken], own[new & ~taken])


def _median_depth(map_: Map, keyframe: Keyframe) -> float:
    points = map_.landmarks.positions_xyz[keyframe.landmark_ids[keyframe.rows()]]
    return float(np.median(transform(inverse(keyframe.pose_world_from_camera), points)[:, 2])) if len(points) else 1.0


def correct(map_: Map, loops: list[Edge], *, metric: bool) -> None:
    """Spreads the loops' corrections over the keyframes, and moves landmarks with the first keyframe that saw them."""
    before = np.stack([keyframe.pose_world_from_camera for keyframe in map_.keyframes])
    poses, scales = _solve(map_, [*_neighbour_edges(map_), *loops], metric=metric)
    owner = np.full(len(map_.landmarks), -1, np.intp)
    for keyframe in reversed(map_.keyframes):
        owner[keyframe.landmark_ids[keyframe.rows()]] = keyframe.id
    for keyframe, pose, scale in zip(map_.keyframes, poses, scales, strict=True):
        owned = np.flatnonzero(owner == keyframe.id)
        local = transform(inverse(before[keyframe.id]), map_.landmarks.positions_xyz[owned])
        map_.landmarks.positions_xyz[owned] = transform(pose, scale * local)
        turn = pose[:3, :3] @ before[keyframe.id][:3, :3].T
        map_.landmarks.covariances[owned] = scale**2 * turn @ map_.landmarks.covariances[owned] @ turn.T
        keyframe.pose_world_from_camera = pose


def _neighbour_edges(map_: Map) -> list[Edge]:
    """Each keyframe tied to the one before it and to those that see most of the same."""
    edges = []
    for keyframe in map_.keyframes[1:]:
        shared = {
            id_: count for count, id_ in map_.covisible(keyframe.landmark_ids[keyframe.rows()]) if id_ < keyframe.id
        }
        chosen = [id_ for id_, count in shared.items() if count >= _MIN_SHARED][:_NEIGHBOURS]
        for id_ in dict.fromkeys([keyframe.id - 1, *chosen]):
            other = map_.keyframes[id_]
            motion = inverse(other.pose_world_from_camera) @ keyframe.pose_world_from_camera
            edges.append(Edge(id_, keyframe.id, motion, 1.0, max(shared.get(id_, 0), 1)))
    return edges


def _solve(map_: Map, edges: list[Edge], *, metric: bool) -> tuple[list[FloatArray], list[float]]:
    graph, values = gtsam.NonlinearFactorGraph(), gtsam.Values()
    for keyframe in map_.keyframes:
        values.insert(X(keyframe.id), _similarity(keyframe.pose_world_from_camera, 1.0))
    first = _similarity(map_.keyframes[0].pose_world_from_camera, 1.0)
    graph.add(gtsam.ExtendedPriorFactorSimilarity3(X(0), first, gtsam.noiseModel.Isotropic.Sigma(7, _FIXED_SIGMA)))
    depth = float(np.median([_median_depth(map_, keyframe) for keyframe in map_.keyframes]))
    for edge in edges:
        graph.add(
            gtsam.BetweenFactorSimilarity3(
                X(edge.first), X(edge.second), _similarity(edge.motion, edge.scale), _noise(edge, depth, metric=metric)
            )
        )
    parameters = gtsam.LevenbergMarquardtParams()
    parameters.setMaxIterations(20)
    result = gtsam.LevenbergMarquardtOptimizer(graph, values, parameters).optimize()
    poses, scales = [], []
    for keyframe in map_.keyframes:
        found = result.atSimilarity3(X(keyframe.id))
        pose = np.eye(4)
        pose[:3, :3] = nearest_rotation(found.rotation().matrix())
        # GTSAM's similarity maps p to s (R p + t).
        pose[:3, 3] = found.scale() * found.translation()
        poses.append(pose)
        scales.append(1.0 if metric else float(found.scale()))
    return poses, scales


def _similarity(pose: FloatArray, scale: float) -> gtsam.Similarity3:
    return gtsam.Similarity3(gtsam.Rot3(pose[:3, :3]), pose[:3, 3] / scale, scale)


def _noise(edge: Edge, depth: float, *, metric: bool) -> gtsam.noiseModel.Base:
    wide = float(np.sqrt(_REFERENCE_SHARED / edge.shared))
    scale = _SIGMA_KNOWN_SCALE if metric else _SIGMA_SCALE * wide
    turn, shift = _SIGMA_ROTATION * wide, _SIGMA_TRANSLATION * depth * wide
    return gtsam.noiseModel.Diagonal.Sigmas(np.array([turn] * 3 + [shift] * 3 + [scale]))
