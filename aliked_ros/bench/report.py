# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What a benchmark found, in plain values that become JSON, a table and a plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from aliked_ros.bench.candidates import Candidate
from aliked_ros.bench.statistics import Spread, paired_ratio
from aliked_ros.bench.timing import Samples


@dataclass(frozen=True)
class Absent:
    """What was asked for and could not be measured."""

    name: str
    reason: str
    remedy: str


@dataclass(frozen=True)
class Measured:
    """One candidate at one size and one limit of keypoints."""

    name: str
    method: str
    model: str
    precision: str
    width: int  # pixels
    height: int  # pixels
    max_keypoints: int
    features_mean: float
    time_ms: Spread
    cpu_ms: Spread  # processor time of all threads
    over_sift: Spread | None  # its time over SIFT's in the same rounds; None where SIFT took no part
    under_kornia: Spread | None  # kornia's time over its own, likewise


@dataclass(frozen=True)
class MemoryUse:
    """Peak resident memory of a process that extracts, MB (10⁶ bytes)."""

    name: str
    width: int  # pixels
    height: int  # pixels
    peak_mb: float
    over_torch_mb: float  # beyond a process that only imports torch; negative where torch is not used


@dataclass(frozen=True)
class ComplexityRow:
    """A model's cost counted from its layers, beside the paper's; None where the paper has no figure."""

    model: str
    parameters: int
    products_giga: float
    with_resampling_giga: float
    paper_parameters_millions: float | None
    paper_gflops: float | None


@dataclass(frozen=True)
class ProfileRow:
    """Mean times of a frame by stage; they add up to the whole."""

    name: str
    stages_ms: dict[str, float]
    whole_ms: float


@dataclass(frozen=True)
class Linearity:
    """The straight line of cost against area: what the keypoints cost at any size, and what a megapixel costs."""

    constant_ms: float
    per_megapixel_ms: float
    from_line: float  # largest deviation of a size from the line, as a share of its cost
    from_proportional: float  # largest deviation of a pixel's cost at a size from its mean, as a share of that


@dataclass
class Report:
    """Everything a benchmark found; a part that was not asked for is empty."""

    settings: dict[str, Any]
    frames: list[Measured] = field(default_factory=list)
    area: list[Measured] = field(default_factory=list)
    linearity: dict[str, Linearity] = field(default_factory=dict)
    keypoints: list[Measured] = field(default_factory=list)
    matching: dict[str, Any] = field(default_factory=dict)
    memory: list[MemoryUse] = field(default_factory=list)
    complexity: list[ComplexityRow] = field(default_factory=list)
    profile: list[ProfileRow] = field(default_factory=list)
    absent: list[Absent] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON takes it."""
        return asdict(self)

    def add_absent(self, absent: Absent) -> None:
        """Notes what is missing, once."""
        if absent not in self.absent:
            self.absent.append(absent)


@dataclass(frozen=True)
class Trial:
    """A candidate at one size."""

    candidate: Candidate
    size: tuple[int, int]  # width, height

    @property
    def group(self) -> tuple[tuple[int, int], int]:
        """Trials of one group have the same frames and limit, so that their times compare."""
        return self.size, self.candidate.max_keypoints


def measured(trials: Sequence[Trial], samples: Sequence[Samples]) -> list[Measured]:
    """The rows of trials that were measured in one run."""
    times = {(trial.group, trial.candidate.method): one.times_ms for trial, one in zip(trials, samples, strict=True)}
    return [
        _row(trial, one, times.get((trial.group, "sift")), times.get((trial.group, "kornia")))
        for trial, one in zip(trials, samples, strict=True)
    ]


def _row(trial: Trial, samples: Samples, sift: list[float] | None, kornia: list[float] | None) -> Measured:
    candidate = trial.candidate
    return Measured(
        name=candidate.name,
        method=candidate.method,
        model=candidate.model,
        precision=candidate.precision,
        width=trial.size[0],
        height=trial.size[1],
        max_keypoints=candidate.max_keypoints,
        features_mean=sum(samples.num_features) / len(samples.num_features),
        time_ms=Spread.of(samples.times_ms),
        cpu_ms=Spread.of(samples.cpu_ms),
        over_sift=paired_ratio(samples.times_ms, sift) if sift else None,
        under_kornia=paired_ratio(kornia, samples.times_ms) if kornia else None,
    )


def linearity(rows: Sequence[Measured]) -> Linearity:
    """How the cost at several sizes depends on the image's area."""
    area = np.array([row.width * row.height for row in rows], np.float64)
    cost = np.array([row.time_ms.median for row in rows], np.float64)
    # Least squares of relative residuals, or the largest size would decide alone.
    columns = np.stack([1.0 / cost, area / cost], 1)
    (constant_ms, per_pixel_ms), *_ = np.linalg.lstsq(columns, np.ones(len(rows)), rcond=None)
    per_area = cost / area
    return Linearity(
        constant_ms=float(constant_ms),
        per_megapixel_ms=float(1e6 * per_pixel_ms),
        from_line=float(np.abs(columns @ [constant_ms, per_pixel_ms] - 1.0).max()),
        from_proportional=float(np.abs(per_area / per_area.mean() - 1.0).max()),
    )
