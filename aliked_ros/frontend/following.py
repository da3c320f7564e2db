# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Tracks whose feature is not detected again are followed by their patch, as Lucas and Kanade's tracker does.

Detectors flicker: one keypoint in ten of an image is not among those of the next, although it can be seen there. Such a
point is expected where its neighbours have moved to, and looked for by the alignment of its track's anchor patch
(:mod:`aliked_ros.frontend.refinement`), so that it does not drift. Where a new detection lies, that one continues the
track; elsewhere the point becomes a feature of its own, with the descriptor of its last detection and a score of 0, and
takes the place of the weakest detection that no track needs.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from aliked_ros.engine.base import Image
from aliked_ros.features import Features, Float32Array, Matches
from aliked_ros.frontend.refinement import PointRefiner, with_refined_points
from aliked_ros.frontend.tracking import FeatureTracker, Rows, Undetected
from aliked_ros.mask import BoolImage

FOLLOWED_SCORE = 0.0  # of a feature that was not detected
_ADOPTION_PX = 2.0  # a detection so near a followed point continues its track
_SAME_POINT_PX = 0.3  # of a point so near another track's, one is enough
_NEIGHBOURS = 8  # whose motion a point is expected to share
_MOST_FOLLOWED = 0.5  # of an image's features
_FEWEST_CONTINUED = 8


@dataclasses.dataclass(frozen=True, eq=False)
class Association:
    """An image's features, what they continue, and their matches to the previous image."""

    features: Features
    source: Rows  # (N,) of FeatureTracker.associate
    matches: Matches | None  # None without a previous image


def associate(
    image: Image,
    features: Features,
    matches: Matches | None,
    tracker: FeatureTracker,
    refiner: PointRefiner | None,
    budget: int,
    wanted: BoolImage | None = None,
) -> Association:
    """What the features of the next image continue; with a refiner at refined positions, and with what was followed.

    Args:
        image: that the features are of.
        features: as detected.
        matches: to the previous image.
        tracker: knows the tracks; its ``update`` is next.
        refiner: knows their anchors; ``None`` leaves positions as detected and follows nothing.
        budget: most features of an image, with those that are followed; 0 follows none.
        wanted: where keypoints are wanted, (H, W); everywhere without.
    """
    source = tracker.associate(features, matches)
    if refiner is None:
        return Association(features, source, matches)
    features = refiner.refine(image, features, tracker.ids_of(source))
    found = Association(features, source, None if matches is None else with_refined_points(matches, features))
    return _follow(found, tracker, refiner, budget, wanted) if budget else found


def _follow(
    found: Association, tracker: FeatureTracker, refiner: PointRefiner, budget: int, wanted: BoolImage | None
) -> Association:
    """Adds what was not detected to what was, at refined positions."""
    missing = tracker.undetected(found.source)
    continued = np.flatnonzero((found.source >= 0) & (found.source < tracker.num_seen))
    if len(missing) == 0 or len(continued) < _FEWEST_CONTINUED:
        return found
    before, after = tracker.seen_xy[found.source[continued]], found.features.keypoints_xy[continued]
    expected = missing.xy + _motion_beside(missing.xy, before, after)
    rows, xy, sigma_px = refiner.follow(missing.ids, expected)
    if len(rows) == 0:
        return found
    tracked_xy = found.features.keypoints_xy[found.source >= 0]
    kept = _squared_distances(xy, tracked_xy).min(1) > _SAME_POINT_PX**2
    if wanted is not None:
        column, row = np.rint(xy).astype(np.intp).T
        kept &= wanted[row, column]
    return _joined(found, missing.take(rows[kept]), xy[kept], sigma_px[kept], budget)


def _joined(
    found: Association, tracks: Undetected, xy: Float32Array, sigma_px: Float32Array, budget: int
) -> Association:
    """The features, with those that continue tracks at their positions (K, 2) among them."""
    free = np.flatnonzero(found.source < 0)
    adopted, adopting = _mutual_nearest(xy, found.features.keypoints_xy[free], _ADOPTION_PX)
    features, source = _moved(found.features, free[adopting], xy[adopted], sigma_px[adopted]), found.source.copy()
    source[free[adopting]] = tracks.rows[adopted]

    free = np.delete(free, adopting)
    room = max(budget - len(features), 0)
    others = np.delete(np.arange(len(tracks)), adopted)
    oldest = np.argsort(-tracks.ages[others].astype(np.int64), kind="stable")
    others = others[oldest[: min(room + len(free), round(_MOST_FOLLOWED * budget))]]
    weakest = free[len(free) - max(len(others) - room, 0) :]

    kept = np.delete(np.arange(len(features)), weakest)
    joined = _with_followed(features, kept, tracks.descriptors[others], xy[others], sigma_px[others])
    source = np.concatenate([source[kept], tracks.rows[others]])
    matches = None if found.matches is None else _with_new(found.matches, kept, joined, source, tracks)
    return Association(joined, source, matches)


def _moved(features: Features, rows: Rows, xy: Float32Array, sigma_px: Float32Array) -> Features:
    """The features with some of them elsewhere; what an engine found of their neighbours is forgotten."""
    keypoints_xy = features.keypoints_xy.copy()
    sigmas_px = np.full(len(features), np.nan, np.float32) if features.sigma_px is None else features.sigma_px.copy()
    keypoints_xy[rows], sigmas_px[rows] = xy, sigma_px
    return dataclasses.replace(features, keypoints_xy=keypoints_xy, sigma_px=sigmas_px, mutual=None)


def _with_followed(
    features: Features, kept: Rows, descriptors: Float32Array, xy: Float32Array, sigma_px: Float32Array
) -> Features:
    """Some of the features, and behind them points that were not detected."""
    assert features.sigma_px is not None
    dispersity, count = features.dispersity, len(xy)
    return Features(
        keypoints_xy=np.concatenate([features.keypoints_xy[kept], xy]),
        scores=np.concatenate([features.scores[kept], np.full(count, FOLLOWED_SCORE, np.float32)]),
        descriptors=np.concatenate([features.descriptors[kept], descriptors]),
        image_width=features.image_width,
        image_height=features.image_height,
        dispersity=None if dispersity is None else np.append(dispersity[kept], np.full(count, np.nan, np.float32)),
        sigma_px=np.concatenate([features.sigma_px[kept], sigma_px]),
    )


def _with_new(matches: Matches, kept: Rows, features: Features, source: Rows, tracks: Undetected) -> Matches:
    """The matches of features that were kept, and those of tracks that were not detected or not matched."""
    indices = np.flatnonzero(np.isin(source, tracks.rows))
    continued = np.searchsorted(tracks.rows, source[indices])
    rows_ref = tracks.rows[continued]
    places = np.searchsorted(kept, matches.indices)
    places[places == len(kept)] = 0
    old = (kept[places] == matches.indices) & ~np.isin(places, indices) & ~np.isin(matches.indices_ref, rows_ref)
    all_indices = np.concatenate([places[old], indices])
    order = np.argsort(all_indices)
    similarities = np.einsum("ij,ij->i", features.descriptors[indices], tracks.descriptors[continued])
    inliers = None
    if matches.inliers is not None:
        inliers = np.concatenate([matches.inliers[old], np.ones(len(indices), np.bool_)])[order]
    return dataclasses.replace(
        matches,
        indices=all_indices[order].astype(np.uint32),
        indices_ref=np.concatenate([matches.indices_ref[old], rows_ref])[order].astype(np.uint32),
        xy=features.keypoints_xy[all_indices[order]],
        xy_ref=np.concatenate([matches.xy_ref[old], tracks.xy[continued]])[order],
        similarities=np.concatenate([matches.similarities[old], similarities.astype(np.float32)])[order],
        inliers=inliers,
    )


def _motion_beside(xy: Float32Array, before: Float32Array, after: Float32Array) -> Float32Array:
    """How far points (N, 2) are expected to have moved: the median of their neighbours among others (M, 2)."""
    count = min(_NEIGHBOURS, len(before))
    # Positive floats are ordered as their bits are. The last ones make room for the column, so that plain numbers are
    # partitioned, which is several times as fast as for indices; distances alike to a hundredth may change places.
    column_bits = (1 << (len(before) - 1).bit_length()) - 1
    keys = _squared_distances(xy, before).view(np.int32) & ~np.int32(column_bits) | np.arange(
        len(before), dtype=np.int32
    )
    nearest = np.partition(keys, count - 1, axis=1)[:, :count] & np.int32(column_bits)
    return np.asarray(np.median((after - before)[nearest], axis=1), np.float32)


def _mutual_nearest(a: Float32Array, b: Float32Array, radius_px: float) -> tuple[Rows, Rows]:
    """Rows of points (N, 2) and (M, 2) that are each other's nearest, no farther apart than this."""
    if len(a) == 0 or len(b) == 0:
        return np.empty(0, np.intp), np.empty(0, np.intp)
    distances = _squared_distances(a, b)
    nearest = distances.argmin(1)
    mutual = distances.argmin(0)[nearest] == np.arange(len(a))
    rows = np.flatnonzero(mutual & (distances.min(1) <= radius_px**2))
    return rows, nearest[rows]


def _squared_distances(a: Float32Array, b: Float32Array) -> NDArray[np.float32]:
    """(N, M) of points (N, 2) and (M, 2)."""
    # In place, for these are the largest arrays here.
    x, y = a[:, 0, None] - np.ascontiguousarray(b[:, 0]), a[:, 1, None] - np.ascontiguousarray(b[:, 1])
    x *= x
    y *= y
    x += y
    return x
