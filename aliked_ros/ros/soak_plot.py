# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The picture of a long run: memory, latency and rate over time."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from aliked_ros.errors import SourceError
from aliked_ros.ros.soak_report import Soak

_MINUTE_S = 60.0
_LONG_S = 600.0


def require_matplotlib() -> None:
    """Raises SourceError without matplotlib, so that a long run fails before it starts."""
    _matplotlib()


def draw(soak: Soak, report: dict[str, Any], path: Path) -> None:
    """Writes a PNG."""
    figure = _matplotlib().Figure(figsize=(10, 9), layout="constrained")
    memory, latency, rate = figure.subplots(3, 1, sharex=True)
    verdict = "passed" if report["passed"] else "FAILED"
    figure.suptitle(f"{report.get('model', '')}, {report['cameras']} camera(s), {soak.duration_s:.0f} s: {verdict}")
    unit_s, unit = (_MINUTE_S, "minutes") if soak.duration_s > _LONG_S else (1.0, "seconds")
    times = [window.end_s / unit_s for window in soak.windows]
    memory.plot(times, [window.rss_mb for window in soak.windows], color="#2f6db5")
    memory.set(ylabel="resident memory, MB", title=f"memory {report['rss_growth_percent']:+.2f} % after the warm-up")
    measured = [window for window in soak.windows if window.latency_ms]
    for name, colour in (("p50", "#2f6db5"), ("p95", "#e0912f"), ("p99", "#b53a2f")):
        points = [(window.end_s / unit_s, window.latency_ms[name]) for window in measured]
        latency.plot(*zip(*points, strict=True), color=colour, label=name) if points else None
    latency.set(ylabel="latency, ms", ylim=(0, None), title="from an image's publication to its features' arrival")
    latency.legend(loc="upper right")
    rate.plot(times, [window.sent_hz for window in soak.windows], color="#b0b0b0", label="sent")
    rate.plot(times, [window.rate_hz for window in soak.windows], color="#2f6db5", label="processed")
    rate.set(ylabel="images per second", ylim=(0, None), xlabel=unit)
    rate.legend(loc="upper right")
    for axes in (memory, latency, rate):
        axes.axvspan(0, soak.warm_up_s / unit_s, color="#f0f0f0", zorder=0)
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110, format="png")


def _matplotlib() -> Any:
    try:
        return importlib.import_module("matplotlib.figure")
    except ImportError as error:
        raise SourceError(f"matplotlib is missing ({error}); pip install -r requirements/bench.txt") from error
