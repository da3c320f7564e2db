# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What a check says: rows of a table."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

FAILED, PASSED, NOT_RUN, UNFINISHED = "failed", "passed", "not run", "not finished"


@dataclass(frozen=True)
class Row:
    """A line of the table: a check that passes or fails, or a figure that has a target or none."""

    part: str
    name: str
    state: str = ""  # FAILED, PASSED, NOT_RUN or UNFINISHED; empty for a figure
    value: float | None = None
    low: float | None = None  # the quartiles of what was measured
    high: float | None = None
    unit: str = ""
    target: float | None = None
    at_least: bool = False  # the value should be the target or more, and not less
    note: str = ""

    @property
    def is_met(self) -> bool | None:
        """Whether the target is met; ``None`` without one, or without a value."""
        if self.target is None or self.value is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "is_met": self.is_met}


def figure(part: str, name: str, values: ArrayLike, unit: str = "ms", **options: Any) -> Row:
    """A figure that was measured several times: its median and quartiles."""
    import numpy as np  # a machine that lacks it is told so before

    low, median, high = np.percentile(np.asarray(values, np.float64), (25, 50, 75))
    return Row(part, name, value=float(median), low=float(low), high=float(high), unit=unit, **options)


def check(part: str, name: str, passes: bool, note: str = "", **options: Any) -> Row:
    """A check that passed or failed."""
    return Row(part, name, PASSED if passes else FAILED, note=note, **options)


def not_run(part: str, name: str, reason: str) -> Row:
    """What was left out, and why."""
    return Row(part, name, NOT_RUN, note=reason)


def unfinished(part: str, name: str, seconds: float) -> Row:
    """What took longer than it may."""
    return Row(part, name, UNFINISHED, note=f"not finished within {seconds:.0f} s")


def from_dict(data: dict[str, Any]) -> Row:
    """A row out of JSON."""
    return Row(**{key: value for key, value in data.items() if key != "is_met"})
