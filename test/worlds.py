# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""A world of points with descriptors, and cameras that see it: the backend's input without images or a network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from aliked_ros.camera import Camera
from aliked_ros.features import Features, Tracks
from aliked_ros.slam.geometry import inverse, make_pose, rotation_of, transform
from aliked_ros.slam.trajectory import Trajectory

CAMERA = Camera(640, 480, 525.0, 525.0, 319.5, 239.5)
DIMENSION = 32
FRAME_NS = 100_000_000


@dataclass
class World:
    """Points on the walls of a room, each with a descriptor of its own."""

    points: np.ndarray  # (L, 3)
    descriptors: np.ndarray  # (L, D)

    @classmethod
    def room(cls, count: int = 4000, size: float = 3.0, seed: int = 0) -> World:
        rng = np.random.default_rng(seed)
        points = rng.uniform(-size, size, (count, 3))
        side = rng.integers(0, 3, count)
        points[np.arange(count), side] = size * np.sign(points[np.arange(count), side])
        return cls(points, unit(rng.normal(size=(count, DIMENSION))))


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@dataclass
class Seen:
    """One frame, as the front-end would give it."""

    stamp_ns: int
    features: Features
    tracks: Tracks
    depth_m: np.ndarray
    points: np.ndarray  # (N,) which point each feature is


@dataclass
class Watcher:
    """Makes frames; a point keeps its track while it is seen in every frame."""

    world: World
    noise_px: float = 0.5
    depth_noise_m: float = 0.002  # at one metre, growing with the square of the distance
    outliers: float = 0.0  # share of tracks that jump to another point
    max_features: int = 300
    seed: int = 0
    _tracks: dict[int, int] = field(default_factory=dict)
    _ages: dict[int, int] = field(default_factory=dict)
    _next_track: int = 0
    _frame: int = 0

    def see(self, pose_world_from_camera: np.ndarray) -> Seen:
        rng = np.random.default_rng((self.seed, self._frame))
        camera = transform(inverse(pose_world_from_camera), self.world.points)
        with np.errstate(divide="ignore", invalid="ignore"):
            xy = CAMERA.fx * camera[:, :2] / camera[:, 2:] + (CAMERA.cx, CAMERA.cy)
        inside = np.all((xy > 5) & (xy < (CAMERA.width - 6, CAMERA.height - 6)), axis=1) & (camera[:, 2] > 0.3)
        visible = np.flatnonzero(inside)[: self.max_features]
        xy = xy[visible] + rng.normal(0, self.noise_px, (len(visible), 2))
        depth = camera[visible, 2] + self.depth_noise_m * camera[visible, 2] ** 2 * rng.normal(size=len(visible))
        descriptors = unit(self.world.descriptors[visible] + rng.normal(0, 0.03, (len(visible), DIMENSION)))
        features = Features(
            xy.astype(np.float32), np.linspace(0.9, 0.3, len(visible), dtype=np.float32), descriptors, 640, 480
        )
        tracks = self._follow(visible, features, rng)
        seen = Seen(1 + self._frame * FRAME_NS, features, tracks, depth.astype(np.float32), visible)
        self._frame += 1
        return seen

    def nothing(self) -> Seen:
        """A frame of a covered camera."""
        blank = World(np.empty((0, 3)), np.empty((0, DIMENSION), np.float32))
        world, self.world = self.world, blank
        try:
            return self.see(np.eye(4))
        finally:
            self.world = world

    def _follow(self, visible: np.ndarray, features: Features, rng: np.random.Generator) -> Tracks:
        before = self._tracks
        self._tracks, ages = {}, []
        jumping = rng.random(len(visible)) < self.outliers
        old = list(before.values())
        ids = []
        for point, jumps in zip(visible.tolist(), jumping, strict=True):
            track = before.get(point)
            if jumps and old:
                candidate = old[int(rng.integers(len(old)))]
                track = candidate if candidate not in ids and candidate not in self._tracks.values() else None
            if track is None or track in ids:
                track, self._next_track = self._next_track, self._next_track + 1
            ids.append(track)
            self._tracks[point] = track
            self._ages[track] = self._ages.get(track, 0) + 1
            ages.append(self._ages[track])
        lost = sorted(set(before.values()) - set(ids))
        return Tracks(
            ids=np.array(ids, np.int64),
            ages=np.array(ages, np.uint32),
            feature_indices=np.arange(len(ids), dtype=np.uint32),
            xy=features.keypoints_xy,
            scores=features.scores,
            lost_ids=np.array(lost, np.int64),
            median_parallax_px=float("nan"),
            keyframe_hint=False,
        )


def looking(position: Sequence[float], yaw: float, pitch: float = 0.0) -> np.ndarray:
    """The pose of a camera there; yaw 0 looks along y, and z is up."""
    level = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], float)  # x right, y down, z forward
    turn = rotation_of(np.array([0, 0, yaw]))
    return make_pose(turn @ level @ rotation_of(np.array([pitch, 0, 0])), np.array(position, float))


def swaying(count: int) -> Iterator[np.ndarray]:
    """A hand-held camera."""
    for index in range(count):
        t = index / 10
        position = (0.5 * np.sin(1.3 * t), 0.3 * np.sin(0.9 * t), 0.2 * np.sin(1.7 * t))
        yield looking(position, 0.3 * np.sin(1.1 * t), 0.1 * np.sin(0.7 * t))


def circling(count: int, turns: float, radius: float = 0.8) -> Iterator[np.ndarray]:
    """Around the room and on, looking outwards."""
    for index in range(count):
        angle = 2 * np.pi * turns * index / (count - 1)
        yield looking((-radius * np.sin(angle), radius * np.cos(angle), 0.1 * np.sin(3 * angle)), angle)


def as_trajectory(seen: Sequence[Seen], poses: Sequence[np.ndarray]) -> Trajectory:
    return Trajectory.from_poses([frame.stamp_ns for frame in seen], list(poses))
