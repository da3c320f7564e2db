# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Sub-pixel positions of tracked points: each observation is moved to where the track's anchor patch is found.

The anchor is the patch around a track's first observation. Aligning every later image with it, not with the image
before, keeps errors from adding up along the track. The affine warp follows the track: it is predicted by the common
motion of all points and corrected by each alignment. When the view has changed too much for the patch, a new anchor is
cut at the *refined* position, and its error counts in every later one. A track never gets a new anchor at a detected
position, which would move the point it stands for.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aliked_ros.engine.base import Image
from aliked_ros.features import Features, Float32Array, Matches, Tracks
from aliked_ros.frontend.alignment import STATISTICS, TEMPLATE_PX, Patches, align, cut_patches, smoothed

MIN_CORRELATION = 0.8  # of an accepted alignment
MAX_SIGMA_PX = 0.5  # of an accepted alignment; a detection is as good
ANCHOR_MIN_CORRELATION = 0.9  # below, the view has changed and a new anchor is cut
ANCHOR_MAX_SCALE = 1.5  # so does a change of scale by more than this, either way

_UNITY = np.array([1, 0, 0, 1], np.float32)
_SMALLEST = 1e-6
_MIN_POINTS, _ENOUGH_POINTS = 8, 150  # that tell the common motion
_SMALLEST_ERROR_PX = 0.5
# A hundredth of a pixel's worth for unity, so that points on a line tell nothing of what is across it.
_RIDGE = 1e-2 * np.diag([1.0, 1.0, 0.0])
_ROUNDS = 4  # of reweighting
_Rows = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class _Anchors:
    """What is looked for, a row for each track, in the order of their ids."""

    ids: NDArray[np.int64]  # (T,) ascending
    places: NDArray[np.int32]  # (T,) rows of the store that holds the patches
    matrices: Float32Array  # (T, 4) affine part by rows, from the patch to the last image
    xy: Float32Array  # (T, 2) pixels at the last observation
    sigma_px: Float32Array  # (T,) error of the anchor itself, 0 for a first observation

    def find(self, ids: NDArray[np.int64]) -> _Rows:
        """The row of each id, -1 where there is none."""
        rows = np.searchsorted(self.ids, ids)
        rows[rows == len(self.ids)] = 0
        found = self.ids[rows] == ids if len(self.ids) else np.zeros(len(ids), np.bool_)
        return np.where(found, rows, -1)


def _no_anchors() -> _Anchors:
    return _Anchors(
        ids=np.empty(0, np.int64),
        places=np.empty(0, np.int32),
        matrices=np.empty((0, 4), np.float32),
        xy=np.empty((0, 2), np.float32),
        sigma_px=np.empty(0, np.float32),
    )


class _PatchStore:
    """Patches that stay where they are: they are most of the memory, and few change from image to image."""

    def __init__(self) -> None:
        self.patches = _no_patches(0)
        self._free: NDArray[np.int32] = np.empty(0, np.int32)

    def add(self, patches: Patches) -> NDArray[np.int32]:
        """Keeps patches and returns their places, (N,)."""
        missing = len(patches) - len(self._free)
        if missing > 0:
            size = len(self.patches)
            grown = max(missing, size)
            more = _no_patches(grown)
            self.patches = Patches(
                np.concatenate([self.patches.pixels, more.pixels]),
                np.concatenate([self.patches.statistics, more.statistics]),
            )
            self._free = np.concatenate([self._free, np.arange(size, size + grown, dtype=np.int32)])
        places, self._free = self._free[: len(patches)], self._free[len(patches) :]
        self.put(places, patches)
        return places

    def put(self, places: NDArray[np.int32], patches: Patches) -> None:
        """Replaces the patches at some places (N,)."""
        self.patches.pixels[places], self.patches.statistics[places] = patches.pixels, patches.statistics

    def release(self, places: NDArray[np.int32]) -> None:
        """Lets others have these places."""
        self._free = np.concatenate([self._free, places])


def _no_patches(count: int) -> Patches:
    return Patches(np.full((count, TEMPLATE_PX, TEMPLATE_PX), np.nan, np.float32), np.full((count, STATISTICS), np.nan))


class PointRefiner:
    """Refines the observations of tracks from image to image.

    :meth:`refine` and :meth:`remember` are called once for every image, in this order; :meth:`follow` between them.

    Args:
        max_shift_px: farthest a point may be moved; beyond, the detection stays.
        threads: that share the points; 0 for as many as this process has processors. The result is the same.
    """

    def __init__(self, max_shift_px: float, threads: int = 0) -> None:
        self.max_shift_px, self.threads = max_shift_px, threads
        self._anchors, self._store = _no_anchors(), _PatchStore()
        self._smoothed: Float32Array = np.empty((0, 0), np.float32)

    def refine(self, image: Image, features: Features, track_ids: NDArray[np.int64]) -> Features:
        """The features with the positions of tracked ones refined and ``sigma_px`` filled in.

        ``sigma_px`` is the estimated 1-sigma error, along each axis of the image, of a position relative to the
        point that the track's first observation marked. It is NaN where the detection stays: for a first
        observation, which is exact by definition, and where the anchor was not found.

        Args:
            image: that the features are of.
            features: as detected, N of them.
            track_ids: the track that each continues, (N,); -1 for none.
        """
        self._smoothed = smoothed(image)
        rows = self._anchors.find(track_ids)
        tracked = np.flatnonzero((rows >= 0) & (track_ids >= 0))
        if len(tracked) == 0:
            return features
        rows, detected = rows[tracked], features.keypoints_xy[tracked]
        motion = common_motion(self._anchors.xy[rows], detected)
        self._anchors = dataclasses.replace(self._anchors, matrices=_moved_matrices(self._anchors.matrices, motion))
        accepted, xy, sigma_px = self._find(rows, detected)
        return _moved(features, tracked[accepted], xy, sigma_px)

    def follow(
        self, track_ids: NDArray[np.int64], expected_xy: Float32Array
    ) -> tuple[_Rows, Float32Array, Float32Array]:
        """Looks for tracks that no feature of the image continues.

        Args:
            track_ids: of N tracks.
            expected_xy: where they are looked for, (N, 2) pixels.

        Returns:
            Which of them were found (F,), where (F, 2) pixels, and ``sigma_px`` (F,).
        """
        rows = self._anchors.find(track_ids)
        known = np.flatnonzero(rows >= 0)
        accepted, xy, sigma_px = self._find(rows[known], expected_xy[known])
        return known[accepted], xy, sigma_px

    def _find(self, rows: _Rows, begin_xy: Float32Array) -> tuple[_Rows, Float32Array, Float32Array]:
        """Aligns anchors (N,) from points (N, 2): which were found (F,), where (F, 2), with what error (F,)."""
        anchors = self._anchors
        warps = np.concatenate([begin_xy, anchors.matrices[rows]], 1)
        found = align(self._smoothed, self._store.patches, anchors.places[rows], warps, self.threads)
        shift = found.warps[:, :2] - begin_xy
        # NaN, where nothing was found, fails every comparison.
        good = (found.correlations >= MIN_CORRELATION) & (found.sigma_px <= MAX_SIGMA_PX)
        good &= shift[:, 0] ** 2 + shift[:, 1] ** 2 <= self.max_shift_px**2
        accepted = np.flatnonzero(good)
        xy, rows = found.warps[accepted, :2], rows[accepted]
        sigma_px = np.hypot(found.sigma_px[accepted], anchors.sigma_px[rows])
        anchors.matrices[rows] = found.warps[accepted, 2:]
        self._renew(rows, xy, sigma_px, found.correlations[accepted])
        return accepted, xy, sigma_px

    def remember(self, tracks: Tracks) -> None:
        """Cuts anchors for tracks that have none, and forgets the lost ones."""
        rows = self._anchors.find(tracks.ids)
        xy = self._anchors.xy.copy()
        xy[rows[rows >= 0]] = tracks.xy[rows >= 0]
        new = rows < 0
        added = _Anchors(
            ids=tracks.ids[new],
            places=self._store.add(cut_patches(self._smoothed, tracks.xy[new])),
            matrices=np.tile(_UNITY, (int(new.sum()), 1)),
            xy=tracks.xy[new],
            sigma_px=np.zeros(int(new.sum()), np.float32),
        )
        lost = self._anchors.find(tracks.lost_ids)
        kept = np.ones(len(self._anchors.ids), np.bool_)
        kept[lost[lost >= 0]] = False
        self._store.release(self._anchors.places[~kept])
        known = dataclasses.replace(self._anchors, xy=xy)
        columns = {
            field.name: np.concatenate([getattr(known, field.name)[kept], getattr(added, field.name)])
            for field in dataclasses.fields(_Anchors)
        }
        order = np.argsort(columns["ids"])
        self._anchors = _Anchors(**{name: values[order] for name, values in columns.items()})

    def _renew(self, rows: _Rows, xy: Float32Array, sigma_px: Float32Array, correlations: Float32Array) -> None:
        """Cuts new anchors where the view has changed, at positions just refined."""
        a, b, c, d = self._anchors.matrices[rows].T
        scales = np.sqrt(np.abs(a * d - b * c)) + _SMALLEST
        changed = (correlations < ANCHOR_MIN_CORRELATION) | (np.abs(np.log(scales)) > np.log(ANCHOR_MAX_SCALE))
        patches = cut_patches(self._smoothed, xy[changed])
        whole = np.isfinite(patches.pixels).all((1, 2))
        changed = np.flatnonzero(changed)[whole]
        places = self._anchors.places[rows[changed]]
        self._store.put(places, Patches(patches.pixels[whole], patches.statistics[whole]))
        self._anchors.matrices[rows[changed]] = _UNITY
        self._anchors.sigma_px[rows[changed]] = sigma_px[changed]


def with_refined_points(matches: Matches, features: Features) -> Matches:
    """Matches of the same rows with the features' positions."""
    return dataclasses.replace(matches, xy=features.keypoints_xy[matches.indices])


def common_motion(before: Float32Array, after: Float32Array) -> NDArray[np.float64]:
    """The linear part (2, 2) of the affine motion that most of the points (N, 2) share; unity for few points.

    Least squares, reweighted by Geman and McClure's function of the residual over its median.
    """
    if len(before) < _MIN_POINTS:
        return np.eye(2)
    some = slice(None, None, -(-len(before) // _ENOUGH_POINTS))
    before, after = before[some], after[some]
    centre = before.mean(0)
    rows = np.column_stack([before - centre, np.ones(len(before))]).astype(np.float64)
    weights: NDArray[np.float64] = np.ones(len(before))
    for _ in range(_ROUNDS):
        weighted = rows.T * weights
        motion = np.linalg.solve(weighted @ rows + _RIDGE, weighted @ after + _RIDGE[:, :2])
        residuals = rows @ motion - after
        squares = residuals[:, 0] ** 2 + residuals[:, 1] ** 2
        middle = float(np.partition(squares, len(squares) // 2)[len(squares) // 2])
        weights = np.asarray(1.0 / (1.0 + squares / max(middle, _SMALLEST_ERROR_PX**2)) ** 2, np.float64)
    return np.asarray(motion[:2].T, np.float64)


def _moved_matrices(matrices: Float32Array, motion: NDArray[np.float64]) -> Float32Array:
    """Motion (2, 2) times each matrix of (T, 4), as one product of matrices."""
    product = np.zeros((2, 2, 2, 2), np.float32)
    product[:, 0, :, 0] = product[:, 1, :, 1] = motion.T
    return np.asarray(matrices @ product.reshape(4, 4), np.float32)


def _moved(features: Features, rows: _Rows, xy: Float32Array, sigma_px: Float32Array) -> Features:
    keypoints_xy = features.keypoints_xy.copy()
    sigmas_px = np.full(len(features), np.nan, np.float32)
    keypoints_xy[rows], sigmas_px[rows] = xy, sigma_px
    return dataclasses.replace(features, keypoints_xy=keypoints_xy, sigma_px=sigmas_px)
