# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""When a recorded frame is due."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from aliked_ros.io.messages.stamps import NS_PER_S

_CATCH_UP_S = 0.1


class Schedule:
    """Waits until recorded frames are due, at some multiple of the recorded speed.

    A replay that is late by a tenth of a second or less catches up; one that is later goes on from where it is,
    rather than send a burst.

    Args:
        rate: speed as a multiple of the recording's; 0 never waits.
        clock: seconds, monotonic; for tests.
    """

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._origin: tuple[int, float] | None = None  # a stamp and when it was due

    def delay_s(self, stamp_ns: int) -> float:
        """Seconds until a frame is due, 0 for one that is due or late."""
        if self._rate == 0:
            return 0.0
        now = self._clock()
        if self._origin is None:
            self._origin = (stamp_ns, now)
        origin_ns, origin_s = self._origin
        due_s = origin_s + (stamp_ns - origin_ns) / NS_PER_S / self._rate
        if now - due_s > _CATCH_UP_S:
            self._origin = (stamp_ns, now)
        return max(0.0, due_s - now)

    def wait(self, stamp_ns: int, stop: threading.Event) -> None:
        """Waits until a frame is due, or until ``stop`` is set."""
        delay_s = self.delay_s(stamp_ns)
        if delay_s > 0:
            stop.wait(delay_s)
