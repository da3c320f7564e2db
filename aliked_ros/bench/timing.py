# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Times candidates in turn within one run on the same frames."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from aliked_ros.bench.candidates import Detector
from aliked_ros.engine.base import Image


@dataclass(frozen=True)
class Samples:
    """One candidate's measurements; index i is round i, whose frame is the same for every candidate."""

    times_ms: list[float] = field(default_factory=list)  # wall time of a whole frame
    cpu_ms: list[float] = field(default_factory=list)  # processor time of all threads meanwhile
    num_features: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Run:
    """A candidate and the frames it gets, of which each round has the next."""

    detect: Detector
    images: Sequence[Image]


def interleave(runs: Sequence[Run], rounds: int) -> list[Samples]:
    """Measures every run once a round, on that round's frame; the results are in the order of the runs.

    A turn starts with the frame before, which does not count: caches, clock and threads are then as they are in the
    middle of a stream, whoever had the turn before. Who begins changes from round to round.
    """
    samples = [Samples() for _ in runs]
    for turn in range(rounds):
        for position in range(len(runs)):
            index = (turn + position) % len(runs)
            run = runs[index]
            run.detect(run.images[(turn - 1) % len(run.images)])
            _measure(run.detect, run.images[turn % len(run.images)], samples[index])
    return samples


def _measure(detect: Detector, image: Image, samples: Samples) -> None:
    cpu_s, start_s = time.process_time(), time.perf_counter()
    count = detect(image)
    samples.times_ms.append(1e3 * (time.perf_counter() - start_s))
    samples.cpu_ms.append(1e3 * (time.process_time() - cpu_s))
    samples.num_features.append(count)
