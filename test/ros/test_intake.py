# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Which images are processed next, and with what."""

from __future__ import annotations

import threading
from itertools import pairwise

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from aliked_ros.ros.intake import Arrival, Intake, IntakeSettings

MS = 1_000_000
LEFT, RIGHT = 0, 1


class Bench:
    """An intake with a clock of its own."""

    def __init__(self, cameras: int = 2, **settings: object) -> None:
        self.now = 100.0
        self.drops: list[int] = []
        values = {"capacity": 3, "sync_slop_ns": 5 * MS, "sync_timeout_s": 0.03, **settings}
        self.intake = Intake(
            cameras,
            IntakeSettings(**values),  # type: ignore[arg-type]
            lambda camera, count: self.drops.extend([camera] * count),
            lambda: self.now,
        )

    def put(self, camera: int, stamp_ms: float) -> None:
        self.intake.put(camera, f"{camera}@{stamp_ms}", round(stamp_ms * MS))

    def choose(self) -> tuple[list[str], float | None]:
        batch, wait_s = self.intake._choose(self.now)
        return [arrival.message for arrival in batch], wait_s


def test_a_single_camera_gets_its_newest_image_at_once() -> None:
    bench = Bench(1, capacity=1)
    bench.put(LEFT, 1)
    bench.put(LEFT, 2)
    assert bench.drops == [LEFT]
    assert bench.choose() == (["0@2"], None)
    assert bench.choose() == ([], None)


def test_images_of_one_moment_are_taken_together_and_older_ones_dropped() -> None:
    bench = Bench()
    for stamp in (0, 33, 66):
        bench.put(LEFT, stamp)
    bench.put(RIGHT, 1)
    bench.put(RIGHT, 34)
    assert bench.choose() == (["0@33", "1@34"], None), "the newest moment that is complete"
    assert bench.drops == [LEFT, RIGHT]
    batch, wait_s = bench.choose()
    assert batch == []
    assert wait_s == pytest.approx(0.03)
    bench.put(RIGHT, 67)
    assert bench.choose() == (["0@66", "1@67"], None)


def test_a_camera_that_is_late_is_waited_for_and_one_that_stopped_is_not() -> None:
    bench = Bench()
    bench.put(LEFT, 0)
    bench.put(RIGHT, 0)
    assert len(bench.choose()[0]) == 2
    bench.put(LEFT, 33)
    assert bench.choose()[0] == []
    bench.now += 0.031
    assert bench.choose() == (["0@33"], None), "the wait is bounded"
    bench.now += 2.0
    bench.put(LEFT, 2066)
    assert bench.choose() == (["0@2066"], None), "a silent camera is not waited for"


def test_an_image_that_waited_for_another_camera_in_vain_is_marked() -> None:
    bench = Bench()
    bench.put(LEFT, 0)
    assert [a.is_unpaired for a in bench.intake._choose(bench.now)[0]] == [False], "there is no other camera yet"
    bench.put(LEFT, 33)
    bench.put(RIGHT, 34)
    assert [a.is_unpaired for a in bench.intake._choose(bench.now)[0]] == [False, False]
    bench.put(LEFT, 66)
    bench.now += 0.031
    assert [a.is_unpaired for a in bench.intake._choose(bench.now)[0]] == [True]
    bench.now += 2.0
    bench.put(LEFT, 2066)
    assert [a.is_unpaired for a in bench.intake._choose(bench.now)[0]] == [False], "the other one is silent"


def test_cameras_out_of_step_are_processed_one_by_one() -> None:
    bench = Bench()
    bench.put(RIGHT, 0)
    assert bench.choose()[0] == ["1@0"]
    bench.put(LEFT, 16)
    bench.put(RIGHT, 33)
    taken = [bench.choose()[0]]
    bench.now += 0.05
    taken += [bench.choose()[0] for _ in range(2)]
    assert ["0@16"] in taken
    assert ["1@33"] in taken
    assert bench.drops == []


@pytest.mark.parametrize(
    ("behind_ms", "period_ms", "work_s", "settings"),
    [
        (30, 100, 0.12, {}),
        (200, 100, 0.12, {}),
        # One waits for partners or depth that never come, while newer images take the place of those that wait.
        (1000, 8, 0.03, {}),
        (1000, 33, 0.03, {"depth": True, "depth_slop_ns": 20 * MS, "depth_timeout_s": 0.1}),
        (16, 33, 0.1, {"depth": True, "depth_slop_ns": 20 * MS, "depth_timeout_s": 0.1, "left_depth": True}),
    ],
)
def test_no_camera_starves_under_overload(
    behind_ms: int, period_ms: int, work_s: float, settings: dict[str, object]
) -> None:
    settings = dict(settings)
    has_left_depth = bool(settings.pop("left_depth", False))
    bench = Bench(**settings)
    start_s, taken, busy_until_s = bench.now, [0, 0], 0.0
    for now_ms in range(20_000):
        bench.now = start_s + now_ms / 1000
        if now_ms % period_ms == 0:
            bench.put(LEFT, now_ms)
            bench.put(RIGHT, now_ms - behind_ms)
            if has_left_depth:
                bench.intake.put_depth(LEFT, "depth", now_ms * MS)
        if bench.now >= busy_until_s:
            batch = bench.intake._choose(bench.now)[0]
            for arrival in batch:
                taken[arrival.camera] += 1
            busy_until_s = bench.now + work_s * len(batch)
    assert sum(taken) > 0.9 * 20 / work_s, "it is never idle for long"
    assert min(taken) > 0.45 * sum(taken)


def test_every_image_in_order() -> None:
    bench = Bench(in_order=True, capacity=10)
    for stamp in (0, 33, 66):
        bench.put(LEFT, stamp)
    for stamp in (0, 33, 66):
        bench.put(RIGHT, stamp)
    assert [bench.choose()[0] for _ in range(3)] == [[f"0@{stamp}", f"1@{stamp}"] for stamp in (0, 33, 66)]
    bench.put(LEFT, 0)  # time jumped back
    bench.put(RIGHT, 0)
    assert bench.choose()[0] == ["0@0", "1@0"]
    assert bench.drops == []


def test_an_image_waits_for_its_depth_but_not_for_ever() -> None:
    bench = Bench(1, depth=True, depth_slop_ns=20 * MS, depth_timeout_s=0.1)
    bench.put(LEFT, 0)
    assert bench.choose() == ([], pytest.approx(0.1))
    bench.intake.put_depth(LEFT, "depth", 15 * MS)
    (arrival,) = bench.intake.take() or []
    assert arrival.depth == "depth"
    bench.put(LEFT, 100)
    assert bench.choose()[0] == []
    bench.intake.put_depth(LEFT, "later", 140 * MS)
    (arrival,) = bench.intake.take() or []
    assert arrival.depth is None, "depth has gone past this image"
    bench.put(LEFT, 200)
    bench.now += 0.11
    (arrival,) = bench.intake.take() or []
    assert arrival.depth is None
    bench.now += 2.0
    bench.put(LEFT, 2300)
    assert bench.choose()[0] == ["0@2300"], "depth that stopped is not waited for"


def test_as_many_depths_are_kept_as_images_may_wait() -> None:
    bench = Bench(1, in_order=True, capacity=30, depth=True, depth_slop_ns=5 * MS, depth_timeout_s=0.1)
    for index in range(30):
        bench.intake.put_depth(LEFT, index, 33 * index * MS)
        bench.put(LEFT, 33 * index)
    taken = [arrival for _ in range(30) for arrival in bench.intake.take() or []]
    assert [arrival.depth for arrival in taken] == list(range(30))
    assert bench.drops == []


def test_what_came_before_a_pause_is_not_joined_after_it() -> None:
    bench = Bench(1, depth=True, depth_slop_ns=5 * MS, depth_timeout_s=0.1)
    bench.intake.put_depth(LEFT, "old", 0)
    bench.intake.clear()
    bench.put(LEFT, 0)
    assert bench.choose() == ([], pytest.approx(0.1))


def test_an_image_that_waits_does_not_hold_up_one_that_is_ready() -> None:
    bench = Bench(1, depth=True, depth_slop_ns=5 * MS, depth_timeout_s=0.1)
    bench.put(LEFT, 0)
    bench.put(LEFT, 33)
    bench.intake.put_depth(LEFT, "of the first", 0)
    (arrival,) = bench.intake.take() or []
    assert (arrival.message, arrival.depth) == ("0@0", "of the first")
    assert bench.drops == []


def stream(bench: Bench, period_ms: int, right_until_ms: int = 0) -> list[tuple[int, list[str]]]:
    """What a thread with nothing else to do takes of three seconds of the left camera's images, and when, in ms."""
    taken, start_s = [], bench.now
    for now_ms in range(3000):
        bench.now = start_s + now_ms / 1e3
        if now_ms % period_ms == 0:
            bench.put(LEFT, now_ms)
            if now_ms < right_until_ms:
                bench.put(RIGHT, now_ms)
        while batch := bench.choose()[0]:
            taken.append((now_ms, batch))
    return taken


@pytest.mark.parametrize("period_ms", [5, 10, 16, 33, 50])
@pytest.mark.parametrize("in_order", [False, True])
def test_images_without_depth_are_processed_at_any_rate(period_ms: int, in_order: bool) -> None:
    bench = Bench(1, in_order=in_order, depth=True, depth_slop_ns=20 * MS, depth_timeout_s=0.1)
    taken = stream(bench, period_ms)
    assert bench.drops == [], "whoever waits in vain waits no longer than there is room for"
    assert [batch for _, batch in taken] == [[f"0@{stamp}"] for stamp in range(0, 3000, period_ms)][: len(taken)]
    assert taken[-1][0] >= 3000 - period_ms
    if period_ms == 50:
        assert taken[0][0] == 100, "the whole timeout, where there is room"


@pytest.mark.parametrize("period_ms", [5, 10, 16, 33, 50])
def test_a_camera_keeps_its_rate_when_another_dies(period_ms: int) -> None:
    bench = Bench()
    taken = stream(bench, period_ms, right_until_ms=1000)
    assert all(len(batch) == 2 for now_ms, batch in taken if now_ms < 1000)
    alone = [now_ms for now_ms, batch in taken if now_ms >= 1000 and len(batch) == 1]
    assert max(later - earlier for earlier, later in pairwise([1000, *alone])) <= 30 + 2 * period_ms
    # What waited for the dead camera is given up for newer images once that is no longer waited for.
    assert len(bench.drops) <= 3


def test_a_thread_that_is_busy_finds_the_newest_images() -> None:
    bench = Bench(1, depth=True, depth_slop_ns=5 * MS, depth_timeout_s=0.1)
    bench.put(LEFT, 0)
    bench.intake.put_depth(LEFT, "depth", 0)
    assert bench.choose()[0] == ["0@0"]
    for stamp in range(10, 60, 10):  # meanwhile
        bench.put(LEFT, stamp)
    assert bench.drops == [LEFT] * 2
    bench.intake.put_depth(LEFT, "depth", 50 * MS)
    assert bench.choose()[0] == ["0@50"]


@pytest.mark.parametrize("offset_ms", [1, 16])
def test_every_camera_gets_the_rate(offset_ms: float) -> None:
    bench = Bench(max_rate_hz=10.0, capacity=1000)
    for index in range(300):  # 10 s
        for camera in (LEFT, RIGHT):
            bench.now = 100.0 + index / 30 + camera * offset_ms / 1e3
            bench.put(camera, index / 0.03 + camera * offset_ms)
    assert [len(waiting) for waiting in bench.intake._queues] == [100, 100]
    assert bench.intake.flow.admitted == 200
    assert len(bench.drops) == 400


def test_closing_ends_the_wait_and_drops_what_is_there() -> None:
    bench = Bench(1)
    taken: list[list[Arrival] | None] = []
    thread = threading.Thread(target=lambda: taken.append(bench.intake.take()))
    thread.start()
    bench.intake.close()
    thread.join(10)
    assert taken == [None]
    bench.put(LEFT, 0)
    assert bench.drops == [LEFT]
