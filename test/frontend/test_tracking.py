# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import numpy as np

from aliked_ros import Features, Tracks, mutual_nearest_neighbours
from aliked_ros.frontend.config import TrackingConfig
from aliked_ros.frontend.tracking import FeatureTracker

SECOND_NS = 1_000_000_000
NUM_POINTS = 30
DESCRIPTORS = np.linalg.qr(np.random.default_rng(0).normal(size=(64, 64)))[0].astype(np.float32)[:NUM_POINTS]
POSITIONS = np.random.default_rng(1).uniform(50, 400, (NUM_POINTS, 2)).astype(np.float32)


class World:
    """Feeds a tracker with points whose identity is known: their descriptors are orthogonal."""

    def __init__(self, **options: float) -> None:
        self.tracker = FeatureTracker(TrackingConfig(**options))
        self.previous: Features | None = None
        self.points: np.ndarray = np.empty(0, int)
        self.frame = 0

    def see(self, points: object, shift: tuple[float, float] = (0.0, 0.0), *, calibrated: bool = False) -> Tracks:
        self.points = np.asarray(points, int)
        xy = POSITIONS[self.points] + np.float32(shift)
        features = Features(xy, np.full(len(xy), 0.5, np.float32), DESCRIPTORS[self.points], 640, 480)
        matches = None if self.previous is None else mutual_nearest_neighbours(features, self.previous)
        self.previous, self.frame = features, self.frame + 1
        return self.tracker.update(features, matches, self.frame * SECOND_NS, xy / 500 if calibrated else None)

    def ids(self, tracks: Tracks) -> dict[int, int]:
        """Track id by point."""
        return {int(self.points[row]): int(id_) for row, id_ in zip(tracks.feature_indices, tracks.ids, strict=True)}


def test_identity_persists_and_age_counts() -> None:
    world = World()
    first = world.ids(world.see(range(20)))
    assert sorted(first.values()) == list(range(20))
    order = np.random.default_rng(2).permutation(20)
    tracks = world.see(order, shift=(3, 1))
    assert world.ids(tracks) == first
    assert (tracks.ages == 2).all()
    assert len(tracks.lost_ids) == 0


def test_rows_agree_with_the_features() -> None:
    world = World()
    world.see(range(10))
    tracks = world.see(range(5, 20))
    assert world.previous is not None
    np.testing.assert_array_equal(tracks.xy, world.previous.keypoints_xy[tracks.feature_indices])
    np.testing.assert_array_equal(tracks.ids_of_features(15)[tracks.feature_indices], tracks.ids)
    assert (np.diff(tracks.ages.astype(int)) <= 0).all()


def test_a_short_gap_is_bridged() -> None:
    world = World(max_gap=2)
    first = world.ids(world.see(range(10)))
    for _ in range(2):
        assert len(world.see(range(1, 10)).lost_ids) == 0
    tracks = world.see(range(10), shift=(5, 0))
    assert world.ids(tracks) == first
    assert tracks.ages[tracks.ids == first[0]] == 2  # observed twice, whatever lay between


def test_a_long_gap_loses_the_track_once() -> None:
    world = World(max_gap=2)
    first = world.ids(world.see(range(10)))
    lost = [world.see(range(1, 10)).lost_ids.tolist() for _ in range(5)]
    assert lost == [[], [], [first[0]], [], []]
    assert world.ids(world.see(range(10)))[0] not in first.values()


def test_no_gap_means_lost_at_once() -> None:
    world = World(max_gap=0)
    first = world.ids(world.see(range(10)))
    assert world.see(range(1, 10)).lost_ids.tolist() == [first[0]]
    assert world.ids(world.see(range(10)))[0] == 10


def test_a_jump_across_the_image_is_not_the_same_track() -> None:
    world = World(max_gap=3, gap_max_distance_px=20)
    first = world.ids(world.see(range(10)))
    world.see(range(1, 10))
    resumed = world.ids(world.see([*range(1, 10), 0], shift=(70, 0)))
    assert resumed[0] not in first.values()
    assert resumed[1] == first[1]  # seen in every frame: no limit of distance applies


def test_ids_are_never_reused() -> None:
    world = World(max_gap=1)
    rng = np.random.default_rng(4)
    alive: dict[int, int] = {}
    owner: dict[int, int] = {}
    gone: set[int] = set()
    for _ in range(60):
        tracks = world.see(rng.permutation(NUM_POINTS)[: rng.integers(0, NUM_POINTS)])
        alive = world.ids(tracks)
        assert len(set(alive.values())) == len(alive)
        for point, id_ in alive.items():
            assert owner.setdefault(id_, point) == point
        assert not gone & set(alive.values())
        gone |= set(tracks.lost_ids.tolist())
    assert len(gone) > NUM_POINTS


def test_outliers_do_not_carry_a_track_on() -> None:
    world = World(max_gap=0)
    first = world.ids(world.see(range(4)))
    previous = world.previous
    assert previous is not None
    matches = mutual_nearest_neighbours(previous, previous)
    inliers = np.array([True, False, True, True])
    verified = type(matches)(**{**vars(matches), "inliers": inliers})
    ids = world.ids(world.tracker.update(previous, verified, 2 * SECOND_NS, None))
    assert ids[1] not in first.values()
    assert {point: ids[point] for point in (0, 2, 3)} == {point: first[point] for point in (0, 2, 3)}


def test_velocity_is_of_the_last_observation() -> None:
    world = World()
    assert np.isnan(world.see(range(6), calibrated=True).velocity).all()
    world.see(range(1, 6), shift=(50, 0), calibrated=True)
    tracks = world.see(range(7), shift=(100, 0), calibrated=True)
    assert tracks.velocity is not None
    velocity = {int(world.points[row]): v for row, v in zip(tracks.feature_indices, tracks.velocity, strict=True)}
    np.testing.assert_allclose(velocity[3], [50 / 500, 0], atol=1e-6)  # one second ago
    np.testing.assert_allclose(velocity[0], [100 / 500 / 2, 0], atol=1e-6)  # two seconds ago
    assert np.isnan(velocity[6]).all()


def test_no_calibration_no_normalised_coordinates() -> None:
    tracks = World().see(range(3))
    assert tracks.xy_norm is None
    assert tracks.velocity is None


def test_keyframe_hints_follow_parallax_and_survival() -> None:
    world = World(keyframe_min_parallax_px=10, keyframe_min_survival=0.5)
    first = world.see(range(10))
    assert first.keyframe_hint
    assert np.isnan(first.median_parallax_px)
    small = world.see(range(10), shift=(4, 0))
    assert not small.keyframe_hint
    assert abs(small.median_parallax_px - 4) < 1e-3
    assert world.see(range(10), shift=(12, 0)).keyframe_hint
    # Parallax counts from the last hint, not from the start.
    assert not world.see(range(10), shift=(16, 0)).keyframe_hint
    assert world.see(range(6, 20), shift=(16, 0)).keyframe_hint


def test_empty_frames_are_survived() -> None:
    world = World(max_gap=1)
    assert len(world.see([])) == 0
    first = world.ids(world.see(range(5)))
    empty = world.see([])
    assert len(empty) == 0
    assert not empty.keyframe_hint
    assert world.ids(world.see(range(5))) == first
