# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The tracker's counters, states and intervals."""

from __future__ import annotations

import math
import threading

import pytest

from aliked_ros.io.messages.status_fields import TrackerState
from aliked_ros.ros.monitor import Counts, LastImage, Monitor
from aliked_ros.ros.phase import Phase


class Clock:
    now = 10.0

    def __call__(self) -> float:
        return self.now


def last_image(latency_ms: float = 12.0) -> LastImage:
    timings = {"wait": 0.5, "preprocess": 1.0, "inference": 8.0, "match": 2.0}
    return LastImage("camera", 0, 500, 300, 7.5, latency_ms, 1.0, timings)


def state(monitor: Monitor) -> TrackerState:
    return monitor.status(device="", backend="", precision="", model="").state


def test_states_follow_the_images() -> None:
    clock = Clock()
    monitor = Monitor(clock)
    assert state(monitor) == TrackerState.STARTING
    monitor.enter(Phase.ACTIVE)
    assert state(monitor) == TrackerState.IDLE
    monitor.received()
    assert state(monitor) == TrackerState.RUNNING
    monitor.refused("RuntimeError: out of memory", failed=True)
    assert state(monitor) == TrackerState.ERROR
    monitor.received()
    monitor.processed(last_image())
    assert state(monitor) == TrackerState.RUNNING, "one good image ends the error"
    clock.now += 5.0
    assert state(monitor) == TrackerState.IDLE
    monitor.enter(Phase.DISABLED)
    monitor.received()
    assert state(monitor) == TrackerState.DISABLED


def test_silence_begins_with_activation_and_ends_with_an_image() -> None:
    clock = Clock()
    monitor = Monitor(clock)
    clock.now += 7.0
    assert monitor.seconds_without_image() == 0.0, "nobody expects one yet"
    monitor.enter(Phase.ACTIVE)
    clock.now += 4.0
    monitor.enter(Phase.ACTIVE)
    assert monitor.seconds_without_image() == pytest.approx(4.0), "it was active before"
    monitor.received()
    clock.now += 1.0
    assert monitor.seconds_without_image() == pytest.approx(1.0)
    monitor.enter(Phase.INACTIVE)
    clock.now += 30.0
    monitor.enter(Phase.ACTIVE)
    clock.now += 2.0
    assert monitor.seconds_without_image() == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("phase", "expected"),
    [
        (Phase.UNCONFIGURED, TrackerState.STARTING),
        (Phase.LOADING, TrackerState.STARTING),
        (Phase.INACTIVE, TrackerState.DISABLED),
        (Phase.DISABLED, TrackerState.DISABLED),
        (Phase.ACTIVE, TrackerState.IDLE),
        (Phase.SHUT_DOWN, TrackerState.DISABLED),
    ],
)
def test_states_follow_the_node_s_phases(phase: Phase, expected: TrackerState) -> None:
    monitor = Monitor()
    monitor.enter(phase, "no such file")
    assert (state(monitor), monitor.failure) == (TrackerState.ERROR, "no such file")
    monitor.enter(phase)
    assert (state(monitor), monitor.failure) == (expected, "")


def test_a_refused_calibration_is_of_the_configuration_that_met_it() -> None:
    monitor = Monitor()
    for phase in (Phase.LOADING, Phase.INACTIVE, Phase.ACTIVE):
        monitor.enter(phase)
    monitor.calibration_refused("K is zero")
    for phase in (Phase.INACTIVE, Phase.UNCONFIGURED):
        monitor.enter(phase)
        assert monitor.calibration_error == "K is zero"
    monitor.enter(Phase.LOADING)  # from a file, now
    assert not monitor.calibration_error
    assert monitor.calibrations_refused == 1


def test_a_bad_image_is_no_error_of_the_node() -> None:
    monitor = Monitor()
    monitor.enter(Phase.ACTIVE)
    monitor.received()
    monitor.refused("step is 3 bytes")
    assert state(monitor) == TrackerState.RUNNING
    assert monitor.last_refusal == "step is 3 bytes"


def test_counters_add_up_from_several_threads() -> None:
    monitor = Monitor()

    def work() -> None:
        for index in range(3000):
            monitor.received()
            if index % 3 == 0:
                monitor.dropped(1)
            elif index % 3 == 1:
                monitor.refused("bad")
            else:
                monitor.processed(last_image())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert monitor.counts == Counts(12000, 4000, 4000, 4000)
    assert monitor.counts.in_flight == 0


def test_intervals_count_for_themselves() -> None:
    clock = Clock()
    monitor = Monitor(clock)
    monitor.received()
    monitor.received()
    clock.now += 2.0
    first = monitor.next_interval()
    assert (first.seconds, first.counts, first.stages) == (2.0, Counts(received=2), {})
    monitor.processed(last_image(10.0))
    monitor.processed(last_image(30.0))
    clock.now += 1.0
    second = monitor.next_interval()
    assert (second.seconds, second.counts) == (1.0, Counts(processed=2))
    assert second.stages["latency"].p50 == pytest.approx(20.0)
    assert second.stages["latency"].max == 30.0
    assert second.stages["wait"].p99 == 0.5


def test_images_without_a_partner_are_counted_by_interval() -> None:
    monitor = Monitor()
    monitor.processed(last_image(), lacks_partner=True)
    assert monitor.next_interval().without_partner == 1
    monitor.processed(last_image(), lacks_partner=True, lacks_depth=True)
    monitor.processed(last_image())
    monitor.processed(last_image(), lacks_partner=True)
    interval = monitor.next_interval()
    assert (interval.without_partner, interval.without_depth, interval.counts.processed) == (2, 1, 3)
    assert (monitor.without_partner, monitor.without_depth) == (3, 1)


def test_images_that_are_never_answered_are_noticed() -> None:
    clock = Clock()
    monitor = Monitor(clock)
    monitor.enter(Phase.ACTIVE)
    clock.now += 10.0
    assert monitor.seconds_without_answer() == 0.0, "none has come"
    for _ in range(3):
        monitor.received()
        monitor.dropped(1)
        clock.now += 2.0
    assert monitor.seconds_without_answer() == pytest.approx(6.0)
    monitor.received()
    monitor.refused("step is 3 bytes")
    assert monitor.seconds_without_answer() == 0.0
    clock.now += 10.0
    assert monitor.seconds_without_answer() == 0.0, "none has come since"
    monitor.received()
    monitor.received()
    clock.now += 1.0
    monitor.processed(last_image())
    clock.now += 2.0
    assert monitor.seconds_without_answer() == pytest.approx(2.0), "one waits still"
    monitor.enter(Phase.INACTIVE)
    monitor.enter(Phase.ACTIVE)
    assert monitor.seconds_without_answer() == 0.0


def test_the_rate_is_that_of_the_last_images() -> None:
    clock = Clock()
    monitor = Monitor(clock)
    assert math.isnan(monitor.rate_hz)
    for _ in range(5):
        clock.now += 0.1
        monitor.processed(last_image())
    assert monitor.rate_hz == pytest.approx(10.0)
    clock.now += 5.0
    assert math.isnan(monitor.rate_hz), "long ago"


def test_status_before_and_after_the_first_image() -> None:
    monitor = Monitor()
    status = monitor.status(device="cpu", backend="b", precision="fp32", model="aliked-t16")
    assert math.isnan(status.latency_ms)
    assert status.num_features == 0
    monitor.received()
    monitor.processed(last_image())
    status = monitor.status(device="cpu", backend="b", precision="fp32", model="aliked-t16")
    assert (status.received, status.processed, status.num_features, status.num_tracks) == (1, 1, 500, 300)
    assert (status.latency_ms, status.preprocess_ms, status.inference_ms) == (12.0, 1.0, 8.0)
    assert (status.match_ms, status.publish_ms, status.mean_track_age) == (2.0, 1.0, 7.5)
