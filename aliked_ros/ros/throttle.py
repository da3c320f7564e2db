# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Log lines that say a thing once in a while, however often it happens."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

_VARYING = re.compile(r"'[^']*'|\"[^\"]*\"|[-+]?\d+(\.\d+)?")
_MAX_KINDS = 32


class ThrottledLog:
    """Passes on at most one line of each kind per period; the next one tells how many were left out.

    Lines are of one kind when they differ in numbers and quoted values only. Kinds are bounded: input that makes up
    new ones all the time is throttled as one.

    Args:
        write: where the lines go.
        period_s: seconds between two lines of a kind.
        clock: seconds; for tests.
    """

    def __init__(
        self, write: Callable[[str], None], period_s: float = 2.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._write = write
        self._period_s = period_s
        self._clock = clock
        self._written_at_s: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def __call__(self, line: str) -> None:
        """Writes the line, or counts it."""
        now = self._clock()
        kind = self._kind_of(line, now)
        written_at = self._written_at_s.get(kind)
        if written_at is not None and now - written_at < self._period_s:
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return
        left_out = self._left_out.pop(kind, 0)
        self._written_at_s[kind] = now
        self._write(f"{line} ({left_out} more like this)" if left_out else line)

    def _kind_of(self, line: str, now: float) -> str:
        kind = _VARYING.sub("", line)
        if kind in self._written_at_s or len(self._written_at_s) < _MAX_KINDS:
            return kind
        for old in [old for old, at in self._written_at_s.items() if now - at >= self._period_s]:
            del self._written_at_s[old]
            self._left_out.pop(old, None)
        return kind if len(self._written_at_s) < _MAX_KINDS else ""
