# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the demos measure and print."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence


class Measurements:
    """Means of counts, and the time that whole frames take: from asking for the image to its last result.

    Drawing and writing are not part of a frame, because a robot does neither.
    """

    def __init__(self) -> None:
        self._values: defaultdict[str, list[float]] = defaultdict(list)
        self.num_frames = 0
        self.elapsed_s = 0.0
        self._last_s = 0.0

    def add_frame(self, elapsed_s: float) -> None:
        """Records that a whole frame took so long."""
        self._last_s = elapsed_s
        self.elapsed_s += elapsed_s
        self.num_frames += 1

    def add(self, **values: float) -> None:
        """Records values of the frame."""
        for name, value in values.items():
            self._values[name].append(float(value))

    def mean(self, name: str) -> float | None:
        """The mean of the values recorded under a name; ``None`` without any."""
        values = self._values.get(name)
        return sum(values) / len(values) if values else None

    @property
    def last_rate_hz(self) -> float:
        """Whole frames per second of the last frame alone."""
        return 1.0 / self._last_s if self._last_s > 0 else 0.0

    @property
    def rate_hz(self) -> float:
        """Whole frames per second."""
        return self.num_frames / self.elapsed_s if self.elapsed_s > 0 else 0.0


def table(rows: Sequence[Sequence[str]], header: Sequence[str]) -> str:
    """Text in columns, words on the left and numbers on the right."""
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    numeric = [all(_is_number(row[column]) for row in rows) for column in range(len(header))]
    texts = [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in lines
    ]
    return "\n".join(texts)


def properties(values: Mapping[str, str]) -> str:
    """One ``name  value`` per line."""
    width = max(map(len, values))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in values.items())


def number(value: float | None, decimals: int = 1) -> str:
    """A number for a table; a dash where there is none."""
    return "-" if value is None else f"{value:.{decimals}f}"


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell == "-"
    return True
