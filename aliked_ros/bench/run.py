# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The benchmark: each part fills its section of a report."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from aliked_ros.bench import complexity, matching, memory
from aliked_ros.bench.candidates import OURS, Candidate, PeerMissingError, build, require_packages
from aliked_ros.bench.config import BenchConfig
from aliked_ros.bench.frames import fit
from aliked_ros.bench.profile import profile
from aliked_ros.bench.report import (
    Absent,
    ComplexityRow,
    Measured,
    MemoryUse,
    Report,
    Trial,
    linearity,
    measured,
)
from aliked_ros.bench.statistics import Spread, paired_ratio
from aliked_ros.bench.timing import Run, interleave
from aliked_ros.engine.base import Image
from aliked_ros.errors import DeviceError

Notify = Callable[[str], object]  # is told what is being measured
_SWEPT_PEERS = ("sift",)  # the others would take longer than all the rest


class Benchmark:
    """Measures what a configuration asks for on some frames.

    Args:
        config: what is measured.
        images: (H, W, 3) uint8 RGB; each round has the next one.
        notify: is told what comes next.
    """

    def __init__(self, config: BenchConfig, images: Sequence[Image], notify: Notify = lambda _: None) -> None:
        self._config, self._images, self._notify = config, images, notify
        self._report = Report(dataclasses.asdict(config))
        self._precisions = config.precisions

    def run(self) -> Report:
        """Does every part that was asked for, in the order of BenchConfig.parts.

        Raises:
            DeviceError: this machine lacks the compiled engine.
            WeightsError: the published weights are missing or corrupt.
        """
        self._check_precisions()
        parts: dict[str, Callable[[], None]] = {
            "frames": self._frames,
            "area": self._area,
            "keypoints": self._keypoints,
            "matching": self._matching,
            "memory": self._memory,
            "complexity": self._complexity,
            "profile": self._profile,
        }
        for name in self._config.parts:
            self._notify(name)
            parts[name]()
        return self._report

    def _check_precisions(self) -> None:
        """Leaves out what the processor cannot do, and says so; nothing left is an error."""
        from aliked_ops.cpu_engine import supports_bfloat16

        if "bf16" in self._config.precisions and not supports_bfloat16():
            reason = "this processor lacks the bfloat16 instructions, or the compiled engine is not built"
            self._report.add_absent(Absent("precision bf16", reason, "measure on a processor with AVX512_BF16"))
            self._precisions = tuple(name for name in self._config.precisions if name != "bf16")
        if not self._precisions:
            raise DeviceError("nothing is left to measure without bf16; add --precision fp32")

    def _ours(self, models: Sequence[str], max_keypoints: int, **settings: float) -> list[Candidate]:
        return [
            Candidate(OURS, self._config.threads, max_keypoints, model, precision, **settings)
            for model in models
            for precision in self._precisions
        ]

    def _peers(self, names: Sequence[str], max_keypoints: int) -> list[Candidate]:
        config = self._config
        return [
            Candidate(name, config.threads, max_keypoints, config.main_model if name == "kornia" else "")
            for name in names
            if name in config.peers
        ]

    def _all_candidates(self) -> list[Candidate]:
        limit = self._config.main_keypoints
        return self._ours(self._config.models, limit) + self._peers(self._config.peers, limit)

    def _swept_candidates(self, max_keypoints: int) -> list[Candidate]:
        """At threshold 0, so that a picture with few corners has as many keypoints as any other."""
        ours = self._ours([self._config.main_model], max_keypoints, score_threshold=0.0)
        return ours + self._peers(_SWEPT_PEERS, max_keypoints)

    def _is_installed(self, candidate: Candidate) -> bool:
        """Whether a candidate can be measured; what is missing is noted."""
        try:
            require_packages(candidate)
        except PeerMissingError as error:
            self._report.add_absent(Absent(error.name, error.reason, error.remedy))
            return False
        return True

    def _time(self, trials: Sequence[Trial]) -> list[Measured]:
        """All of them in one run; each has an engine of its own, which keeps its buffers from frame to frame."""
        installed = [trial for trial in trials if self._is_installed(trial.candidate)]
        images = {size: [fit(image, size) for image in self._images] for size in {trial.size for trial in installed}}
        runs = [Run(build(trial.candidate), images[trial.size]) for trial in installed]
        return measured(installed, interleave(runs, self._config.rounds))

    def _frames(self) -> None:
        self._report.frames = self._time([Trial(one, self._config.main_size) for one in self._all_candidates()])

    def _area(self) -> None:
        candidates = self._swept_candidates(self._config.main_keypoints)
        self._report.area = self._time([Trial(one, size) for one in candidates for size in self._config.sizes])
        for name in {row.name: None for row in self._report.area}:
            rows = [row for row in self._report.area if row.name == name]
            self._report.linearity[name] = linearity(rows)

    def _keypoints(self) -> None:
        limits = self._config.keypoints
        candidates = [one for limit in limits for one in self._swept_candidates(limit)]
        self._report.keypoints = self._time([Trial(one, self._config.main_size) for one in candidates])

    def _matching(self) -> None:
        if not matching.can_pin_blas():
            remedy = "pip install -r requirements/bench.txt"
            self._report.add_absent(Absent("threadpoolctl", "NumPy's threads are not pinned in the matching", remedy))
        samples = matching.compare(self._config.rounds, self._config.threads)
        ours, by_numpy = samples[matching.OURS].times_ms, samples[matching.NUMPY].times_ms
        self._report.matching = {
            "descriptors": matching.NUM_DESCRIPTORS,
            "dim": matching.DIM,
            "time_ms": dataclasses.asdict(Spread.of(ours)),
            "numpy_ms": dataclasses.asdict(Spread.of(by_numpy)),
            "over_numpy": dataclasses.asdict(paired_ratio(ours, by_numpy)),
        }

    def _memory(self) -> None:
        torch_mb = memory.peak_mb(None, fit(self._images[0], self._config.main_size))
        wanted = [(candidate, self._config.main_size) for candidate in self._all_candidates()]
        sizes = [size for size in self._config.sizes if size != self._config.main_size]
        ours = self._ours([self._config.main_model], self._config.main_keypoints)
        wanted += [(candidate, size) for size in sizes for candidate in ours]
        for candidate, size in wanted:
            if not self._is_installed(candidate):
                continue
            self._notify(f"memory of {candidate.name} at {size[0]}×{size[1]}")
            peak = memory.peak_mb(candidate, fit(self._images[0], size))
            self._report.memory.append(MemoryUse(candidate.name, *size, peak, peak - torch_mb))

    def _complexity(self) -> None:
        width, height = self._config.main_size
        for model in self._config.models:
            found = complexity.count(model, width, height, self._config.main_keypoints)
            paper = complexity.PAPER.get(model)
            row = ComplexityRow(
                model,
                found.parameters,
                found.products_giga,
                found.with_resampling_giga,
                paper.parameters_millions if paper else None,
                paper.gflops if paper else None,
            )
            self._report.complexity.append(row)

    def _profile(self) -> None:
        images = [fit(image, self._config.main_size) for image in self._images]
        candidates = self._ours(self._config.models, self._config.main_keypoints)
        self._report.profile = profile(candidates, images, self._config.rounds)
