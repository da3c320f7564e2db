# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Where a frame is in the map: landmarks known by their tracks, then those that the pose lets expect."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aliked_ros.slam.config import AssociationConfig
from aliked_ros.slam.geometry import FloatArray
from aliked_ros.slam.map import NO_LANDMARK, Ids, Keyframe, Map
from aliked_ros.slam.matching import find_landmarks
from aliked_ros.slam.observation import Observation
from aliked_ros.slam.pose import Correspondences, refine, resect

_LOCAL_KEYFRAMES = 8
_WIDE_SEARCH = 4.0  # times the usual radius, where tracks say nothing


@dataclass(frozen=True, eq=False)
class Located:
    """A frame's place in the map."""

    pose_world_from_camera: FloatArray  # (4, 4)
    landmark_ids: Ids  # (N,) what each feature sees, NO_LANDMARK where nobody knows
    covariance: FloatArray  # (6, 6) of (rotation, translation) of the camera's frame

    @property
    def num_inliers(self) -> int:
        """Landmarks that agree with the pose."""
        return int((self.landmark_ids >= 0).sum())


class PoseTracker:
    """Knows which track is which landmark, and which landmarks are near."""

    def __init__(self, map_: Map, config: AssociationConfig) -> None:
        self._map = map_
        self._config = config
        self._landmark_of_track: dict[int, int] = {}
        self._local_ids: Ids = np.empty(0, np.int64)

    def forget_tracks(self) -> None:
        """Track ids mean other tracks from here on."""
        self._landmark_of_track.clear()

    def drop_tracks(self, lost_ids: NDArray[np.int64]) -> None:
        """These tracks are seen no more."""
        for track in lost_ids.tolist():
            self._landmark_of_track.pop(track, None)

    def learn(self, observation: Observation, landmark_ids: Ids) -> None:
        """The features' tracks are tracks of these landmarks; a track whose feature sees none is of none."""
        known = self._landmark_of_track
        for track, landmark in zip(observation.track_ids.tolist(), landmark_ids.tolist(), strict=True):
            if landmark >= 0 and track >= 0:
                known[track] = landmark
            else:
                known.pop(track, None)

    def look_around(self, keyframe: Keyframe) -> None:
        """Takes what this keyframe and its neighbours see for what is near."""
        neighbours = self._map.covisible(keyframe.landmark_ids[keyframe.rows()])[:_LOCAL_KEYFRAMES]
        self._local_ids = self._map.seen_by([self._map.keyframes[id_] for _, id_ in neighbours])

    def locate(self, observation: Observation, expected: FloatArray | None) -> Located | None:
        """The frame's place; ``None`` where too few landmarks agree.

        Args:
            observation: of the frame.
            expected: its pose as the motion so far lets expect, where it does.
        """
        rows, ids = self._known(observation)
        found = resect(observation, self._pairs(rows, ids), self._config)
        if found is None and expected is not None:
            wide = self._config.replace(map_radius_px=_WIDE_SEARCH * self._config.map_radius_px)
            everything = np.arange(len(observation))
            rows, ids = find_landmarks(observation, everything, self._map.landmarks, self._near(), expected, wide)
            found = resect(observation, self._pairs(rows, ids), self._config)
        if found is None:
            return None
        return self.complete(observation, rows[found.inliers], ids[found.inliers], found.pose_world_from_camera)

    def complete(
        self, observation: Observation, rows: NDArray[np.intp], ids: Ids, pose_world_from_camera: FloatArray
    ) -> Located | None:
        """The place of a frame some of whose landmarks are recognised, refined with all that the pose lets expect."""
        free = np.setdiff1d(np.arange(len(observation)), rows)
        candidates = np.setdiff1d(self._near(), ids)
        more_rows, more_ids = find_landmarks(
            observation, free, self._map.landmarks, candidates, pose_world_from_camera, self._config
        )
        rows, ids = np.concatenate([rows, more_rows]), np.concatenate([ids, more_ids])
        final = refine(observation, self._pairs(rows, ids), pose_world_from_camera, self._config)
        if final is None:
            return None
        landmark_ids = np.full(len(observation), NO_LANDMARK, np.int64)
        landmark_ids[rows[final.inliers]] = ids[final.inliers]
        return Located(final.pose_world_from_camera, landmark_ids, final.covariance)

    def _known(self, observation: Observation) -> tuple[NDArray[np.intp], Ids]:
        """The features whose tracks are of landmarks, each landmark once, and these."""
        known = self._landmark_of_track
        ids = np.array([known.get(track, NO_LANDMARK) for track in observation.track_ids.tolist()], np.int64)
        rows = np.flatnonzero(ids >= 0)
        rows = rows[self._map.landmarks.alive[ids[rows]]]
        _, first = np.unique(ids[rows], return_index=True)
        rows = rows[np.sort(first)]
        return rows, ids[rows]

    def _near(self) -> Ids:
        return self._local_ids[self._map.landmarks.alive[self._local_ids]]

    def _pairs(self, rows: NDArray[np.intp], ids: Ids) -> Correspondences:
        landmarks = self._map.landmarks
        return Correspondences(rows, landmarks.positions_xyz[ids], landmarks.covariances[ids])
