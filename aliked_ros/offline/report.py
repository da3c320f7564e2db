# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The figures of a run: what ``slam.json`` holds."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from aliked_ros.offline.sequence import SequenceRun
from aliked_ros.slam.trajectory import absolute_errors, rmse

_MIN_POSES = 3  # fewer cannot be aligned


@dataclass(frozen=True)
class SlamReport:
    """A run's figures; what could not be measured is ``None``."""

    ate_rmse_m: float | None  # of all localised frames whose true pose is known
    ate_alignment: str | None  # se3, or sim3 where nothing measures the scale
    ate_max_m: float | None
    ate_percent: float | None  # of the true path's length
    path_length_m: float | None  # of the true path
    frames: int
    localised: int
    lost: int
    relocalisations: int
    keyframes: int
    landmarks: int
    loop_closures: int
    seconds: float  # front-end and backend
    frontend_ms: float  # per frame
    backend_ms: float  # per frame
    mode: str
    model: str
    sequence: str

    def as_dict(self) -> dict[str, Any]:
        """Its fields by name."""
        return dataclasses.asdict(self)


def report_of(run: SequenceRun, sequence: str, model: str) -> SlamReport:
    """The figures of a run."""
    estimate, backend = run.trajectory(), run.backend
    kind = "se3" if backend.is_metric else "sim3"
    common = np.intersect1d(estimate.stamps_ns, run.truth.stamps_ns)
    errors = absolute_errors(estimate, run.truth, kind) if len(common) >= _MIN_POSES else None
    length = run.truth.length if len(run.truth) > 1 else None
    count = max(run.num_frames, 1)
    error = None if errors is None else rmse(errors)
    return SlamReport(
        ate_rmse_m=error,
        ate_alignment=None if errors is None else kind,
        ate_max_m=None if errors is None else float(errors.max()),
        ate_percent=None if error is None or not length else 100 * error / length,
        path_length_m=length,
        frames=run.num_frames,
        localised=len(estimate),
        lost=run.num_lost,
        relocalisations=run.num_relocalised,
        keyframes=len(backend.map.keyframes),
        landmarks=int(backend.map.landmarks.alive.sum()),
        loop_closures=len(backend.loops),
        seconds=run.frontend_s + run.backend_s,
        frontend_ms=1e3 * run.frontend_s / count,
        backend_ms=1e3 * run.backend_s / count,
        mode=run.mode,
        model=model,
        sequence=sequence,
    )
