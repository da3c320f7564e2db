# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""A picture of a run: the trajectory and the map from above, and the error over time."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from aliked_ros.errors import SourceError
from aliked_ros.offline.report import SlamReport
from aliked_ros.offline.sequence import SequenceRun
from aliked_ros.slam.geometry import FloatArray
from aliked_ros.slam.trajectory import Alignment, Trajectory, absolute_errors, align

_ESTIMATE, _TRUTH, _POINTS, _LOOP = "#d1495b", "#222222", "#8fb3c9", "#2a9d5c"
_MARGIN = 0.08  # around the picture's contents
_UNSEEN_PERCENT = 5  # of the map's points on either side may lie outside the picture
_MAX_POINTS = 20000


def require_matplotlib() -> None:
    """Raises SourceError without matplotlib, so that a run fails before it starts, not after."""
    _figure_module()


def draw(run: SequenceRun, report: SlamReport, path: Path) -> None:
    """Writes a PNG.

    Raises:
        SourceError: matplotlib is not installed.
    """
    figure = _figure_module().Figure(figsize=(12, 6), layout="constrained")
    above, errors = figure.subplots(1, 2, width_ratios=(3, 2))
    figure.suptitle(_title(report), fontsize=11)
    _draw_from_above(above, run)
    _draw_errors(errors, run, report)
    figure.savefig(path, dpi=100, format="png")


def _figure_module() -> Any:
    try:
        return importlib.import_module("matplotlib.figure")
    except ImportError as error:
        raise SourceError(
            f"the picture needs matplotlib ({error}); run `pip install matplotlib`, or leave it out with --no_plot"
        ) from error


def _draw_from_above(axes: Any, run: SequenceRun) -> None:
    estimate = run.trajectory()
    alignment = _alignment(run, estimate)
    known = alignment is not None
    # Ground truth has z up; without it the world is the first camera's frame, whose z is forward and y down.
    across, up = (0, 1) if known else (0, 2)
    moved = Alignment(np.eye(3), np.zeros(3), 1.0) if alignment is None else alignment
    points = moved.apply(run.backend.map.points_xyz)
    step = max(1, len(points) // _MAX_POINTS)
    drawn = points[::step]
    axes.scatter(drawn[:, across], drawn[:, up], s=1.0, color=_POINTS, linewidths=0, label="map points")
    if known:
        true = run.truth.positions_xyz
        axes.plot(true[:, across], true[:, up], color=_TRUTH, linewidth=1.0, label="ground truth")
    path = moved.apply(estimate.positions_xyz)
    axes.plot(path[:, across], path[:, up], color=_ESTIMATE, linewidth=1.6, label="estimate")
    keyframes = np.array([k.pose_world_from_camera[:3, 3] for k in run.backend.map.keyframes]).reshape(-1, 3)
    placed = moved.apply(keyframes)
    axes.plot(placed[:, across], placed[:, up], ".", color=_ESTIMATE, markersize=4, label="keyframes")
    for loop in run.backend.loops:
        ends = placed[[loop.keyframe_id, loop.matched_keyframe_id]]
        axes.plot(ends[:, across], ends[:, up], color=_LOOP, linewidth=1.5)
    _frame(axes, np.vstack([path, drawn])[:, (across, up)], np.array(path[:, (across, up)]))
    unit = "m" if known or run.backend.is_metric else "units of the map"
    axes.set_xlabel(f"{'xyz'[across]} [{unit}]")
    axes.set_ylabel(f"{'xyz'[up]} [{unit}]")
    axes.set_title("From above")
    axes.legend(loc="upper right", fontsize=8, markerscale=3)


def _frame(axes: Any, contents: FloatArray, path: FloatArray) -> None:
    """Limits that leave out the few points that lie far away, never the path."""
    axes.set_aspect("equal")
    if len(contents) == 0:
        return
    low, high = np.percentile(contents, [_UNSEEN_PERCENT, 100 - _UNSEEN_PERCENT], axis=0)
    if len(path):
        low, high = np.minimum(low, path.min(0)), np.maximum(high, path.max(0))
    margin = _MARGIN * float((high - low).max()) + 1e-3
    axes.set_xlim(low[0] - margin, high[0] + margin)
    axes.set_ylim(low[1] - margin, high[1] + margin)


def _draw_errors(axes: Any, run: SequenceRun, report: SlamReport) -> None:
    axes.set_title("Distance to the true position")
    estimate = run.trajectory()
    if report.ate_alignment is None:
        axes.text(0.5, 0.5, "no ground truth", ha="center", va="center", transform=axes.transAxes)
        axes.set_axis_off()
        return
    errors = absolute_errors(estimate, run.truth, report.ate_alignment)
    common = np.intersect1d(estimate.stamps_ns, run.truth.stamps_ns)
    start = run.outcomes[0].stamp_ns
    axes.plot((common - start) * 1e-9, 1e3 * errors, color=_ESTIMATE, linewidth=1.2)
    axes.axhline(1e3 * (report.ate_rmse_m or 0.0), color=_TRUTH, linewidth=0.8, linestyle="--", label="RMSE")
    stamps = {outcome.loop.keyframe_id: outcome.stamp_ns for outcome in run.outcomes if outcome.loop is not None}
    for number, stamp in enumerate(stamps.values()):
        label = "loop closed" if number == 0 else None
        axes.axvline((stamp - start) * 1e-9, color=_LOOP, linewidth=1.0, label=label)
    axes.set_xlabel("time [s]")
    axes.set_ylabel("error [mm]")
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper left", fontsize=8)


def _alignment(run: SequenceRun, estimate: Trajectory) -> Alignment | None:
    common = np.intersect1d(estimate.stamps_ns, run.truth.stamps_ns)
    if len(common) < 3:
        return None
    ours, theirs = estimate.at(common).positions_xyz, run.truth.at(common).positions_xyz
    return align(ours, theirs, "se3" if run.backend.is_metric else "sim3")


def _title(report: SlamReport) -> str:
    parts = [
        f"{Path(report.sequence).name}: {report.model}, {report.mode}",
        f"{report.localised} of {report.frames} frames",
    ]
    if report.ate_rmse_m is not None:
        share = "" if report.ate_percent is None else f" ({report.ate_percent:.2f} % of {report.path_length_m:.2f} m)"
        parts.append(f"ATE {1e3 * report.ate_rmse_m:.1f} mm{share}")
    parts.append(f"{report.loop_closures} loop closures")
    return ", ".join(parts)
