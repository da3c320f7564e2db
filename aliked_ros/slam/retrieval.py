# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Which keyframes look like this one: local descriptors aggregated to one vector per image (VLAD, Jégou et al. 2010).

The visual words are learnt from the first keyframes, with a fixed seed; nothing is trained elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aliked_ros.features import Float32Array
from aliked_ros.slam.config import PlaceConfig

_SEED = 0
_LEARN_FROM = 8  # keyframes
_SAMPLE = 6000  # descriptors
_ROUNDS = 8


class PlaceIndex:
    """Keyframes by what they look like."""

    def __init__(self, config: PlaceConfig) -> None:
        self._config = config
        self._words: Float32Array | None = None  # (V, D)
        self._waiting: list[Float32Array] = []  # descriptors of keyframes before there were words
        self._vectors: list[Float32Array] = []  # (V * D,) per keyframe, unit length

    def __len__(self) -> int:
        return len(self._vectors) + len(self._waiting)

    def add(self, descriptors: Float32Array) -> None:
        """The next keyframe."""
        if self._words is not None:
            self._vectors.append(self._aggregate(descriptors))
            return
        self._waiting.append(descriptors)
        if len(self._waiting) >= _LEARN_FROM:
            self._learn()

    def most_alike(self, descriptors: Float32Array, excluded: Sequence[int] = ()) -> list[int]:
        """The keyframes that look most like an image with these descriptors, best first, as many as configured."""
        if len(self) == 0 or len(descriptors) == 0:
            return []
        if self._words is None:
            # So few that each may be compared in detail; the newest are the likeliest.
            newest = [id_ for id_ in range(len(self) - 1, -1, -1) if id_ not in set(excluded)]
            return newest[: self._config.candidates]
        similarity = np.stack(self._vectors) @ self._aggregate(descriptors)
        similarity[[id_ for id_ in excluded if id_ < len(self)]] = -np.inf
        order = np.argsort(-similarity, kind="stable")[: self._config.candidates]
        return [int(id_) for id_ in order if np.isfinite(similarity[id_])]

    def _learn(self) -> None:
        pool = np.concatenate([d for d in self._waiting if len(d)] or [np.empty((0, 1), np.float32)])
        if len(pool) < self._config.vocabulary:
            return
        rng = np.random.default_rng(_SEED)
        pool = pool[rng.permutation(len(pool))[:_SAMPLE]]
        words = pool[: self._config.vocabulary].copy()
        for _ in range(_ROUNDS):  # spherical k-means
            nearest = (pool @ words.T).argmax(1)
            for word in range(len(words)):
                total = pool[nearest == word].sum(0)
                length = float(np.linalg.norm(total))
                if length > 0:
                    words[word] = total / length
        self._words = words
        self._vectors = [self._aggregate(descriptors) for descriptors in self._waiting]
        self._waiting = []

    def _aggregate(self, descriptors: Float32Array) -> Float32Array:
        assert self._words is not None
        nearest = (descriptors @ self._words.T).argmax(1)
        of_word = (nearest == np.arange(len(self._words))[:, None]).astype(np.float32)  # (V, N)
        vector = of_word @ descriptors - of_word.sum(1, keepdims=True) * self._words
        # Each word counts alike, however many features fall to it (intra-normalisation, Arandjelović 2013).
        vector /= np.maximum(np.linalg.norm(vector, axis=1, keepdims=True), 1e-12)
        flat = vector.ravel()
        return np.asarray(flat / max(float(np.linalg.norm(flat)), 1e-12), np.float32)
