# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Places are recognised by what they look like, and loops spread what they correct."""

from __future__ import annotations

import numpy as np
import pytest
from test_adjustment import build
from worlds import CAMERA, Seen, Watcher, World, looking, unit

from aliked_ros.slam.config import AssociationConfig, PlaceConfig, SensorConfig
from aliked_ros.slam.geometry import inverse, make_pose, rotation_of
from aliked_ros.slam.loop_closure import Edge, correct
from aliked_ros.slam.map import Map
from aliked_ros.slam.observation import Observation, observe
from aliked_ros.slam.relocalisation import coverage, recognise
from aliked_ros.slam.retrieval import PlaceIndex

WORLD = World.room()
PLACE, ASSOCIATION = PlaceConfig(), AssociationConfig()


@pytest.mark.parametrize("keyframes", [4, 30], ids=["before the words are learnt", "after"])
def test_a_place_seen_before_is_among_the_first(keyframes: int) -> None:
    rng = np.random.default_rng(0)
    places = [unit(rng.normal(size=(200, 32)) + 3 * rng.normal(size=32)) for _ in range(keyframes)]
    index = PlaceIndex(PlaceConfig(candidates=4))
    for descriptors in places:
        index.add(descriptors)
    assert len(index) == keyframes
    again = unit(places[2] + 0.05 * rng.normal(size=places[2].shape))
    found = index.most_alike(again)
    assert 2 in found
    assert len(found) == 4
    assert keyframes <= 8 or found[0] == 2
    assert 2 not in index.most_alike(again, [2])


def test_an_index_without_descriptors_finds_nothing() -> None:
    index = PlaceIndex(PLACE)
    assert index.most_alike(WORLD.descriptors[:10]) == []
    for _ in range(12):
        index.add(np.empty((0, 32), np.float32))
    assert index.most_alike(np.empty((0, 32), np.float32)) == []


def frame(world: World, yaw: float = 0.1) -> tuple[Observation, Seen]:
    seen = Watcher(world, seed=8).see(looking((0.15, 0.0, 0.05), yaw))
    return observe(seen.stamp_ns, seen.features, seen.tracks, CAMERA, SensorConfig(), seen.depth_m, None), seen


def test_a_frame_is_recognised_and_placed() -> None:
    map_ = build("rgbd")
    observation, seen = frame(WORLD)
    found = recognise(map_, observation, [4, 0], PLACE, ASSOCIATION)
    assert found is not None
    assert found.keyframe.id == 4
    relative = inverse(looking((0.15, 0.0, 0.05), 0.1)) @ found.estimate.pose_world_from_camera
    assert np.linalg.norm(relative[:3, 3]) < 0.02
    error = map_.landmarks.positions_xyz[found.landmark_ids] - WORLD.points[seen.points[found.rows]]
    assert np.abs(error).max() < 1e-9


def test_another_world_is_not_recognised() -> None:
    observation, _ = frame(World.room(seed=5))
    assert recognise(build("rgbd"), observation, range(5), PLACE, ASSOCIATION) is None


def test_one_picture_alone_is_no_place() -> None:
    """What hangs in two places agrees with itself, but lies in a small part of the image."""
    observation, _ = frame(WORLD)
    small = np.flatnonzero(np.all(np.abs(observation.uv) < 60, axis=1))
    strange = np.setdiff1d(np.arange(len(observation)), small)
    descriptors = observation.descriptors.copy()
    descriptors[strange] = unit(np.random.default_rng(1).normal(size=(len(strange), 32)))
    object.__setattr__(observation, "descriptors", descriptors)
    loose = PlaceConfig(min_inliers=8, min_inlier_share=0.1)
    assert coverage(observation, small) < 0.12
    lax = loose.replace(min_coverage=0.0)
    few = AssociationConfig(min_inliers=6)
    assert recognise(build("rgbd"), observation, range(5), lax, few) is not None
    assert recognise(build("rgbd"), observation, range(5), loose, few) is None


def ring(scale_drift: float) -> tuple[Map, list[np.ndarray]]:
    """Keyframes around a circle whose estimate drifts in heading, and in scale."""
    true = [looking((np.sin(a), -np.cos(a), 0.0), a) for a in np.linspace(0, 2 * np.pi, 13)]
    map_ = Map()
    observation, _ = frame(WORLD)
    pose, scale = true[0], 1.0
    for id_ in range(13):
        if id_:
            step = inverse(true[id_ - 1]) @ true[id_]
            scale *= scale_drift
            step = make_pose(step[:3, :3] @ rotation_of(np.array([0, 0.01, 0])), scale * step[:3, 3])
            pose = pose @ step
        keyframe = map_.add_keyframe(observation, np.full(len(observation), -1, np.int64), pose.copy())
        map_.add_landmarks(
            keyframe,
            np.arange(40),
            keyframe.pose_world_from_camera[:3, 3] + np.ones((40, 3)),
            np.zeros((40, 3, 3)),
        )
    return map_, true


def distances(map_: Map, true: list[np.ndarray]) -> list[float]:
    pairs = zip(map_.keyframes, true, strict=True)
    return [float(np.linalg.norm(k.pose_world_from_camera[:3, 3] - pose[:3, 3])) for k, pose in pairs]


@pytest.mark.parametrize(("metric", "drift"), [(True, 1.0), (False, 1.01)])
def test_a_loop_brings_keyframes_and_landmarks_back(metric: bool, drift: float) -> None:
    map_, true = ring(drift)
    before = distances(map_, true)
    assert before[-1] > 0.1
    loop = Edge(0, 12, inverse(true[0]) @ true[12], drift**-12, 200)
    offset = map_.keyframes[12].pose_world_from_camera[:3, 3] - map_.landmarks.positions_xyz[12 * 40]
    correct(map_, [loop], metric=metric)
    after = distances(map_, true)
    assert after[-1] < 0.1 * before[-1]
    assert max(after) < 0.6 * max(before)
    assert after[0] < 1e-6
    # Landmarks moved with the keyframe that saw them first, and shrank with it where the scale drifted.
    moved = map_.keyframes[12].pose_world_from_camera[:3, 3] - map_.landmarks.positions_xyz[12 * 40]
    shrunk = np.linalg.norm(moved) / np.linalg.norm(offset)
    assert shrunk == pytest.approx(1.0 if metric else drift**-12, rel=0.02)
