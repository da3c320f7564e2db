# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""How long the stages of an image take: percentiles and a histogram over the last images."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

# Of an image on its way: waiting for its turn, the front-end's stages, sending, and all of it from arrival to the end.
STAGES = ("wait", "preprocess", "inference", "match", "publish", "latency")
BOUNDS_MS = (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
WINDOW = 200  # images that are looked back on


@dataclass(frozen=True)
class Distribution:
    """How one duration was distributed, milliseconds."""

    p50: float
    p95: float
    p99: float
    max: float
    counts: tuple[int, ...]  # images up to each of BOUNDS_MS and above the one before, then those above the last

    @classmethod
    def of(cls, values_ms: list[float]) -> Distribution:
        """Of some durations; at least one."""
        p50, p95, p99 = (float(value) for value in np.percentile(values_ms, (50, 95, 99)))
        places = np.searchsorted(BOUNDS_MS, values_ms, side="left")
        counts = np.bincount(places, minlength=len(BOUNDS_MS) + 1)
        return cls(p50, p95, p99, max(values_ms), tuple(counts.tolist()))


class StageTimes:
    """The durations of the last images. Not for several threads at once.

    Args:
        window: images that are kept.
    """

    def __init__(self, window: int = WINDOW) -> None:
        self._values_ms: dict[str, deque[float]] = {stage: deque(maxlen=window) for stage in STAGES}

    def add(self, times_ms: Mapping[str, float]) -> None:
        """Adds an image; KeyError when a stage is missing."""
        for stage, values_ms in self._values_ms.items():
            values_ms.append(times_ms[stage])

    def copy(self) -> dict[str, list[float]]:
        """The durations by stage, oldest first."""
        return {stage: list(values_ms) for stage, values_ms in self._values_ms.items()}


def distributions(values_ms: Mapping[str, list[float]]) -> dict[str, Distribution]:
    """By stage; empty before the first image."""
    return {stage: Distribution.of(values) for stage, values in values_ms.items() if values}


def as_texts(stages: Mapping[str, Distribution]) -> dict[str, str]:
    """The key-value pairs of /diagnostics: ``STAGE_ms_p50`` and so on, and the histograms as JSON."""
    texts = {"histogram_bounds_ms": json.dumps(BOUNDS_MS)} if stages else {}
    for stage, times in stages.items():
        percentiles = {"p50": times.p50, "p95": times.p95, "p99": times.p99, "max": times.max}
        texts |= {f"{stage}_ms_{name}": f"{value:.2f}" for name, value in percentiles.items()}
        texts[f"{stage}_ms_histogram"] = json.dumps(times.counts)
    return texts
