# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Persistent identities for features: matches from frame to frame become tracks that survive short gaps."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aliked_ros.features import Features, Float32Array, Matches, Tracks
from aliked_ros.frontend.config import TrackingConfig
from aliked_ros.frontend.matching import mutual_pairs

Rows = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class _TrackTable:
    """Tracks at their last observation, one row each."""

    ids: NDArray[np.int64]  # (T,)
    ages: NDArray[np.uint32]  # (T,) images in which the track was observed
    gaps: NDArray[np.uint32]  # (T,) images since then
    follows: NDArray[np.uint32]  # (T,) images at the end in which it was followed, not detected
    stamps_ns: NDArray[np.int64]  # (T,)
    xy: Float32Array  # (T, 2) pixels
    xy_norm: Float32Array  # (T, 2) on the z = 1 plane, NaN without a calibration and where there is none
    keyframe_xy: Float32Array  # (T, 2) pixels at the last keyframe hint, NaN for younger tracks

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> _TrackTable:
        return _TrackTable(*(getattr(self, field.name)[rows] for field in dataclasses.fields(self)))

    def joined(self, other: _TrackTable) -> _TrackTable:
        pairs = ((getattr(self, field.name), getattr(other, field.name)) for field in dataclasses.fields(self))
        return _TrackTable(*(np.concatenate(pair) for pair in pairs))


@dataclass(frozen=True, eq=False)
class Undetected:
    """Tracks that the previous image observed and this one does not."""

    rows: Rows  # (M,) among the previous image's features, ascending
    ids: NDArray[np.int64]  # (M,)
    ages: NDArray[np.uint32]  # (M,)
    xy: Float32Array  # (M, 2) pixels in the previous image
    descriptors: Float32Array  # (M, D) of the last detection

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: Rows) -> Undetected:
        """Some of them."""
        return Undetected(*(getattr(self, field.name)[rows] for field in dataclasses.fields(self)))


def _empty_table() -> _TrackTable:
    return _TrackTable(
        ids=np.empty(0, np.int64),
        ages=np.empty(0, np.uint32),
        gaps=np.empty(0, np.uint32),
        follows=np.empty(0, np.uint32),
        stamps_ns=np.empty(0, np.int64),
        xy=np.empty((0, 2), np.float32),
        xy_norm=np.empty((0, 2), np.float32),
        keyframe_xy=np.empty((0, 2), np.float32),
    )


class FeatureTracker:
    """Gives every feature the identity of the track it continues, or a new one.

    A track continues along the matches to the previous frame; an unseen one is resumed when a feature without a
    match is its mutual nearest neighbour, close enough in descriptor and in position. Ids count from 0 and are
    never used again.
    """

    def __init__(self, config: TrackingConfig) -> None:
        self.config = config
        self._next_id = 0
        # Tracks that the previous frame observed, in the order of its features, and those that may be resumed. Their
        # descriptors lie beside them: they are most of the memory, and few are looked at.
        self._seen, self._unseen = _empty_table(), _empty_table()
        self._seen_descriptors: Float32Array = np.empty((0, 0), np.float32)  # (T, D)
        self._unseen_descriptors: Float32Array = np.empty((0, 0), np.float32)
        self._keyframe_size = 0

    def associate(self, features: Features, matches: Matches | None) -> Rows:
        """For each feature of the next frame the row of the track it continues, (N,), or -1; for :meth:`update`."""
        source = self._continued(len(features), matches)
        self._resume(source, features)
        return source

    @property
    def num_seen(self) -> int:
        """Tracks that the previous image observed, as many as it had features; rows below it are theirs."""
        return len(self._seen)

    @property
    def seen_xy(self) -> Float32Array:
        """Where the previous image observed its tracks, (T, 2) pixels."""
        return self._seen.xy

    def undetected(self, source: Rows) -> Undetected:
        """The tracks of the previous image that no feature continues and that may be followed still."""
        missing = self._seen.follows < self.config.max_followed
        missing[source[(source >= 0) & (source < len(self._seen))]] = False
        rows, seen = np.flatnonzero(missing), self._seen
        return Undetected(rows, seen.ids[rows], seen.ages[rows], seen.xy[rows], self._seen_descriptors[rows])

    def ids_of(self, source: Rows) -> NDArray[np.int64]:
        """The ids of the tracks that features continue, (N,), from :meth:`associate`; -1 for none."""
        # The last entry answers for row -1.
        return np.concatenate([self._seen.ids, self._unseen.ids, [-1]])[source]

    def update(
        self,
        features: Features,
        matches: Matches | None,
        stamp_ns: int,
        xy_norm: Float32Array | None,
        source: Rows | None = None,
    ) -> Tracks:
        """The tracks of the next frame.

        Args:
            features: of the frame, N of them.
            matches: to the previous frame's features; where they were verified, only inliers carry a track on.
            stamp_ns: of the frame.
            xy_norm: the features' undistorted coordinates (N, 2), where the camera is calibrated.
            source: what :meth:`associate` said of these features, where it was asked already.
        """
        alive = self._seen.joined(self._unseen)
        if len(alive) == 0:
            self._seen_descriptors = self._unseen_descriptors = np.empty((0, features.descriptors.shape[1]), np.float32)
        if source is None:
            source = self.associate(features, matches)
        current = self._observe(features, source, alive, stamp_ns, xy_norm)
        velocity = None if xy_norm is None else _velocity(current, source, alive)
        lost_ids = self._retire(alive, source)
        parallax, is_keyframe = self._judge_keyframe(current)
        if is_keyframe:
            current = dataclasses.replace(current, keyframe_xy=current.xy)
            self._keyframe_size = len(current)
        self._seen, self._seen_descriptors = current, features.descriptors
        order = np.argsort(current.ages, kind="stable")[::-1]
        return Tracks(
            ids=current.ids[order],
            ages=current.ages[order],
            feature_indices=order.astype(np.uint32),
            xy=current.xy[order],
            scores=features.scores[order],
            lost_ids=lost_ids,
            median_parallax_px=parallax,
            keyframe_hint=is_keyframe,
            xy_norm=None if xy_norm is None else xy_norm[order],
            velocity=None if velocity is None else velocity[order],
            sigma_px=None if features.sigma_px is None else features.sigma_px[order],
        )

    def forget_calibration(self) -> None:
        """Lets no velocity be computed from coordinates of two calibrations."""
        self._seen, self._unseen = (
            dataclasses.replace(table, xy_norm=np.full_like(table.xy_norm, np.nan))
            for table in (self._seen, self._unseen)
        )

    def _continued(self, num_features: int, matches: Matches | None) -> Rows:
        """For each feature the row of the seen track it continues, or -1."""
        source = np.full(num_features, -1, np.intp)
        if matches is not None:
            kept = slice(None) if matches.inliers is None else matches.inliers
            source[matches.indices[kept]] = matches.indices_ref[kept]
        return source

    def _resume(self, source: Rows, features: Features) -> None:
        """Lets features without a track continue one that is unseen, by descriptor and distance.

        A track that the previous frame saw is no candidate: it had its chance in the match.
        """
        free, unseen = np.flatnonzero(source < 0), self._unseen
        if self.config.max_gap == 0 or len(free) == 0 or len(unseen) == 0:
            return
        rows, candidates, _ = mutual_pairs(
            features.descriptors[free], self._unseen_descriptors, self.config.gap_min_similarity
        )
        moved = np.linalg.norm(features.keypoints_xy[free[rows]] - unseen.xy[candidates], axis=1)
        near = moved <= self.config.gap_max_distance_px * (unseen.gaps[candidates] + 1)
        source[free[rows[near]]] = len(self._seen) + candidates[near]

    def _observe(
        self,
        features: Features,
        source: Rows,
        alive: _TrackTable,
        stamp_ns: int,
        xy_norm: Float32Array | None,
    ) -> _TrackTable:
        """The table of this frame's tracks, one for each feature and in their order."""
        count = len(features)
        old = source >= 0
        ids = np.empty(count, np.int64)
        ids[old] = alive.ids[source[old]]
        num_new = count - int(old.sum())
        ids[~old] = np.arange(self._next_id, self._next_id + num_new)
        self._next_id += num_new
        ages = np.ones(count, np.uint32)
        ages[old] += alive.ages[source[old]]
        keyframe_xy = np.full((count, 2), np.nan, np.float32)
        keyframe_xy[old] = alive.keyframe_xy[source[old]]
        follows = np.zeros(count, np.uint32)
        followed = old & (features.scores <= 0)
        follows[followed] = alive.follows[source[followed]] + 1
        return _TrackTable(
            ids=ids,
            ages=ages,
            gaps=np.zeros(count, np.uint32),
            follows=follows,
            stamps_ns=np.full(count, stamp_ns, np.int64),
            xy=features.keypoints_xy,
            xy_norm=np.full((count, 2), np.nan, np.float32) if xy_norm is None else xy_norm,
            keyframe_xy=keyframe_xy,
        )

    def _retire(self, alive: _TrackTable, source: Rows) -> NDArray[np.int64]:
        """Remembers the tracks that were not observed and returns the ids of those given up."""
        missing = np.ones(len(alive), np.bool_)
        missing[source[source >= 0]] = False
        lost = missing & (alive.gaps >= self.config.max_gap)
        kept, num_seen = np.flatnonzero(missing & ~lost), len(self._seen)
        before, after = kept[kept < num_seen], kept[kept >= num_seen] - num_seen
        descriptors = self._seen_descriptors[before], self._unseen_descriptors[after]
        self._unseen_descriptors = np.concatenate(descriptors)
        unseen = alive.take(kept)
        self._unseen = dataclasses.replace(unseen, gaps=unseen.gaps + np.uint32(1))
        return alive.ids[lost]

    def _judge_keyframe(self, current: _TrackTable) -> tuple[float, bool]:
        """The median parallax since the last keyframe hint, NaN without a common track, and whether to hint now."""
        displacement = np.hypot(*(current.xy - current.keyframe_xy).T)
        known = displacement[np.isfinite(displacement)]
        parallax = _median(known)
        survival = len(known) / self._keyframe_size if self._keyframe_size else 0.0
        hint = len(current) > 0 and (
            parallax >= self.config.keyframe_min_parallax_px or survival < self.config.keyframe_min_survival
        )
        return parallax, bool(hint)


def _median(values: Float32Array) -> float:
    """NaN of none. NumPy's own takes longer for hundreds of values than all else that is done with them."""
    if len(values) == 0:
        return float("nan")
    middle = len(values) // 2
    lower = middle if len(values) % 2 else middle - 1
    parts = np.partition(values, (lower, middle))
    return float(parts[lower] + parts[middle]) / 2


def _velocity(current: _TrackTable, source: Rows, alive: _TrackTable) -> Float32Array:
    """Velocity of xy_norm (T, 2) in 1/s since each track's last observation, NaN where there is none."""
    velocity = np.full((len(current), 2), np.nan, np.float32)
    rows = np.flatnonzero(source >= 0)
    before = source[rows]
    elapsed_s = (current.stamps_ns[rows] - alive.stamps_ns[before]) * 1e-9
    timed = elapsed_s > 0
    rows, before, elapsed_s = rows[timed], before[timed], elapsed_s[timed]
    velocity[rows] = (current.xy_norm[rows] - alive.xy_norm[before]) / elapsed_s[:, None]
    return velocity
