# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Landmarks are recognised by their look, where the pose expects them."""

from __future__ import annotations

import numpy as np
from worlds import CAMERA, Watcher, World, looking, unit

from aliked_ros.slam.config import AssociationConfig, SensorConfig
from aliked_ros.slam.map import Landmarks
from aliked_ros.slam.matching import alike, find_landmarks
from aliked_ros.slam.observation import observe

WORLD = World.room()
POSE = looking((0.1, 0.2, 0.0), 0.3)
CONFIG = AssociationConfig(map_min_similarity=0.8, map_radius_px=6.0)


def test_pairs_are_each_others_best_and_alike_enough() -> None:
    a = unit(np.array([[1.0, 0, 0], [0, 1, 0], [0.9, 0.1, 0], [0, 0, 1]]))
    b = unit(np.array([[0, 1, 0.1], [1, 0.01, 0], [0, 1, 1]]))
    rows, columns = alike(a, b, 0.9)
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == [(0, 1), (1, 0)]
    for empty in (alike(a[:0], b, 0.9), alike(a, b[:0], 0.9)):
        assert [len(part) for part in empty] == [0, 0]


def test_landmarks_are_found_where_they_are_expected() -> None:
    seen = Watcher(WORLD).see(POSE)
    observation = observe(seen.stamp_ns, seen.features, seen.tracks, CAMERA, SensorConfig(), seen.depth_m, None)
    landmarks = Landmarks()
    ids = landmarks.add(WORLD.points, np.zeros((len(WORLD.points), 3, 3)), WORLD.descriptors)
    free = np.arange(0, len(observation), 2)
    rows, found = find_landmarks(observation, free, landmarks, ids, POSE, CONFIG)
    assert len(rows) > 0.95 * len(free)
    assert set(rows) <= set(free)
    np.testing.assert_array_equal(found, seen.points[rows])
    elsewhere = looking((0.1, 0.2, 0.0), 0.35)  # 26 pixels to the side: outside the radius
    assert len(find_landmarks(observation, free, landmarks, ids, elsewhere, CONFIG)[0]) < 0.02 * len(free)
    behind = looking((0.1, 0.2, 0.0), 0.3 + np.pi)
    assert len(find_landmarks(observation, free, landmarks, ids, behind, CONFIG)[0]) == 0


def test_others_at_the_same_place_are_not_taken() -> None:
    seen = Watcher(WORLD).see(POSE)
    observation = observe(seen.stamp_ns, seen.features, seen.tracks, CAMERA, SensorConfig(), seen.depth_m, None)
    landmarks = Landmarks()
    others = World.room(seed=3).descriptors
    ids = landmarks.add(WORLD.points, np.zeros((len(WORLD.points), 3, 3)), others)
    rows, _ = find_landmarks(observation, np.arange(len(observation)), landmarks, ids, POSE, CONFIG)
    assert len(rows) == 0
