# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Descriptor matching of two images."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from aliked_ros.errors import ShapeError
from aliked_ros.features import Features, Float32Array, Matches

Neighbours = tuple[NDArray[np.intp], Float32Array, NDArray[np.intp]]
_logger = logging.getLogger(__name__)
MATCHER_NAME = "mutual_nearest_neighbours"


def mutual_nearest_neighbours(
    features: Features, reference: Features, min_similarity: float = 0.9, threads: int = 1
) -> Matches:
    """Pairs of features that are each other's nearest by cosine, and at least ``min_similarity`` alike.

    Args:
        features: of the image; ``indices`` of the result are its rows. Where the engine has found its neighbours in
            the reference already, these count.
        reference: of the image it is matched to; ``indices_ref`` are its rows.
        min_similarity: lowest cosine of a pair.
        threads: that share the search; 0 for as many as this process has processors. The result is the same.

    Returns:
        One-to-one matches in the order of the image's features.

    Raises:
        ShapeError: the descriptors have different dimensions.
    """
    known = features.mutual
    if known is not None and known.reference is reference.descriptors:
        rows = np.flatnonzero((known.partners >= 0) & (known.similarities >= min_similarity))
        columns, similarities = known.partners[rows].astype(np.intp), known.similarities[rows]
    else:
        a, b = features.descriptors, reference.descriptors
        rows, columns, similarities = mutual_pairs(a, b, min_similarity, threads)
    return matches_of_rows(features, reference, rows, columns, similarities, MATCHER_NAME)


def matches_of_rows(
    features: Features,
    reference: Features,
    rows: NDArray[np.intp],
    rows_ref: NDArray[np.intp],
    similarities: Float32Array,
    matcher: str,
) -> Matches:
    """Matches of rows of an image's features to rows of a reference's."""
    return Matches(
        indices=rows.astype(np.uint32),
        indices_ref=rows_ref.astype(np.uint32),
        xy=features.keypoints_xy[rows],
        xy_ref=reference.keypoints_xy[rows_ref],
        similarities=similarities,
        matcher=matcher,
    )


def mutual_pairs(
    a: Float32Array, b: Float32Array, min_similarity: float, threads: int = 1
) -> tuple[NDArray[np.intp], NDArray[np.intp], Float32Array]:
    """Row pairs of two descriptor arrays, (N, D) and (K, D), and their cosines; see above."""
    if a.shape[1] != b.shape[1]:
        raise ShapeError(
            f"descriptors of dimension {a.shape[1]} cannot be matched to those of dimension {b.shape[1]}; "
            "extract both images with one model"
        )
    if len(a) == 0 or len(b) == 0:
        nothing = np.empty(0, np.intp)
        return nothing, nothing, np.empty(0, np.float32)
    nearest, best, nearest_of_b = _neighbour_search()(a, b, threads, min_similarity)
    rows = np.arange(len(a))
    mutual = (nearest_of_b[nearest] == rows) & (best >= min_similarity)  # -1 takes the last row, but is not alike
    return rows[mutual], nearest[mutual], best[mutual]


def nearest_neighbours_by_numpy(
    a: Float32Array,
    b: Float32Array,
    threads: int = 1,  # noqa: ARG001  BLAS decides
    min_similarity: float = -1.0,  # noqa: ARG001  the caller looks at what counts
) -> Neighbours:
    """For each row of a (N, D) its nearest row of b (K, D), their cosine, and the nearest row of a for each of b."""
    similarity = a @ b.T  # (N, K)
    nearest = similarity.argmax(1)
    return nearest, similarity[np.arange(len(a)), nearest], similarity.argmax(0)


@lru_cache(maxsize=1)
def _neighbour_search() -> Callable[[Float32Array, Float32Array, int, float], Neighbours]:
    """The compiled search where the library is there, NumPy's otherwise."""
    # Found on first use: the compiled operators' package imports torch.
    from aliked_ops import cpu_engine

    try:
        cpu_engine.library()
    except cpu_engine.CpuEngineError as error:
        _logger.info("NumPy searches the nearest neighbours: %s", error)
        return nearest_neighbours_by_numpy
    return _compiled_search


def _compiled_search(a: Float32Array, b: Float32Array, threads: int, min_similarity: float) -> Neighbours:
    from aliked_ops import cpu_engine

    nearest, best, nearest_of_b = cpu_engine.nearest_neighbours(a, b, threads, min_similarity)
    return nearest.astype(np.intp), best, nearest_of_b.astype(np.intp)
