# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The table of a GPU check, for a terminal and for the documentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tools.gpu_check.rows import FAILED, UNFINISHED, Row

_OPTIONAL = ("peers",)  # parts that are for comparison only


def exit_status(rows: Sequence[Row]) -> int:
    """1 when a part of ours failed or did not finish; a figure that misses its target is no failure."""
    return 1 if any(row.state in (FAILED, UNFINISHED) and row.part not in _OPTIONAL for row in rows) else 0


def as_text(machine: Mapping[str, str], rows: Sequence[Row]) -> str:
    """The table for a terminal."""
    lines = [f"{name}: {value}" for name, value in machine.items()]
    cells = [_cells(row) for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(4)]
    part = ""
    for row, (name, *rest) in zip(rows, cells, strict=True):
        if row.part != part:
            part = row.part
            lines += ["", part]
        padded = [name.ljust(widths[0]), *(text.rjust(width) for text, width in zip(rest, widths[1:], strict=False))]
        lines.append("  " + "  ".join([*padded, row.note]).rstrip())
    return "\n".join(lines)


def as_markdown(machine: Mapping[str, str], rows: Sequence[Row]) -> str:
    """The table for docs/performance.md."""
    lines = ["| | value | quartiles | target | |", "|---|---|---|---|---|"]
    for row in rows:
        name, value, spread, target = _cells(row)
        lines.append(f"| {row.part}: {name} | {value} | {spread} | {target} | {row.note} |")
    return "; ".join(f"{name} {value}" for name, value in machine.items()) + "\n\n" + "\n".join(lines) + "\n"


def _cells(row: Row) -> tuple[str, str, str, str]:
    value = row.state if row.value is None else f"{_number(row.value)} {row.unit}".strip()
    if row.state and row.value is not None:
        value = f"{row.state}: {value}"
    spread = "" if row.low is None or row.high is None else f"{_number(row.low)} to {_number(row.high)}"
    target = ""
    if row.target is not None:
        relation = "≥" if row.at_least else "≤"
        verdict = {True: "met", False: "missed", None: "not measured"}[row.is_met]
        target = f"{relation} {_number(row.target)} {verdict}"
    return row.name, value, spread, target


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
