# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""When a machine counts as overloaded, and when no longer."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import pytest

from aliked_ros.errors import ConfigError
from aliked_ros.ros.node_config import OverloadConfig
from aliked_ros.ros.overload import Flow, Load, OverloadGuard

CONFIG = OverloadConfig(policy="fewer_keypoints", window=2.0, begin_dropped=0.2, end_load=0.7)
STEP_S = 0.25


@dataclass
class Machine:
    """A worker that takes some time per image of a camera with some rate; newest first, as the tracker does it."""

    config: OverloadConfig = CONFIG
    rate_hz: float = 40.0
    cost_s: float = 0.01
    latency_s: float = 0.02
    max_rate_hz: float = 0.0
    limit_hz: float = 0.0  # below max_rate_hz while overloaded
    now: float = 100.0
    flow: Flow = field(default_factory=Flow)

    def __post_init__(self) -> None:
        self.guard = OverloadGuard(self.config, lambda: self.now)

    def run(self, seconds: float) -> list[tuple[float, bool]]:
        """When overload began or ended, seconds from now, and what it was then."""
        start, changes = self.now, []
        for _ in range(round(seconds / STEP_S)):
            self.now += STEP_S
            received = self.rate_hz * STEP_S
            limits = [limit * STEP_S for limit in (self.max_rate_hz, self.limit_hz) if limit]
            admitted = min(received, *limits) if limits else received
            handled = min(admitted, STEP_S / self.cost_s)
            self.flow = replace(
                self.flow,
                received=self.flow.received + round(received),
                admitted=self.flow.admitted + round(admitted),
                superseded=self.flow.superseded + round(admitted - handled),
                handled=self.flow.handled + round(handled),
                busy_s=self.flow.busy_s + handled * self.cost_s,
                latency_s=self.flow.latency_s + handled * self.latency_s,
            )
            if self.guard.update(self.flow, self.max_rate_hz):
                changes.append((self.now - start, self.guard.is_overloaded))
        return changes


def test_a_machine_that_keeps_up_is_not_overloaded() -> None:
    machine = Machine(cost_s=0.02)
    assert machine.run(20.0) == []
    assert machine.guard.load.share == pytest.approx(0.8)
    assert machine.guard.load.dropped == 0.0


def test_overload_begins_after_a_whole_window_and_ends_with_room_to_spare() -> None:
    machine = Machine(cost_s=0.05)
    assert machine.run(10.0) == [(2.25, True)], "begins once and stays"
    machine.cost_s = 0.02  # what fewer keypoints bring: all images are processed, with little room
    assert machine.run(10.0) == [], "nothing is dropped any more, but a load of 0.8 is no reason to ask for more again"
    assert machine.guard.is_overloaded
    machine.rate_hz = 20.0
    ((ended_s, is_overloaded),) = machine.run(10.0)
    assert not is_overloaded
    assert 0 < ended_s <= CONFIG.window
    assert machine.run(10.0) == []


def test_a_lower_rate_does_not_hide_the_load() -> None:
    machine = Machine(replace(CONFIG, policy="lower_rate"), cost_s=0.05)
    assert machine.run(5.0) == [(2.25, True)]
    machine.limit_hz = 8.0
    assert machine.run(20.0) == [], "all images would still take twice the time there is"
    assert machine.guard.load.dropped == 0.0
    assert machine.guard.load.share == pytest.approx(2.0)
    machine.rate_hz = 8.0
    assert [change for _, change in machine.run(5.0)] == [False]


def test_images_that_nobody_wants_are_no_load() -> None:
    machine = Machine(cost_s=0.05, max_rate_hz=8.0)
    assert machine.run(20.0) == []
    assert machine.guard.load.share == pytest.approx(0.4)


def test_latency_can_begin_and_hold_overload() -> None:
    machine = Machine(replace(CONFIG, begin_latency=0.1), cost_s=0.01, latency_s=0.2)
    assert machine.run(5.0) == [(2.25, True)]
    machine.latency_s = 0.08
    assert machine.run(5.0) == [], "above 0.7 of what began it"
    machine.latency_s = 0.05
    assert [change for _, change in machine.run(5.0)] == [False]


def test_overload_ends_when_the_camera_does() -> None:
    machine = Machine(cost_s=0.05)
    machine.run(5.0)
    machine.rate_hz = 0.0
    assert [change for _, change in machine.run(5.0)] == [False]


def test_a_rate_of_less_than_an_image_in_a_window_does_not_end_overload() -> None:
    config, now = OverloadConfig(policy="lower_rate", max_rate=0.1), 0.0
    guard = OverloadGuard(config, lambda: now)
    guard.update(Flow())
    now = config.window
    assert guard.update(Flow(received=60, admitted=60, superseded=50, handled=10, busy_s=2.0, latency_s=1.0))
    for images in (120, 180, 240):
        now += config.window
        assert not guard.update(Flow(images, 60, 50, 10, 2.0, 1.0)), "nothing was admitted, and nothing is known"
        assert guard.is_overloaded
    now += config.window
    guard.update(Flow(240, 60, 50, 10, 2.0, 1.0))
    assert not guard.is_overloaded, "no image comes any more"


def test_few_images_prove_nothing() -> None:
    machine = Machine(rate_hz=1.0, cost_s=5.0)
    assert machine.run(20.0) == []


def test_without_a_policy_nothing_is_overloaded() -> None:
    machine = Machine(OverloadConfig(), cost_s=0.05)
    assert machine.run(20.0) == []
    machine.guard.use(CONFIG)
    machine.run(5.0)
    assert machine.guard.is_overloaded
    machine.guard.use(OverloadConfig())
    assert not machine.guard.is_overloaded, "at once"


def test_a_window_without_images_has_no_load() -> None:
    assert Load.of(Flow(), 2.0, 0.0) == Load(0.0, 0.0, 0.0)
    assert Load.of(Flow(received=10, admitted=10, superseded=9), 2.0, 0.0) == Load(0.9, 0.0, math.inf), "one takes all"


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="policy must be one of none, fewer_keypoints, lower_rate, got 'less'"):
        OverloadConfig(policy="less")
    with pytest.raises(ConfigError, match=r"end_load must be at most 0\.95"):
        OverloadConfig(end_load=1.0)
