# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""How often images are taken: at the rate over time, of every camera, and simultaneous ones together."""

from __future__ import annotations

import random

import pytest

from aliked_ros.ros.rate import RateGate, RateLimiter

MS = 1_000_000
SLOP_NS = 5 * MS
SECONDS = 60.0


def taken(rate_hz: float, *offsets_s: float, starts_s: tuple[float, ...] = (), jitter_s: float = 0.0) -> list[set[int]]:
    """The numbers of the images that are taken at 10 Hz at most, of each camera of this rate."""
    jitter = random.Random(0)
    images = sorted(
        (index / rate_hz + offset_s + jitter.uniform(0, jitter_s), camera, index, index / rate_hz + offset_s)
        for camera, offset_s in enumerate(offsets_s)
        for index in range(round(SECONDS * rate_hz))
        if not starts_s or index / rate_hz >= starts_s[camera]
    )
    gate = RateGate()
    found: list[set[int]] = [set() for _ in offsets_s]
    for now, camera, index, stamp_s in images:
        if gate.admits(camera, round(stamp_s * 1e9), 100.0 + now, 10.0, SLOP_NS):
            found[camera].add(index)
    return found


@pytest.mark.parametrize("rate_hz", [8, 10, 10.5, 11, 12, 15, 25, 29.97, 30, 60])
@pytest.mark.parametrize("jitter_s", [0.0, 0.003])
def test_the_rate_is_met_over_time(rate_hz: float, jitter_s: float) -> None:
    (only,) = taken(rate_hz, 0.0, jitter_s=jitter_s)
    assert len(only) == pytest.approx(min(10, rate_hz) * SECONDS, abs=2)


def test_every_third_of_30_hz_is_taken_at_10_hz() -> None:
    assert taken(30, 0.0) == [set(range(0, 1800, 3))]


@pytest.mark.parametrize("rate_hz", [11, 12, 25, 30])
@pytest.mark.parametrize("offset_s", [0.007, 0.0166, 0.03])
def test_cameras_out_of_step_get_the_rate_each(rate_hz: float, offset_s: float) -> None:
    for found in taken(rate_hz, 0.0, offset_s):
        assert len(found) == pytest.approx(10 * SECONDS, abs=2)


@pytest.mark.parametrize("rate_hz", [11, 12, 25, 30, 60])
@pytest.mark.parametrize("jitter_s", [0.0, 0.003])
def test_cameras_in_step_are_taken_together(rate_hz: float, jitter_s: float) -> None:
    left, right, third = taken(rate_hz, 0.0, 0.001, 0.002, jitter_s=jitter_s)
    assert left == right == third
    assert len(left) == pytest.approx(10 * SECONDS, abs=2)


@pytest.mark.parametrize("late_offset_s", [-0.001, 0.001])
@pytest.mark.parametrize("start_s", [5.0, 5.03, 5.06])
def test_a_camera_that_starts_later_falls_in_step(late_offset_s: float, start_s: float) -> None:
    left, right = taken(30, 0.0, late_offset_s, starts_s=(0.0, start_s), jitter_s=0.0005)
    assert {index for index in left if index > 160} == {index for index in right if index > 160}
    assert len(left) == pytest.approx(10 * SECONDS, abs=2)


def test_a_pause_is_not_made_up_for() -> None:
    limiter = RateLimiter()
    times_s = [*(index / 30 for index in range(30)), *(20 + index / 30 for index in range(30))]
    assert sum(limiter.admits(at_s, 10.0) for at_s in times_s) <= 21


def test_another_rate_holds_at_once_and_0_takes_all() -> None:
    gate, limiter = RateGate(), RateLimiter()
    for admits in (lambda at_s, rate: gate.admits(0, round(at_s * 1e9), at_s, rate, SLOP_NS), limiter.admits):
        assert [admits(1.0, 0.1), admits(2.0, 0.1)] == [True, False]
        assert [admits(3.0 + index / 10, 10.0) for index in range(3)] == [True] * 3
        assert all(admits(4.0 + index / 1000, 0.0) for index in range(5))
