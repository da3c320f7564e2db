# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Log lines once in a while, by kind."""

from __future__ import annotations

from aliked_ros.ros.throttle import ThrottledLog


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_one_line_per_kind_and_period() -> None:
    lines: list[str] = []
    clock = Clock()
    log = ThrottledLog(lines.append, 2.0, clock)
    for step in range(10):
        log(f"step is {step} bytes")
    log("unknown encoding 'rgb9'")
    log("unknown encoding 'zz'")
    assert lines == ["step is 0 bytes", "unknown encoding 'rgb9'"]
    clock.now += 2.0
    log("step is 77 bytes")
    assert lines[-1] == "step is 77 bytes (9 more like this)"
    clock.now += 2.0
    log("step is 78 bytes")
    assert lines[-1] == "step is 78 bytes", "the count starts anew"


def test_kinds_are_bounded() -> None:
    lines: list[str] = []
    clock = Clock()
    log = ThrottledLog(lines.append, 2.0, clock)
    for index in range(10_000):
        log("kind " + "x" * index)
    assert len(lines) <= 40
    clock.now += 2.0
    before = len(lines)
    log("something new")
    assert len(lines) == before + 1, "old kinds make room"
