# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The map: keyframes, landmarks, and which keyframe sees which landmark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aliked_ros.features import Float32Array
from aliked_ros.slam.geometry import FloatArray
from aliked_ros.slam.observation import Observation

Ids = NDArray[np.int64]
NO_LANDMARK = -1


@dataclass(eq=False)
class Keyframe:
    """A frame that is part of the map."""

    id: int
    observation: Observation
    landmark_ids: Ids  # (N,) of its features; NO_LANDMARK where there is none
    pose_world_from_camera: FloatArray  # (4, 4)

    def rows(self) -> NDArray[np.intp]:
        """Its features that see a landmark."""
        return np.flatnonzero(self.landmark_ids >= 0)


class Landmarks:
    """Points of the world, one row each; ids are rows and are never used again."""

    def __init__(self) -> None:
        self._count = 0
        self._positions = np.empty((0, 3))
        self._covariances = np.empty((0, 3, 3))
        self._descriptors: Float32Array = np.empty((0, 0), np.float32)
        self._alive = np.empty(0, np.bool_)

    def __len__(self) -> int:
        """How many there ever were."""
        return self._count

    @property
    def positions_xyz(self) -> FloatArray:
        """(L, 3) of the world; writable."""
        return self._positions[: self._count]

    @property
    def covariances(self) -> FloatArray:
        """(L, 3, 3) of the positions; writable."""
        return self._covariances[: self._count]

    @property
    def descriptors(self) -> Float32Array:
        """(L, D) as the newest keyframe saw them; writable."""
        return self._descriptors[: self._count]

    @property
    def alive(self) -> NDArray[np.bool_]:
        """(L,) whether the landmark is still in the map; writable."""
        return self._alive[: self._count]

    def add(self, positions: FloatArray, covariances: FloatArray, descriptors: Float32Array) -> Ids:
        """Their ids."""
        first, self._count = self._count, self._count + len(positions)
        if self._count > len(self._alive):
            self._grow(max(2 * self._count, 1024), descriptors.shape[1])
        rows = np.arange(first, self._count)
        self._positions[rows], self._covariances[rows] = positions, covariances
        self._descriptors[rows], self._alive[rows] = descriptors, True
        return rows

    def _grow(self, capacity: int, dimension: int) -> None:
        old = len(self._alive)
        for name, shape in (
            ("_positions", (capacity, 3)),
            ("_covariances", (capacity, 3, 3)),
            ("_descriptors", (capacity, dimension)),
            ("_alive", (capacity,)),
        ):
            before = getattr(self, name)
            after = np.zeros(shape, before.dtype)
            if old:
                after[:old] = before
            setattr(self, name, after)


@dataclass(frozen=True, eq=False)
class Sightings:
    """What some keyframes see of landmarks, one row for each feature."""

    keyframes: NDArray[np.intp]  # (S,) position in the list of keyframes
    rows: NDArray[np.intp]  # (S,) of the keyframe's features
    landmark_ids: Ids  # (S,)
    uv: FloatArray  # (S, 2)
    sigma_px: FloatArray  # (S,)
    depth_m: FloatArray  # (S,) NaN where unknown
    depth_sigma_m: FloatArray  # (S,)

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> Sightings:
        """Some of them."""
        return Sightings(
            self.keyframes[chosen],
            self.rows[chosen],
            self.landmark_ids[chosen],
            self.uv[chosen],
            self.sigma_px[chosen],
            self.depth_m[chosen],
            self.depth_sigma_m[chosen],
        )


class Map:
    """Keyframes in the order of their ids, and landmarks."""

    def __init__(self) -> None:
        self.keyframes: list[Keyframe] = []
        self.landmarks = Landmarks()

    @property
    def points_xyz(self) -> FloatArray:
        """The landmarks that are in the map, (L, 3) of the world."""
        return self.landmarks.positions_xyz[self.landmarks.alive]

    def add_keyframe(self, observation: Observation, landmark_ids: Ids, pose_world_from_camera: FloatArray) -> Keyframe:
        """A new keyframe; what it sees gets its descriptors."""
        keyframe = Keyframe(len(self.keyframes), observation, landmark_ids, pose_world_from_camera)
        self.keyframes.append(keyframe)
        rows = keyframe.rows()
        if len(rows):
            self.landmarks.descriptors[landmark_ids[rows]] = observation.descriptors[rows]
        return keyframe

    def add_landmarks(
        self, keyframe: Keyframe, rows: NDArray[np.intp], positions: FloatArray, covariances: FloatArray
    ) -> Ids:
        """New landmarks that these features of the keyframe see; their ids."""
        ids = self.landmarks.add(positions, covariances, keyframe.observation.descriptors[rows])
        keyframe.landmark_ids[rows] = ids
        return ids

    def remove_landmarks(self, ids: Ids) -> None:
        """Nothing sees them any more."""
        if len(ids) == 0:
            return
        self.landmarks.alive[ids] = False
        for keyframe in self.keyframes:
            seen = keyframe.landmark_ids
            dead = (seen >= 0) & ~self.landmarks.alive[seen]
            seen[dead] = NO_LANDMARK

    def merge_landmarks(self, kept: Ids, dropped: Ids) -> None:
        """The dropped ones were the kept ones all along; a keyframe that sees both keeps its own sighting."""
        into = np.arange(len(self.landmarks))
        into[dropped] = kept
        self.landmarks.alive[dropped] = False
        for keyframe in self.keyframes:
            rows = keyframe.rows()
            before = keyframe.landmark_ids[rows]
            after = into[before]
            changed = after != before
            twice = changed & np.isin(after, before[~changed])
            after[twice] = NO_LANDMARK
            _, first = np.unique(after, return_index=True)
            unique = np.zeros(len(after), np.bool_)
            unique[first] = True
            keyframe.landmark_ids[rows] = np.where(unique | (after < 0), after, NO_LANDMARK)

    def covisible(self, landmark_ids: Ids, excluded: Iterable[int] = ()) -> list[tuple[int, int]]:
        """Keyframes that see any of these landmarks as (count, id), the most first, then the newest."""
        wanted = np.zeros(len(self.landmarks), np.bool_)
        wanted[landmark_ids] = True
        left_out = set(excluded)
        counts = [
            (int(wanted[keyframe.landmark_ids[keyframe.rows()]].sum()), keyframe.id)
            for keyframe in self.keyframes
            if keyframe.id not in left_out
        ]
        return sorted(((count, id_) for count, id_ in counts if count), reverse=True)

    def seen_by(self, keyframes: Sequence[Keyframe]) -> Ids:
        """The landmarks that any of these keyframes sees, in rising order."""
        parts = [keyframe.landmark_ids[keyframe.rows()] for keyframe in keyframes]
        return np.unique(np.concatenate(parts)) if parts else np.empty(0, np.int64)

    def sightings(self, keyframes: Sequence[Keyframe], landmark_ids: Ids) -> Sightings:
        """What these keyframes see of these landmarks."""
        wanted = np.zeros(len(self.landmarks), np.bool_)
        wanted[landmark_ids] = True
        chosen = []
        for keyframe in keyframes:
            rows = keyframe.rows()
            chosen.append(rows[wanted[keyframe.landmark_ids[rows]]])
        observations = [keyframe.observation for keyframe in keyframes]
        return Sightings(
            keyframes=np.repeat(np.arange(len(keyframes)), [len(rows) for rows in chosen]),
            rows=np.concatenate(chosen),
            landmark_ids=np.concatenate([k.landmark_ids[r] for k, r in zip(keyframes, chosen, strict=True)]),
            uv=np.concatenate([o.uv[r] for o, r in zip(observations, chosen, strict=True)]),
            sigma_px=np.concatenate([o.sigma_px[r] for o, r in zip(observations, chosen, strict=True)]),
            depth_m=np.concatenate([o.depth_m[r] for o, r in zip(observations, chosen, strict=True)]),
            depth_sigma_m=np.concatenate([o.depth_sigma_m[r] for o, r in zip(observations, chosen, strict=True)]),
        )
