# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Depth from stereo, the first two views of one camera, and options as text."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from worlds import CAMERA, Watcher, World, looking

from aliked_ros.camera import TUM_CAMERAS, Camera
from aliked_ros.errors import CalibrationError, ConfigError
from aliked_ros.features import Matches
from aliked_ros.slam.config import BackendConfig, InitialisationConfig, SensorConfig, with_values
from aliked_ros.slam.geometry import inverse
from aliked_ros.slam.initialisation import TwoViewInitialiser
from aliked_ros.slam.observation import observe
from aliked_ros.slam.stereo import depth_of_matches

BASELINE_M = 0.12


def stereo(depth: np.ndarray, noise_px: float, seed: int = 0) -> Matches:
    rng = np.random.default_rng(seed)
    count = len(depth)
    left = rng.uniform((200, 50), (600, 430), (count, 2))
    right = left - np.column_stack([CAMERA.fx * BASELINE_M / depth, np.zeros(count)])
    return Matches(
        indices=np.arange(count, dtype=np.uint32),
        indices_ref=np.arange(count, dtype=np.uint32)[::-1].copy(),
        xy=(right + noise_px * rng.normal(size=(count, 2))).astype(np.float32),
        xy_ref=(left + noise_px * rng.normal(size=(count, 2))).astype(np.float32),
        similarities=np.ones(count, np.float32),
        matcher="test",
    )


def test_stereo_depth_and_its_error() -> None:
    true = np.random.default_rng(3).uniform(1, 5, 4000)
    depth, sigma = depth_of_matches(stereo(true, 0.3), 4100, CAMERA, BASELINE_M, sigma_px=0.3)
    rows = np.arange(4000)[::-1]
    assert np.isnan(depth[4000:]).all()
    known = np.isfinite(depth[rows])
    assert known.mean() > 0.99
    error = (depth[rows] - true)[known] / sigma[rows][known]
    assert 0.60 < (np.abs(error) < 1).mean() < 0.76  # 1 sigma


def test_matches_on_other_rows_have_no_depth() -> None:
    matches = stereo(np.full(10, 2.0), 0.0)
    matches.xy[:4, 1] += 5.0
    matches.xy[4, 0] = matches.xy_ref[4, 0] + 3.0  # behind the cameras
    depth, _ = depth_of_matches(matches, 10, CAMERA, BASELINE_M)
    assert np.isfinite(depth[matches.indices_ref]).tolist() == [False] * 5 + [True] * 5
    only = dataclasses.replace(matches, inliers=np.arange(10) == 7)
    assert np.isfinite(depth_of_matches(only, 10, CAMERA, BASELINE_M)[0]).sum() == 1


def test_stereo_needs_a_baseline_and_rectified_images() -> None:
    matches = stereo(np.full(10, 2.0), 0.0)
    for baseline in (0.0, -0.1, float("nan")):
        with pytest.raises(CalibrationError, match="baseline"):
            depth_of_matches(matches, 10, CAMERA, baseline)
    with pytest.raises(CalibrationError, match="rectified"):
        depth_of_matches(matches, 10, TUM_CAMERAS["fr1"], BASELINE_M)


def test_how_far_depth_is_used() -> None:
    seen = Watcher(World.room()).see(looking((0, 0, 0), 0.0))
    count = len(seen.features)
    depth = np.resize(np.float32([0.05, 2.0, 20.0, 60.0]), count)
    share = np.resize(np.float32([0.01, 0.3, 0.19, 0.21]), count)

    def used(sensor: SensorConfig, sigma_m: np.ndarray | None) -> list[bool]:
        observation = observe(seen.stamp_ns, seen.features, seen.tracks, CAMERA, sensor, depth, sigma_m)
        return list(np.isfinite(observation.depth_m[:4]))

    assert used(SensorConfig(mode="rgbd"), None) == [False, True, False, False], "a range"
    assert used(SensorConfig(mode="stereo"), share * depth) == [False, False, True, False], "an error"
    assert used(SensorConfig(mode="stereo", max_depth_error=0.4), share * depth) == [False, True, True, True]


def test_what_lies_aside_of_a_fisheye_is_not_observed() -> None:
    seen = Watcher(World.room()).see(looking((0, 0, 0), 0.0))
    focal = 0.3 * CAMERA.width  # 90 degrees at 0.47 of the width
    fisheye = Camera(
        CAMERA.width, CAMERA.height, focal, focal, CAMERA.cx, CAMERA.cy, "equidistant", (0.0, 0.0, 0.0, 0.0)
    )
    xy = seen.features.keypoints_xy.copy()
    aside = np.arange(len(xy)) % 7 == 0
    xy[aside], xy[~aside] = (1.0, CAMERA.cy), (CAMERA.cx, CAMERA.cy)
    features = dataclasses.replace(seen.features, keypoints_xy=xy)
    observation = observe(seen.stamp_ns, features, seen.tracks, fisheye, SensorConfig(mode="mono"), None, None)
    assert len(observation) == (~aside).sum() > 0
    np.testing.assert_allclose(observation.uv, 0.0, atol=1e-3)
    np.testing.assert_array_equal(observation.track_ids, seen.tracks.ids_of_features(len(xy))[~aside])
    np.testing.assert_array_equal(observation.descriptors, features.descriptors[~aside])


def test_two_views_with_parallax_make_a_map() -> None:
    watcher, initialiser = Watcher(World.room()), TwoViewInitialiser(InitialisationConfig())
    poses = [looking((0.05 * k, 0, 0), 0.0) for k in range(12)]
    found = None
    for pose in poses:
        seen = watcher.see(pose)
        sensor = SensorConfig(mode="mono")
        found = initialiser.add(observe(seen.stamp_ns, seen.features, seen.tracks, CAMERA, sensor, None, None))
        if found is not None:
            break
    assert found is not None
    assert np.median(found.points[:, 2]) == pytest.approx(1.0)
    moved = inverse(poses[0]) @ pose
    direction = found.pose_first_from_second[:3, 3] / np.linalg.norm(found.pose_first_from_second[:3, 3])
    assert direction @ (moved[:3, 3] / np.linalg.norm(moved[:3, 3])) > 0.99
    np.testing.assert_allclose(found.pose_first_from_second[:3, :3], moved[:3, :3], atol=0.01)


def test_options_are_changed_by_text() -> None:
    config = with_values(
        BackendConfig(), {"keyframe.max_motion": "0.3", "place.loop_closure": "false", "adjustment.window": "9"}
    )
    assert config.keyframe.max_motion == 0.3
    assert config.place.loop_closure is False
    assert config.adjustment.window == 9
    assert config.sensor == SensorConfig()


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("keyframes.max_motion", "1", "known groups: sensor"),
        ("keyframe.motion", "1", "known there: min_interval"),
        ("keyframe.max_motion", "much", "must be float"),
        ("keyframe.max_motion", "-1", "at least"),
        ("place.loop_closure", "maybe", "true or false"),
        ("sensor.mode", "sonar", "one of rgbd"),
    ],
)
def test_wrong_options_are_named(path: str, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        with_values(BackendConfig(), {path: text})
