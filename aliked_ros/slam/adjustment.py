# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Windowed bundle adjustment: GTSAM moves the newest keyframes and their best landmarks to where sightings agree.

Measured depth enters as the horizontal coordinate of a second, virtual camera beside the first, as in ORB-SLAM2
(Mur-Artal and Tardós, arXiv 1610.06475): the disparity's error is nearly normal where that of depth is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import gtsam
import numpy as np
from gtsam.symbol_shorthand import L, X
from numpy.typing import NDArray

from aliked_ros.slam.config import AdjustmentConfig
from aliked_ros.slam.geometry import nearest_rotation
from aliked_ros.slam.map import Ids, Keyframe, Map, Sightings
from aliked_ros.slam.triangulation import refine_landmarks

_BASELINE_M = 0.1  # of the virtual camera; its disparity's error is scaled with it, so that its choice is free
_SEED = 0
_HUBER = 1.5  # sigmas
_HELD_SIGMA = 1e-5  # radians and metres, of a keyframe that is not to move
_SCALE_SHARE = 0.01  # of the distance of two keyframes, which holds the scale where nothing measures it
_OUTLIER_SIGMA = 4.0  # a sighting that misses by more is forgotten
_MAX_RELATIVE_SIGMA = 0.5  # of a landmark's distance; what is known worse is no landmark
_NOISE_STEPS = 8  # noise models per factor of two: few are made, each used often


@dataclass(frozen=True, eq=False)
class Window:
    """What one adjustment is about."""

    moving: Sequence[Keyframe]
    held: Sequence[Keyframe]

    @property
    def keyframes(self) -> list[Keyframe]:
        """All of them, the held ones first."""
        return [*self.held, *self.moving]


def choose_window(map_: Map, newest: Keyframe, config: AdjustmentConfig) -> Window:
    """The newest keyframe, those that see most of its landmarks, and those that hold them in place."""
    seen = newest.landmark_ids[newest.rows()]
    neighbours = [id_ for _, id_ in map_.covisible(seen, [newest.id])][: config.window - 1]
    moving = sorted([*neighbours, newest.id])
    around = map_.seen_by([map_.keyframes[id_] for id_ in moving])
    held = sorted(id_ for _, id_ in map_.covisible(around, moving)[: config.fixed_keyframes])
    if not held:  # something must stay where it is
        held, moving = moving[:1], moving[1:]
    return Window([map_.keyframes[id_] for id_ in moving], [map_.keyframes[id_] for id_ in held])


def adjust(map_: Map, window: Window, config: AdjustmentConfig, *, metric: bool) -> None:
    """Moves the window's keyframes and landmarks, and forgets the sightings that do not agree with the result."""
    if not window.moving:
        return
    keyframes = window.keyframes
    ids = map_.seen_by(window.moving)
    sightings = map_.sightings(keyframes, ids)
    if len(sightings) == 0:
        return
    focal = keyframes[0].observation.focal_px
    chosen = _choose_landmarks(sightings, config.max_landmarks)
    if len(chosen):
        used = sightings.take(np.isin(sightings.landmark_ids, chosen))
        _optimise(map_, window, used, chosen, focal, config, metric=metric)
    settle_landmarks(map_, keyframes, sightings, ids, focal)


def settle_landmarks(map_: Map, keyframes: Sequence[Keyframe], sightings: Sightings, ids: Ids, focal: float) -> None:
    """Moves landmarks to where these keyframes see them, and forgets what does not agree."""
    index = np.searchsorted(ids, sightings.landmark_ids)
    poses = np.stack([keyframe.pose_world_from_camera for keyframe in keyframes])
    landmarks = map_.landmarks
    found = refine_landmarks(sightings, poses, landmarks.positions_xyz[ids], index, focal)
    wrong = found.errors_sigma > _OUTLIER_SIGMA
    for number, keyframe in enumerate(keyframes):
        keyframe.landmark_ids[sightings.rows[wrong & (sightings.keyframes == number)]] = -1
    support = np.bincount(index[~wrong], minlength=len(ids))
    distance = np.linalg.norm(found.positions_xyz - poses[-1, :3, 3], axis=1)
    sigma = np.sqrt(np.maximum(np.trace(found.covariances, axis1=1, axis2=2), 0.0))
    good = (support > 0) & (sigma < _MAX_RELATIVE_SIGMA * distance)
    landmarks.positions_xyz[ids[good]] = found.positions_xyz[good]
    landmarks.covariances[ids[good]] = found.covariances[good]
    map_.remove_landmarks(ids[~good])


def _choose_landmarks(sightings: Sightings, limit: int) -> Ids:
    """Those that three keyframes or more see, then those that two do; of equals, some from everywhere.

    The most seen alone would crowd in one part of the image, and bias the window.
    """
    ids, counts = np.unique(sightings.landmark_ids, return_counts=True)
    ids, counts = ids[counts >= 2], counts[counts >= 2]
    shuffled = np.random.default_rng(_SEED).permutation(len(ids))
    order = np.lexsort((shuffled, counts == 2))
    return np.sort(ids[order[:limit]])


class _Noise:
    """Noise models by what they stand for; each is made once."""

    def __init__(self) -> None:
        self._models: dict[tuple[int, int | None], gtsam.noiseModel.Base] = {}
        self._huber = gtsam.noiseModel.mEstimator.Huber.Create(_HUBER)

    def of(self, sigma_px: float, disparity_sigma_px: float | None) -> gtsam.noiseModel.Base:
        """Of a keypoint, with the disparity where depth was measured."""
        key = (_step(sigma_px), None if disparity_sigma_px is None else _step(disparity_sigma_px))
        if key not in self._models:
            self._models[key] = gtsam.noiseModel.Robust.Create(self._huber, _gaussian(*key))
        return self._models[key]


def _gaussian(step: int, disparity_step: int | None) -> gtsam.noiseModel.Base:
    variance = _value(step) ** 2
    if disparity_step is None:
        return gtsam.noiseModel.Isotropic.Sigma(2, float(np.sqrt(variance)))
    # (u, u of the virtual camera, v): the keypoint's error is in both, the disparity's in the second only.
    covariance = np.diag([variance, variance + _value(disparity_step) ** 2, variance])
    covariance[0, 1] = covariance[1, 0] = variance
    return gtsam.noiseModel.Gaussian.Covariance(covariance)


def _step(value: float) -> int:
    return round(_NOISE_STEPS * float(np.log2(value)))


def _value(step: int) -> float:
    return float(2.0 ** (step / _NOISE_STEPS))


def _optimise(
    map_: Map,
    window: Window,
    sightings: Sightings,
    landmark_ids: Ids,
    focal: float,
    config: AdjustmentConfig,
    *,
    metric: bool,
) -> None:
    graph, values = gtsam.NonlinearFactorGraph(), gtsam.Values()
    keyframes = window.keyframes
    for keyframe in keyframes:
        values.insert(X(keyframe.id), gtsam.Pose3(keyframe.pose_world_from_camera))
    positions = map_.landmarks.positions_xyz
    for id_ in landmark_ids.tolist():
        values.insert(L(id_), positions[id_])
    _add_anchors(graph, window, metric=metric)
    _add_sightings(graph, keyframes, sightings, focal)
    ordering = gtsam.Ordering()  # landmarks first: what remains is the small system of the poses
    for id_ in landmark_ids.tolist():
        ordering.push_back(L(id_))
    for keyframe in keyframes:
        ordering.push_back(X(keyframe.id))
    parameters = gtsam.LevenbergMarquardtParams()
    parameters.setMaxIterations(config.max_iterations)
    parameters.setRelativeErrorTol(1e-4)
    parameters.setOrdering(ordering)
    result = gtsam.LevenbergMarquardtOptimizer(graph, values, parameters).optimize()
    for keyframe in window.moving:
        pose = np.array(result.atPose3(X(keyframe.id)).matrix())
        pose[:3, :3] = nearest_rotation(pose[:3, :3])
        keyframe.pose_world_from_camera = pose
    for id_ in landmark_ids.tolist():
        positions[id_] = result.atPoint3(L(id_))


def _add_anchors(graph: gtsam.NonlinearFactorGraph, window: Window, *, metric: bool) -> None:
    """What holds the window in place, and where nothing measures the scale, that too."""
    still = gtsam.noiseModel.Isotropic.Sigma(6, _HELD_SIGMA)
    for keyframe in window.held:
        graph.add(gtsam.PriorFactorPose3(X(keyframe.id), gtsam.Pose3(keyframe.pose_world_from_camera), still))
    if metric or len(window.held) > 1:
        return
    first, second = window.held[0].pose_world_from_camera, window.moving[0].pose_world_from_camera
    distance = float(np.linalg.norm(first[:3, 3] - second[:3, 3]))
    sigma = max(_SCALE_SHARE * distance, 1e-6)
    noise = gtsam.noiseModel.Isotropic.Sigma(1, sigma)
    graph.add(gtsam.RangeFactorPose3(X(window.held[0].id), X(window.moving[0].id), distance, noise))


def _add_sightings(
    graph: gtsam.NonlinearFactorGraph, keyframes: Sequence[Keyframe], sightings: Sightings, focal: float
) -> None:
    calibration = gtsam.Cal3_S2(focal, focal, 0, 0, 0)
    stereo = gtsam.Cal3_S2Stereo(focal, focal, 0, 0, 0, _BASELINE_M)
    noise = _Noise()
    disparity = focal * _BASELINE_M / sightings.depth_m
    disparity_sigma = disparity / sightings.depth_m * sightings.depth_sigma_m
    columns: tuple[NDArray[np.generic], ...] = (
        sightings.keyframes, sightings.landmark_ids, sightings.uv[:, 0], sightings.uv[:, 1], sightings.sigma_px,
        disparity, disparity_sigma,
    )  # fmt: skip
    for number, id_, u, v, sigma, shift, shift_sigma in zip(*(column.tolist() for column in columns), strict=True):
        pose_key, point_key = X(keyframes[number].id), L(id_)
        if shift == shift:  # not NaN
            point = gtsam.StereoPoint2(u, u - shift, v)
            graph.add(gtsam.GenericStereoFactor3D(point, noise.of(sigma, shift_sigma), pose_key, point_key, stereo))
        else:
            measured = np.array([u, v])
            graph.add(
                gtsam.GenericProjectionFactorCal3_S2(measured, noise.of(sigma, None), pose_key, point_key, calibration)
            )
