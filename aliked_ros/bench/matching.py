# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Mutual nearest neighbours beside NumPy's product followed by two arg-max passes."""

from __future__ import annotations

import contextlib
import importlib.util
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from aliked_ros.bench.timing import Run, Samples, interleave
from aliked_ros.frontend.matching import mutual_pairs, nearest_neighbours_by_numpy

NUM_DESCRIPTORS, DIM = 1000, 128
OURS, NUMPY = "mutual_nearest_neighbours", "NumPy product and two arg-max"
_SEED = 3
_CALLS = 5  # a turn has several, because one takes a millisecond


def compare(rounds: int, threads: int) -> dict[str, Samples]:
    """Times of one matching of 1000 descriptors to 1000 of dimension 128, of which each is in the other image too."""
    rng = np.random.default_rng(_SEED)
    a = rng.standard_normal((NUM_DESCRIPTORS, DIM)).astype(np.float32)
    b = a[rng.permutation(NUM_DESCRIPTORS)] + rng.normal(0, 0.3, a.shape).astype(np.float32)
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))

    def ours(_: Any) -> int:
        return [len(mutual_pairs(a, b, -1.0, threads)[0]) for _ in range(_CALLS)][-1]

    def by_numpy(_: Any) -> int:
        counts = []
        for _ in range(_CALLS):
            nearest, _, nearest_of_b = nearest_neighbours_by_numpy(a, b)
            counts.append(int((nearest_of_b[nearest] == np.arange(len(a))).sum()))
        return counts[-1]

    with blas_threads(threads):
        nothing = [np.zeros((1, 1), np.uint8)]
        samples = interleave([Run(ours, nothing), Run(by_numpy, nothing)], rounds)
    return {
        name: Samples([t / _CALLS for t in one.times_ms], [t / _CALLS for t in one.cpu_ms], one.num_features)
        for name, one in zip((OURS, NUMPY), samples, strict=True)
    }


def can_pin_blas() -> bool:
    """Whether NumPy's threads can be pinned; without threadpoolctl it uses as many as it likes."""
    return importlib.util.find_spec("threadpoolctl") is not None


def blas_threads(threads: int) -> AbstractContextManager[Any]:
    """Pins the threads of NumPy's matrix products where that is possible."""
    if not can_pin_blas():
        return contextlib.nullcontext()
    import threadpoolctl

    limits: AbstractContextManager[Any] = threadpoolctl.threadpool_limits(threads, user_api="blas")
    return limits
