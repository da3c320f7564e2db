# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Where a frame's time goes, stage by stage; the stages add up to the whole."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from aliked_ros.bench.candidates import Candidate
from aliked_ros.bench.report import ProfileRow
from aliked_ros.engine.base import Image
from aliked_ros.engine.cpu_engine import CpuEngine
from aliked_ros.engine.select import create_engine
from aliked_ros.errors import DeviceError
from aliked_ros.frontend.config import ExtractorConfig
from aliked_ros.frontend.extractor import Extractor
from aliked_ros.network.weights import load


def profile(candidates: Sequence[Candidate], images: Sequence[Image], rounds: int) -> list[ProfileRow]:
    """The stages of this project's candidates, which have turns on the same frames.

    Means over the middle half of each one's frames by their time, which a disturbance of the machine hardly moves; so
    stages add up to the whole, as medians would not.

    Raises:
        DeviceError: this machine lacks the compiled engine, which is what can be profiled, or a precision.
    """
    profilers = [_Profiler(candidate) for candidate in candidates]
    for turn in range(rounds):
        for profiler in profilers:
            profiler.measure(images[(turn - 1) % len(images)], images[turn % len(images)])
    return [profiler.row() for profiler in profilers]


class _Profiler:
    """Collects the stages of one candidate's frames."""

    def __init__(self, candidate: Candidate) -> None:
        weights = load(candidate.model)
        engine = create_engine(weights, "cpu", candidate.precision, "fast", candidate.threads)
        if not isinstance(engine, CpuEngine):
            raise DeviceError(f"only the compiled CPU engine has a profile, not {engine.info.backend}")
        limits = {"max_keypoints": candidate.max_keypoints, "score_threshold": candidate.score_threshold}
        self._engine = engine
        self._extractor = Extractor(engine, ExtractorConfig.from_mapping({"model": candidate.model, **limits}))
        self._name = candidate.name
        self._frames: list[dict[str, float]] = []

    def measure(self, previous: Image, image: Image) -> None:
        """Takes the stages of an image after one that does not count."""
        self._extractor(previous)
        start_s = time.perf_counter()
        self._extractor(image)
        whole_ms = 1e3 * (time.perf_counter() - start_s)
        stages = dict(self._engine.last_profile_ms)
        stages["other"] += whole_ms - sum(stages.values())  # what the extractor does around its engine
        self._frames.append(stages)

    def row(self) -> ProfileRow:
        """The means."""
        quarter = len(self._frames) // 4
        by_time = sorted(self._frames, key=lambda stages: sum(stages.values()))
        middle = by_time[quarter : len(by_time) - quarter]
        means = {stage: float(np.mean([stages[stage] for stages in middle])) for stage in middle[0]}
        return ProfileRow(self._name, means, sum(means.values()))
