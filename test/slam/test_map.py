# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The map's bookkeeping: who sees what, and what happens when landmarks go or turn out to be one."""

from __future__ import annotations

import numpy as np
import pytest
from worlds import CAMERA, Watcher, World, looking

from aliked_ros.slam.config import SensorConfig
from aliked_ros.slam.map import NO_LANDMARK, Map
from aliked_ros.slam.observation import Observation, observe


@pytest.fixture
def observation() -> Observation:
    seen = Watcher(World.room()).see(looking((0, 0, 0), 0))
    return observe(seen.stamp_ns, seen.features, seen.tracks, CAMERA, SensorConfig(), seen.depth_m, None)


def keyframe_of(map_: Map, observation: Observation, seen: dict[int, int]) -> np.ndarray:
    ids = np.full(len(observation), NO_LANDMARK, np.int64)
    for row, landmark in seen.items():
        ids[row] = landmark
    return map_.add_keyframe(observation, ids, np.eye(4)).landmark_ids


@pytest.fixture
def map_(observation: Observation) -> Map:
    """Five landmarks that a first keyframe sees with its features 0 to 4."""
    result = Map()
    first = result.add_keyframe(observation, np.full(len(observation), NO_LANDMARK, np.int64), np.eye(4))
    rows = np.arange(5)
    result.add_landmarks(first, rows, np.arange(15.0).reshape(5, 3), np.tile(np.eye(3), (5, 1, 1)))
    return result


def test_landmarks_grow_without_losing_any(map_: Map) -> None:
    many = np.random.default_rng(0).normal(size=(3000, 3))
    descriptors = np.zeros((3000, map_.landmarks.descriptors.shape[1]), np.float32)
    ids = map_.landmarks.add(many, np.zeros((3000, 3, 3)), descriptors)
    np.testing.assert_array_equal(ids, np.arange(5, 3005))
    np.testing.assert_array_equal(map_.landmarks.positions_xyz[5:], many)
    np.testing.assert_array_equal(map_.landmarks.positions_xyz[:5], np.arange(15.0).reshape(5, 3))


def test_covisible_keyframes_are_counted(map_: Map, observation: Observation) -> None:
    keyframe_of(map_, observation, {0: 1, 1: 2, 2: 3})
    keyframe_of(map_, observation, {0: 3})
    assert map_.covisible(np.array([1, 2, 3])) == [(3, 1), (3, 0), (1, 2)]
    assert map_.covisible(np.array([1, 2, 3]), [0, 1]) == [(1, 2)]
    assert map_.seen_by(map_.keyframes[1:]).tolist() == [1, 2, 3]


def test_nothing_sees_a_landmark_that_was_removed(map_: Map, observation: Observation) -> None:
    ids = keyframe_of(map_, observation, {3: 1, 4: 2})
    map_.remove_landmarks(np.array([1]))
    assert ids[3] == NO_LANDMARK
    assert ids[4] == 2
    assert map_.keyframes[0].landmark_ids[:5].tolist() == [0, NO_LANDMARK, 2, 3, 4]
    assert not map_.landmarks.alive[1]


def test_merged_landmarks_are_one(map_: Map, observation: Observation) -> None:
    ids = keyframe_of(map_, observation, {6: 3, 7: 1})
    map_.merge_landmarks(np.array([0, 1]), np.array([3, 4]))
    assert ids[6] == 0
    assert ids[7] == 1
    # The first keyframe saw both of each pair; it keeps its sighting of the one that stays.
    assert map_.keyframes[0].landmark_ids[:5].tolist() == [0, 1, 2, NO_LANDMARK, NO_LANDMARK]
    assert map_.landmarks.alive[:5].tolist() == [True, True, True, False, False]


def test_two_landmarks_merged_into_a_third_leave_one_sighting(map_: Map) -> None:
    map_.merge_landmarks(np.array([0, 0]), np.array([3, 4]))
    assert (map_.keyframes[0].landmark_ids == 0).sum() == 1


def test_sightings_are_of_the_wanted_landmarks_only(map_: Map, observation: Observation) -> None:
    keyframe_of(map_, observation, {8: 2, 9: 4})
    sightings = map_.sightings(map_.keyframes, np.array([2, 3]))
    assert sightings.landmark_ids.tolist() == [2, 3, 2]
    assert sightings.keyframes.tolist() == [0, 0, 1]
    assert sightings.rows.tolist() == [2, 3, 8]
    np.testing.assert_array_equal(sightings.uv, observation.uv[[2, 3, 8]])
    assert len(sightings.take(np.array([True, False, False]))) == 1
