# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The part of a sequence that is read, and stamps as nanoseconds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from aliked_ros.errors import ConfigError, SourceError

NS_PER_S = 1_000_000_000
# Of sequences without times of their own: ROS takes a stamp of 0 for no time at all.
FIRST_STAMP_NS = NS_PER_S

_MAX_S = (2**63 - 1) // NS_PER_S


@dataclass(frozen=True)
class TimeWindow:
    """Seconds after a sequence's first frame that are delivered: from ``start_s``, for ``duration_s``.

    The end is excluded; ``None`` as duration means to the end.

    Raises:
        ConfigError: a value is negative or not finite.
    """

    start_s: float = 0.0
    duration_s: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start_s) and self.start_s >= 0):
            raise ConfigError(f"start_s must be 0 or more seconds, got {self.start_s}")
        if self.duration_s is not None and not (math.isfinite(self.duration_s) and self.duration_s > 0):
            raise ConfigError(f"duration_s must be more than 0 seconds, got {self.duration_s}")

    @property
    def start_ns(self) -> int:
        """Nanoseconds after the first frame at which it begins."""
        return round(self.start_s * NS_PER_S)

    @property
    def end_ns(self) -> int | None:
        """Nanoseconds after the first frame at which it has ended; ``None`` where it has no end."""
        return None if self.duration_s is None else round((self.start_s + self.duration_s) * NS_PER_S)

    def begun(self, elapsed_ns: int) -> bool:
        """Whether a frame so long after the first is not too early."""
        return elapsed_ns >= self.start_ns

    def ended(self, elapsed_ns: int) -> bool:
        """Whether a frame so long after the first is too late."""
        return self.end_ns is not None and elapsed_ns >= self.end_ns

    def contains(self, elapsed_ns: int) -> bool:
        """Whether a frame so long after the first is delivered."""
        return self.begun(elapsed_ns) and not self.ended(elapsed_ns)

    def nothing_in(self, name: str, length_ns: int) -> SourceError:
        """The error for a sequence of this length that has no frame in the window."""
        end = "the end" if self.duration_s is None else f"{self.start_s + self.duration_s:g} s"
        return SourceError(
            f"{name}: no frame between {self.start_s:g} s and {end}; the sequence lasts "
            f"{length_ns / NS_PER_S:g} s: choose an earlier start or a longer duration"
        )


def stamp_ns_of(seconds: str) -> int:
    """Nanoseconds of decimal seconds, exactly; a float would lose the last 100 ns of a Unix time.

    Raises:
        ValueError: the text is no finite number, or beyond what 64 bits hold.
    """
    try:
        value = Decimal(seconds)
        if not -_MAX_S <= value <= _MAX_S:  # before arithmetic: 1e999999 would be a million digits
            raise ValueError(f"more than {_MAX_S} s do not fit into 64 bits of nanoseconds")
        return int((value * NS_PER_S).to_integral_value())
    except (InvalidOperation, ValueError) as error:  # NaN, infinity, or no number at all
        raise ValueError(f"{seconds!r} is no number of seconds") from error


def seconds_text(stamp_ns: int) -> str:
    """A stamp as decimal seconds, exactly: six decimals as TUM writes them, nine where they are needed."""
    seconds, rest = divmod(stamp_ns, NS_PER_S)
    return f"{seconds}.{rest // 1000:06d}" if rest % 1000 == 0 else f"{seconds}.{rest:09d}"
