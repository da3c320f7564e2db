# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""When a machine has more images than time, and when it has time again.

Overload begins with what is seen: images that gave way to newer ones, or a long latency. Once something is lowered
these say nothing of the machine any more, so the end is judged by the load: the share of its time that the worker
would need for every image that came.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from aliked_ros.ros.node_config import OverloadConfig

_MIN_IMAGES = 5  # in a window; fewer prove nothing


@dataclass(frozen=True)
class Flow:
    """What became of the images since the start, of all cameras together."""

    received: int = 0
    admitted: int = 0  # by max_rate
    superseded: int = 0  # admitted, and given up for newer ones
    handled: int = 0
    busy_s: float = 0.0  # time spent on them
    latency_s: float = 0.0  # sum over the images handled

    def since(self, before: Flow) -> Flow:
        """What became of those in between."""
        names = self.__dataclass_fields__
        return Flow(**{name: getattr(self, name) - getattr(before, name) for name in names})


@dataclass(frozen=True)
class Load:
    """How a window went."""

    dropped: float  # share of the images that gave way to newer ones
    latency_s: float  # mean; 0 without images
    share: float  # of the worker's time that every image of the window would have taken; infinite if none was done

    @classmethod
    def of(cls, flow: Flow, seconds: float, max_rate_hz: float) -> Load:
        """Of the images of so many seconds, of which so many a second are wanted at most; 0 wants all."""
        dropped = flow.superseded / flow.admitted if flow.admitted else 0.0
        if not flow.handled:
            return cls(dropped, 0.0, math.inf if flow.admitted else 0.0)
        rate_hz = flow.received / seconds
        wanted_hz = min(rate_hz, max_rate_hz) if max_rate_hz > 0 else rate_hz
        return cls(dropped, flow.latency_s / flow.handled, flow.busy_s / flow.handled * wanted_hz)


class OverloadGuard:
    """Says whether the machine is overloaded, with hysteresis. Not for several threads at once.

    Args:
        config: what counts as overloaded.
        clock: seconds, monotonic; for tests.
    """

    def __init__(self, config: OverloadConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._clock = clock
        self._history: deque[tuple[float, Flow]] = deque()
        self.is_overloaded = False
        self.load = Load(0.0, 0.0, 0.0)  # of the last whole window

    def use(self, config: OverloadConfig) -> None:
        """Other settings from now on; another policy starts without overload."""
        if config.policy != self._config.policy:
            self.reset()
        self._config = config

    def reset(self) -> None:
        """Forgets what has been."""
        self._history.clear()
        self.is_overloaded = False

    def update(self, flow: Flow, max_rate_hz: float = 0.0) -> bool:
        """Judges the window that ends now and returns whether overload has begun or ended.

        Args:
            flow: what became of the images since the start.
            max_rate_hz: images per second that are wanted of all cameras together; 0 wants all.
        """
        if self._config.policy == "none":
            return False
        now = self._clock()
        self._history.append((now, flow))
        while len(self._history) > 1 and self._history[1][0] <= now - self._config.window:
            self._history.popleft()
        start_s, before = self._history[0]
        if now - start_s < self._config.window:
            return False
        change = flow.since(before)
        if self.is_overloaded and change.received and not change.handled:
            return False  # at a rate that is lower than one image in a window, it says nothing of the machine
        self.load = Load.of(change, now - start_s, max_rate_hz)
        changes = self._ends() if self.is_overloaded else self._begins(change)
        if changes:
            self.is_overloaded = not self.is_overloaded
            self._history = deque([(now, flow)])  # what was before says nothing of what is now
        return changes

    def _begins(self, change: Flow) -> bool:
        config = self._config
        if change.admitted < _MIN_IMAGES and change.handled < _MIN_IMAGES:
            return False
        is_late = 0 < config.begin_latency < self.load.latency_s
        return is_late or self.load.dropped >= config.begin_dropped

    def _ends(self) -> bool:
        config = self._config
        is_late = config.begin_latency > 0 and self.load.latency_s > config.end_load * config.begin_latency
        return self.load.share <= config.end_load and not is_late
