# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Bundle adjustment puts keyframes and landmarks back where they were."""

from __future__ import annotations

import numpy as np
import pytest
from worlds import CAMERA, Watcher, World, looking

from aliked_ros.slam.adjustment import Window, adjust, choose_window
from aliked_ros.slam.config import AdjustmentConfig, SensorConfig
from aliked_ros.slam.geometry import inverse, make_pose, rotation_of
from aliked_ros.slam.map import NO_LANDMARK, Map
from aliked_ros.slam.observation import observe

WORLD = World.room()
POSES = [looking((0.1 * k, 0.05 * k, 0.0), 0.04 * k) for k in range(5)]
CONFIG = AdjustmentConfig(max_iterations=15)


def build(mode: str, noise_px: float = 0.3) -> Map:
    """A map that is as it should be but for noise."""
    map_, watcher = Map(), Watcher(WORLD, noise_px=noise_px)
    known = np.full(len(WORLD.points), NO_LANDMARK, np.int64)
    for pose in POSES:
        seen = watcher.see(pose)
        observation = observe(
            seen.stamp_ns, seen.features, seen.tracks, CAMERA, SensorConfig(mode=mode), seen.depth_m, None
        )
        keyframe = map_.add_keyframe(observation, known[seen.points].copy(), pose.copy())
        new = np.flatnonzero(keyframe.landmark_ids < 0)
        points = WORLD.points[seen.points[new]]
        known[seen.points[new]] = map_.add_landmarks(keyframe, new, points, np.tile(1e-4 * np.eye(3), (len(new), 1, 1)))
    return map_


def disturb(map_: Map, keyframes: list[int]) -> None:
    rng = np.random.default_rng(4)
    for id_ in keyframes:
        motion = make_pose(rotation_of(0.02 * rng.normal(size=3)), 0.03 * rng.normal(size=3))
        map_.keyframes[id_].pose_world_from_camera = map_.keyframes[id_].pose_world_from_camera @ motion
    map_.landmarks.positions_xyz[:] += 0.02 * rng.normal(size=map_.landmarks.positions_xyz.shape)


def shift_of(map_: Map, id_: int) -> float:
    return float(np.linalg.norm((inverse(POSES[id_]) @ map_.keyframes[id_].pose_world_from_camera)[:3, 3]))


@pytest.mark.parametrize(("mode", "held"), [("rgbd", [0]), ("mono", [0, 1])])
def test_what_was_disturbed_is_put_back(mode: str, held: list[int]) -> None:
    map_ = build(mode)
    moving = [id_ for id_ in range(5) if id_ not in held]
    disturb(map_, moving)
    before = {id_: shift_of(map_, id_) for id_ in moving}
    window = Window([map_.keyframes[i] for i in moving], [map_.keyframes[i] for i in held])
    adjust(map_, window, CONFIG, metric=mode != "mono")
    for id_ in moving:
        assert before[id_] > 0.015
        assert shift_of(map_, id_) < 0.008
    for id_ in held:
        assert shift_of(map_, id_) < 1e-4


def test_without_depth_the_scale_stays_what_it_was() -> None:
    map_ = build("mono")
    disturb(map_, [2, 3, 4])
    window = Window(map_.keyframes[1:], map_.keyframes[:1])
    before = np.linalg.norm(map_.keyframes[1].pose_world_from_camera[:3, 3])
    adjust(map_, window, CONFIG, metric=False)
    assert np.linalg.norm(map_.keyframes[1].pose_world_from_camera[:3, 3]) == pytest.approx(before, rel=0.02)


def test_landmarks_that_are_not_adjusted_follow() -> None:
    map_ = build("rgbd")
    true = map_.landmarks.positions_xyz.copy()
    disturb(map_, [3, 4])
    window = Window(map_.keyframes[1:], map_.keyframes[:1])
    adjust(map_, window, AdjustmentConfig(max_landmarks=40, max_iterations=15), metric=True)
    alive = map_.landmarks.alive
    assert alive.mean() > 0.9
    error = np.linalg.norm(map_.landmarks.positions_xyz[alive] - true[alive], axis=1)
    assert np.median(error) < 0.012


def test_a_wrong_sighting_is_forgotten() -> None:
    map_ = build("rgbd")
    keyframe = map_.keyframes[4]
    rows = keyframe.rows()[:4]
    keyframe.observation.uv[rows] += 25.0
    adjust(map_, Window(map_.keyframes[1:], map_.keyframes[:1]), CONFIG, metric=True)
    assert (keyframe.landmark_ids[rows] == NO_LANDMARK).all()
    assert shift_of(map_, 4) < 0.008


def test_the_window_is_of_those_that_see_the_same() -> None:
    map_ = build("rgbd")
    window = choose_window(map_, map_.keyframes[4], AdjustmentConfig(window=3, fixed_keyframes=1))
    assert map_.keyframes[4] in window.moving
    assert len(window.moving) == 3
    assert len(window.held) == 1
    assert not set(map(id, window.moving)) & set(map(id, window.held))
    alone = choose_window(map_, map_.keyframes[4], AdjustmentConfig(window=5))
    assert [keyframe.id for keyframe in alone.held] == [0]  # something stays where it is
