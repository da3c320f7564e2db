# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Which images of a sequence are matched with which, for structure from motion: neighbours, loops, or all."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aliked_ros.camera import Camera
from aliked_ros.features import Features, Float32Array, Matches
from aliked_ros.frontend.config import MatchGraphConfig, VerificationConfig
from aliked_ros.frontend.matching import matches_of_rows, mutual_nearest_neighbours
from aliked_ros.frontend.verification import verify

_NUM_WORDS = 64
_SEED = 0  # the same images give the same candidates
TRACKS_MATCHER = "tracks"


@dataclass(frozen=True, eq=False)
class PairMatches:
    """The matches of two images, by their numbers in the sequence."""

    index: int
    index_ref: int  # the smaller
    matches: Matches


class MatchGraph:
    """Matches the images of a sequence, added in their order.

    Only the images of the window are kept in memory, unless loops or all pairs are asked for.

    Args:
        config: which pairs.
        verification: the geometry that matches must agree with; ``None`` verifies nothing.
        camera: the calibration, for essential matrices.
    """

    def __init__(
        self, config: MatchGraphConfig, verification: VerificationConfig | None = None, camera: Camera | None = None
    ) -> None:
        self._config = config
        self._verification = verification
        self._camera = camera
        self._features: dict[int, Features] = {}
        self._num_images = 0

    @property
    def finds_loops(self) -> bool:
        """Whether :meth:`loops` yields anything."""
        return self._config.pairs == "loops"

    def add(self, features: Features) -> Iterator[PairMatches]:
        """The next image; yields its matches with those before it."""
        config, index = self._config, self._num_images
        self._num_images += 1
        self._features[index] = features
        first = 0 if config.pairs == "exhaustive" else max(0, index - config.window)
        for index_ref in range(first, index):
            yield self._match(index, index_ref)
        if config.pairs == "sequential":
            self._features.pop(index - config.window, None)

    def loops(self) -> Iterator[PairMatches]:
        """After the last image: the matches of images that look alike though they are far apart in time."""
        if self.finds_loops:
            descriptors = [self._features[index].descriptors for index in range(self._num_images)]
            for index, index_ref in loop_pairs(descriptors, self._config.window, self._config.loop_candidates):
                yield self._match(index, index_ref)

    def _match(self, index: int, index_ref: int) -> PairMatches:
        current, reference = self._features[index], self._features[index_ref]
        matches = mutual_nearest_neighbours(current, reference, self._config.min_similarity, self._config.threads)
        if self._verification is not None:
            matches = verify(matches, self._verification, self._camera)
        return PairMatches(index, index_ref, matches)


class TrackGraph:
    """Matches each image with those of the window before it by the tracks that they share; needs no descriptors.

    Args:
        window: images.
        verification: the geometry that matches must agree with; ``None`` verifies nothing.
        camera: the calibration, for essential matrices.
    """

    def __init__(self, window: int, verification: VerificationConfig | None, camera: Camera | None) -> None:
        self._verification = verification
        self._camera = camera
        self._images: deque[tuple[int, Features, NDArray[np.int64]]] = deque(maxlen=window)
        self._num_images = 0

    def add(self, features: Features, track_ids: NDArray[np.int64]) -> Iterator[PairMatches]:
        """The next image and the track of each of its features, -1 for none, within one epoch."""
        index = self._num_images
        self._num_images += 1
        for index_ref, reference, ids_ref in self._images:
            matches = matches_by_tracks(features, track_ids, reference, ids_ref)
            if self._verification is not None:
                matches = verify(matches, self._verification, self._camera)
            yield PairMatches(index, index_ref, matches)
        self._images.append((index, features, track_ids))

    def begin_epoch(self) -> None:
        """Ids mean other tracks from the next image on."""
        self._images.clear()


def matches_by_tracks(
    features: Features, track_ids: NDArray[np.int64], reference: Features, ids_ref: NDArray[np.int64]
) -> Matches:
    """The features of two images that belong to the same tracks; similarities are NaN without descriptors."""
    _, rows, rows_ref = np.intersect1d(track_ids, ids_ref, return_indices=True)
    is_tracked = track_ids[rows] >= 0
    rows, rows_ref = rows[is_tracked], rows_ref[is_tracked]
    similarities = np.full(len(rows), np.nan, np.float32)
    if features.descriptors.shape[1] and reference.descriptors.shape[1]:
        similarities = np.einsum("nd,nd->n", features.descriptors[rows], reference.descriptors[rows_ref])
    return matches_of_rows(features, reference, rows, rows_ref, similarities, TRACKS_MATCHER)


def loop_pairs(descriptors: list[Float32Array], window: int, candidates: int) -> list[tuple[int, int]]:
    """For each image the most alike that are more than a window before or after it; pairs (later, earlier).

    Images are compared by their VLAD (Jegou et al., CVPR 2010) over words that are drawn from the sequence itself.

    Args:
        descriptors: (N, D) of each image in turn.
        window: images that are no candidates.
        candidates: at most so many for each image.
    """
    vectors = _vlad(descriptors)
    similarity = vectors @ vectors.T
    numbers = np.arange(len(vectors))
    near = np.abs(numbers[:, None] - numbers[None, :]) <= window
    similarity[near] = -np.inf
    best = np.argsort(-similarity, axis=1, kind="stable")[:, :candidates]
    pairs = {
        (max(index, int(other)), min(index, int(other)))
        for index, others in enumerate(best)
        for other in others
        if np.isfinite(similarity[index, other]) and len(descriptors[index]) and len(descriptors[other])
    }
    return sorted(pairs)


def _vlad(descriptors: list[Float32Array]) -> NDArray[np.float32]:
    """One unit vector (words · D,) for each image; zero for one without descriptors."""
    stacked = np.concatenate(descriptors) if descriptors else np.empty((0, 0), np.float32)
    rng = np.random.default_rng(_SEED)
    words = stacked[np.sort(rng.permutation(len(stacked))[:_NUM_WORDS])]
    vectors = np.zeros((len(descriptors), *words.shape), np.float32)
    for vector, own in zip(vectors, descriptors, strict=True):
        if len(own):
            nearest = (own @ words.T).argmax(1)
            np.add.at(vector, nearest, own - words[nearest])
            # Each word counts the same, however often it is seen.
            vector /= np.maximum(np.linalg.norm(vector, axis=1, keepdims=True), 1e-12)
    flat = vectors.reshape(len(vectors), words.size)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12), np.float32)
