# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The data that flows through the whole package: features of an image, matches of two, tracks over many.

Pixel coordinates are (x, y) with (0, 0) at the centre of the top-left pixel. Per-feature arrays have one row per
feature; an optional array that was not measured is ``None``, never filled with a constant.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aliked_ros.errors import ShapeError

Float32Array = NDArray[np.float32]


def _require(name: str, array: Any, dtype: Any, shape: tuple[int | None, ...]) -> None:
    """Raises ShapeError unless the array has this dtype and shape; ``None`` in the shape allows any extent."""
    if not isinstance(array, np.ndarray) or array.dtype != np.dtype(dtype):
        found = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise ShapeError(f"{name} must be an array of {np.dtype(dtype)}, got {found}")
    if array.ndim != len(shape) or any(
        want is not None and want != have for want, have in zip(shape, array.shape, strict=True)
    ):
        wanted = "(" + ", ".join("any" if extent is None else str(extent) for extent in shape) + ")"
        raise ShapeError(f"{name} must have shape {wanted}, got {array.shape}")


@dataclass(frozen=True, eq=False)
class MutualNeighbours:
    """Of each of an image's features the one of an earlier image such that both are each other's nearest."""

    reference: Float32Array  # (K, D) the earlier image's descriptors, the very array of its Features
    partners: NDArray[np.int32]  # (N,) rows of the earlier image's Features, -1 for none
    similarities: Float32Array  # (N,) cosine of the descriptors, 0 for none

    def __post_init__(self) -> None:
        _require("partners", self.partners, np.int32, (None,))
        _require("similarities", self.similarities, np.float32, (len(self.partners),))


@dataclass(frozen=True, eq=False)
class Features:
    """Local features of one image, strongest first."""

    keypoints_xy: Float32Array  # (N, 2) pixels; the centre of the top-left pixel is (0, 0)
    scores: Float32Array  # (N,) in (0, 1), descending; 0 where the point was followed and not detected
    descriptors: Float32Array  # (N, D) unit length
    image_width: int
    image_height: int
    dispersity: Float32Array | None = None  # (N,) spread of the score peak, DKD (ALIKE, arXiv 2112.02906)
    sigma_px: Float32Array | None = None  # (N,) 1-sigma error along an axis, pixels; NaN where unknown
    mutual: MutualNeighbours | None = None  # in an earlier image, where the engine has matched already

    def __post_init__(self) -> None:
        count = len(self.scores)
        _require("scores", self.scores, np.float32, (None,))
        _require("keypoints_xy", self.keypoints_xy, np.float32, (count, 2))
        _require("descriptors", self.descriptors, np.float32, (count, None))
        for name in ("dispersity", "sigma_px"):
            if getattr(self, name) is not None:
                _require(name, getattr(self, name), np.float32, (count,))
        if self.mutual is not None:
            _require("mutual.partners", self.mutual.partners, np.int32, (count,))

    def __len__(self) -> int:
        return len(self.scores)


class ModelType(enum.IntEnum):
    """The two-view model that matches were verified with; the values are those of Matches.msg."""

    NONE = 0
    FUNDAMENTAL = 1
    ESSENTIAL = 2
    HOMOGRAPHY = 3


@dataclass(frozen=True, eq=False)
class TwoViewModel:
    """A two-view model that maps or constrains reference points against current points.

    FUNDAMENTAL and ESSENTIAL satisfy ``x_current^T @ matrix @ x_reference = 0`` (pixels, or normalised
    coordinates for ESSENTIAL); HOMOGRAPHY maps reference pixels to current pixels.
    """

    type: ModelType
    matrix: NDArray[np.float64]  # (3, 3)

    def __post_init__(self) -> None:
        _require("matrix", self.matrix, np.float64, (3, 3))


@dataclass(frozen=True, eq=False)
class Matches:
    """One-to-one matches of an image's features to those of a reference image."""

    indices: NDArray[np.uint32]  # (M,) rows of the image's Features
    indices_ref: NDArray[np.uint32]  # (M,) rows of the reference's Features
    xy: Float32Array  # (M, 2) pixels in the image
    xy_ref: Float32Array  # (M, 2) pixels in the reference
    similarities: Float32Array  # (M,) cosine of the descriptors, or the match's probability where lightglue matched
    matcher: str
    inliers: NDArray[np.bool_] | None = None  # (M,) agrees with the model; None where nothing was verified
    model: TwoViewModel | None = None

    def __post_init__(self) -> None:
        count = len(self.indices)
        _require("indices", self.indices, np.uint32, (None,))
        _require("indices_ref", self.indices_ref, np.uint32, (count,))
        _require("xy", self.xy, np.float32, (count, 2))
        _require("xy_ref", self.xy_ref, np.float32, (count, 2))
        _require("similarities", self.similarities, np.float32, (count,))
        if self.inliers is not None:
            _require("inliers", self.inliers, np.bool_, (count,))

    def __len__(self) -> int:
        return len(self.indices)


@dataclass(frozen=True, eq=False)
class Tracks:
    """The features of one image that carry a persistent identity, oldest track first."""

    ids: NDArray[np.int64]  # (T,) unique within an epoch, never reused
    ages: NDArray[np.uint32]  # (T,) images in which the track was observed, this one included
    feature_indices: NDArray[np.uint32]  # (T,) rows of the image's Features
    xy: Float32Array  # (T, 2) pixels
    scores: Float32Array  # (T,)
    lost_ids: NDArray[np.int64]  # tracks given up at this image
    median_parallax_px: float  # median displacement of the tracks since the last keyframe hint
    keyframe_hint: bool
    xy_norm: Float32Array | None = (
        None  # (T, 2) undistorted, on the z = 1 plane, NaN where there is none; None without a calibration
    )
    velocity: Float32Array | None = None  # (T, 2) of xy_norm, 1/s; NaN at a track's first observation
    depth_m: Float32Array | None = None  # (T,) metres along the optical axis, NaN where unknown
    sigma_px: Float32Array | None = None  # (T,) that of the features

    def __post_init__(self) -> None:
        count = len(self.ids)
        _require("ids", self.ids, np.int64, (None,))
        _require("ages", self.ages, np.uint32, (count,))
        _require("feature_indices", self.feature_indices, np.uint32, (count,))
        _require("xy", self.xy, np.float32, (count, 2))
        _require("scores", self.scores, np.float32, (count,))
        _require("lost_ids", self.lost_ids, np.int64, (None,))
        for name, shape in (
            ("xy_norm", (count, 2)),
            ("velocity", (count, 2)),
            ("depth_m", (count,)),
            ("sigma_px", (count,)),
        ):
            if getattr(self, name) is not None:
                _require(name, getattr(self, name), np.float32, shape)

    def __len__(self) -> int:
        return len(self.ids)

    def ids_of_features(self, num_features: int) -> NDArray[np.int64]:
        """The track id of every feature of the image, (N,) int64; -1 where a feature carries none."""
        ids = np.full(num_features, -1, np.int64)
        ids[self.feature_indices] = self.ids
        return ids
