# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The picture of a report."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aliked_ros.bench.candidates import OURS, PeerMissingError
from aliked_ros.bench.report import Measured, ProfileRow, Report

_OURS_COLOUR, _PEER_COLOUR = "#2f6db5", "#b0b0b0"


def draw(report: Report, title: str, path: Path) -> None:
    """Writes a PNG with whole frames, cost against area and keypoints, and the profile, as far as they were measured.

    Raises:
        PeerMissingError: matplotlib is not installed.
    """
    figure_module, _ = _matplotlib()
    figure = figure_module.Figure(figsize=(13, 9), layout="constrained")
    axes = figure.subplots(2, 2).ravel()
    figure.suptitle(title, fontsize=12)
    _draw_frames(axes[0], report.frames)
    _draw_sweep(axes[1], report.area, "megapixels", lambda row: row.width * row.height / 1e6, "Cost against image area")
    _draw_sweep(axes[2], report.keypoints, "most keypoints", lambda row: row.max_keypoints, "Cost against keypoints")
    _draw_profile(axes[3], report.profile)
    figure.savefig(path, dpi=110, format="png")


def require_matplotlib() -> None:
    """Raises PeerMissingError without matplotlib, so that a benchmark fails before it runs, not after."""
    _matplotlib()


def _matplotlib() -> tuple[Any, Any]:
    try:
        return importlib.import_module("matplotlib.figure"), importlib.import_module("matplotlib")
    except ImportError as error:
        remedy = "pip install -r requirements/bench.txt, or leave --plot out"
        raise PeerMissingError("matplotlib", str(error), remedy) from error


def _draw_frames(axes: Any, rows: Sequence[Measured]) -> None:
    if not rows:
        _empty(axes, "Whole frames")
        return
    ordered = sorted(rows, key=lambda row: row.time_ms.median, reverse=True)
    medians = [row.time_ms.median for row in ordered]
    low = [row.time_ms.median - row.time_ms.quartile_low for row in ordered]
    high = [row.time_ms.quartile_high - row.time_ms.median for row in ordered]
    colours = [_OURS_COLOUR if row.method == OURS else _PEER_COLOUR for row in ordered]
    axes.barh([row.name for row in ordered], medians, xerr=[low, high], color=colours, ecolor="#404040", capsize=3)
    for index, row in enumerate(ordered):
        axes.annotate(
            f"{row.time_ms.median:.1f} ms",
            (max(row.time_ms.quartile_high, row.time_ms.median), index),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    axes.set_xscale("log")
    axes.set_xlim(left=1, right=8 * max(row.time_ms.quartile_high for row in ordered))
    axes.set_xlabel("ms per frame, median and quartiles (logarithmic)")
    first = rows[0]
    axes.set_title(f"Whole frames, {first.width}×{first.height}, at most {first.max_keypoints} keypoints")


def _draw_sweep(axes: Any, rows: Sequence[Measured], label: str, x_of: Any, title: str) -> None:
    if not rows:
        _empty(axes, title)
        return
    for name in {row.name: None for row in rows}:
        line = [row for row in rows if row.name == name]
        x, medians = [x_of(row) for row in line], [row.time_ms.median for row in line]
        style = "--" if line[0].method != OURS else "-"
        (drawn,) = axes.plot(x, medians, style, marker="o", label=name)
        low, high = ([getattr(row.time_ms, side) for row in line] for side in ("quartile_low", "quartile_high"))
        axes.fill_between(x, low, high, alpha=0.2, color=drawn.get_color())
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.set_xlabel(label)
    axes.set_ylabel("ms per frame, median and quartiles")
    axes.set_title(title)
    axes.grid(alpha=0.3)
    axes.legend()


def _draw_profile(axes: Any, rows: Sequence[ProfileRow]) -> None:
    if not rows:
        _empty(axes, "Profile")
        return
    names, left = [row.name for row in reversed(rows)], [0.0] * len(rows)
    for stage in rows[0].stages_ms:
        widths = [row.stages_ms[stage] for row in reversed(rows)]
        axes.barh(names, widths, left=left, label=stage)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axes.set_xlabel("ms per frame")
    axes.set_title("Where a frame's time goes")
    axes.legend(fontsize=8, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.12))


def _empty(axes: Any, title: str) -> None:
    axes.set_title(title)
    axes.set_axis_off()
    axes.text(0.5, 0.5, "not measured", ha="center", va="center", transform=axes.transAxes)
