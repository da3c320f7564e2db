# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What a benchmark found: numbers for machines, tables and charts for people."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aliked_ros.errors import AlikedError
from aliked_ros.io.outputs import written_whole

JSON_NAME, MARKDOWN_NAME, FIGURE_NAME = "results.json", "results.md", "figure.png"
_COLUMNS = 2  # of charts


class PlotError(AlikedError):
    """Figures were asked for where matplotlib is not installed."""


@dataclass(frozen=True)
class Table:
    """Rows of text under a title."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """The table in GitHub's Markdown, the first column to the left, the others to the right."""
        lines = [self.header, (":--", *("--:" for _ in self.header[1:])), *self.rows]
        return "\n".join(["| " + " | ".join(line) + " |" for line in lines])


@dataclass(frozen=True)
class Chart:
    """Lines over a common axis."""

    title: str
    x_label: str
    y_label: str
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]]
    equal_axes: bool = False  # a map rather than a graph


@dataclass(frozen=True)
class Report:
    """The result of one benchmark."""

    benchmark: str
    settings: Mapping[str, Any]  # what was measured, and under which conditions
    results: Any  # dataclasses, mappings and lists of numbers
    tables: tuple[Table, ...]
    charts: tuple[Chart, ...] = ()

    def markdown(self) -> str:
        """Settings and tables, Markdown."""
        parts = [f"# {self.benchmark}", "\n".join(f"- {name}: {value}" for name, value in self.settings.items())]
        for table in self.tables:
            parts += [f"## {table.title}", table.markdown()]
        return "\n\n".join(parts) + "\n"

    def as_json(self) -> str:
        """Everything but the charts; a number that is not finite becomes null, for JSON has none."""
        content = {"benchmark": self.benchmark, "settings": dict(self.settings), "results": self.results}
        return json.dumps(_plain(content), indent=2) + "\n"


def write(report: Report, folder: Path, *, force: bool = False, figures: bool = True) -> None:
    """Writes results.json, results.md and figure.png into a folder, which is there whole or not at all.

    With ``force`` the folder may be there: its files of these names are replaced, and nothing else is touched.

    Raises:
        SourceError: the folder exists and ``force`` is not set, or cannot be written.
        PlotError: figures are wanted and matplotlib is not installed.
    """
    if force and folder.is_dir():
        with tempfile.TemporaryDirectory() as made:
            write(report, Path(made) / "results", figures=figures)
            for name in (JSON_NAME, MARKDOWN_NAME, FIGURE_NAME):
                (folder / name).unlink(missing_ok=True)
            for path in (Path(made) / "results").iterdir():
                with written_whole(folder / path.name, force=True) as partial:
                    shutil.copyfile(path, partial)
        return
    with written_whole(folder, force=force) as partial:
        partial.mkdir()
        (partial / JSON_NAME).write_text(report.as_json(), encoding="utf-8")
        text = report.markdown()
        if figures and report.charts:
            draw(report, partial / FIGURE_NAME)
            text += f"\n![{report.benchmark}]({FIGURE_NAME})\n"
        (partial / MARKDOWN_NAME).write_text(text, encoding="utf-8")


def require_figures() -> None:
    """Raises PlotError without matplotlib, so that a benchmark fails before it runs, not after."""
    _figure_class()


def draw(report: Report, path: Path) -> None:
    """Draws a report's charts into one PNG.

    Raises:
        PlotError: matplotlib is not installed.
    """
    count = len(report.charts)
    columns = min(count, _COLUMNS)
    rows = math.ceil(count / columns)
    figure = _figure_class()(figsize=(6.5 * columns, 4.2 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for place, chart in zip(axes, report.charts, strict=False):
        _draw_chart(place, chart)
    for place in axes[count:]:
        place.set_axis_off()
    figure.savefig(path, dpi=110, format="png")


def _draw_chart(axes: Any, chart: Chart) -> None:
    for name, (x, y) in chart.lines.items():
        few = len(x) <= 12 and not chart.equal_axes
        axes.plot(x, y, marker="o" if few else None, label=name, linewidth=1.6, markersize=4)
    axes.set_title(chart.title)
    axes.set_xlabel(chart.x_label)
    axes.set_ylabel(chart.y_label)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    if chart.equal_axes:
        axes.set_aspect("equal", adjustable="datalim")
    else:
        axes.set_ylim(bottom=0)


def _figure_class() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        remedy = "pip install -r requirements/eval.txt, or leave figures out with --no-figures"
        raise PlotError(f"figures need matplotlib ({error}); {remedy}") from error
    return Figure


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (np.floating, np.integer)):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
