# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""When recorded frames are due."""

from __future__ import annotations

import threading

import pytest

from aliked_ros.ros.schedule import Schedule

MS = 1_000_000


class Clock:
    now = 50.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("rate", [0.5, 1.0, 4.0])
def test_frames_keep_their_distance_at_every_rate(rate: float) -> None:
    clock = Clock()
    schedule = Schedule(rate, clock)
    assert schedule.delay_s(7000 * MS) == 0.0
    assert schedule.delay_s(7040 * MS) == pytest.approx(0.040 / rate)
    clock.now += 0.010
    assert schedule.delay_s(7080 * MS) == pytest.approx(0.080 / rate - 0.010)


def test_a_little_lateness_is_caught_up_and_a_lot_is_not() -> None:
    clock = Clock()
    schedule = Schedule(1.0, clock)
    schedule.delay_s(0)
    clock.now += 0.09
    assert schedule.delay_s(40 * MS) == 0.0
    assert schedule.delay_s(100 * MS) == pytest.approx(0.01), "still on the old time"
    clock.now += 5.0
    assert schedule.delay_s(140 * MS) == 0.0
    assert schedule.delay_s(180 * MS) == pytest.approx(0.04), "no burst"


def test_rate_zero_never_waits() -> None:
    schedule = Schedule(0.0, Clock())
    assert [schedule.delay_s(ns) for ns in (0, 10**12)] == [0.0, 0.0]


def test_a_request_to_stop_ends_a_wait() -> None:
    stop = threading.Event()
    stop.set()
    schedule = Schedule(1.0)
    schedule.wait(0, stop)
    schedule.wait(10**15, stop)  # eleven days
