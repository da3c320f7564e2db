# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import itertools
import random

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from aliked_ros.ros.frame_joiner import FrameJoiner


def give(joiner: FrameJoiner, *parts: str) -> list[str]:
    """Adds parts like f3 or t3 of epoch 0 and returns what comes out, as "f3 t3"."""
    names = {"f": "features", "t": "tracks", "m": "matches"}
    added = (joiner.add(0, int(part[1:]), names[part[0]], part) for part in parts)
    return [" ".join(sorted(ready.values())) for out in added for ready in out]


@pytest.mark.parametrize("order", list(itertools.permutations(["f0", "t0", "f1", "t1"])))
def test_complete_images_come_out_in_order(order: tuple[str, ...]) -> None:
    joiner = FrameJoiner(["features", "tracks"])
    out = give(joiner, *order)
    assert out == sorted(out)
    if order.index("f0") < order.index("f1") and order.index("t0") < order.index("t1"):  # topics keep their order
        assert out == ["f0 t0", "f1 t1"]
        assert joiner.num_given_up == 0


def test_an_image_that_lacks_a_part_is_given_up_when_a_later_one_is_complete() -> None:
    joiner = FrameJoiner(["features", "tracks"])
    assert give(joiner, "f0", "f1", "t1") == ["f1 t1"]
    assert joiner.num_given_up == 1
    assert give(joiner, "t0") == []


def test_optional_parts_are_waited_for_until_a_later_image_has_what_is_required() -> None:
    joiner = FrameJoiner(["features", "tracks"], ["matches"])
    assert give(joiner, "f0", "t0") == []
    assert give(joiner, "m0") == ["f0 m0 t0"]
    assert give(joiner, "f1", "t1", "f2") == []
    assert give(joiner, "t2") == ["f1 t1"]
    assert give(joiner, "m1") == []
    assert give(joiner, "m2") == ["f2 m2 t2"]
    assert joiner.num_given_up == 0


def test_another_epoch_comes_after_the_one_before() -> None:
    joiner = FrameJoiner(["features", "tracks"])
    give(joiner, "f7", "t7")
    assert joiner.add(1, 8, "features", "f") == []
    assert joiner.add(1, 8, "tracks", "t") == [{"features": "f", "tracks": "t"}]


@pytest.mark.parametrize(("epoch", "frame"), [(0, 90), (2, 90)])
def test_a_tracker_that_starts_anew_is_heard_again(epoch: int, frame: int) -> None:
    joiner = FrameJoiner(["features", "tracks"])
    for part in ("features", "tracks"):
        joiner.add(epoch, frame, part, "old")
    assert joiner.generation == 0
    assert joiner.add(0, 0, "features", "new") == []
    assert joiner.add(0, 0, "tracks", "new") == [{"features": "new", "tracks": "new"}]
    assert joiner.generation == 1


def test_a_late_part_is_no_other_tracker() -> None:
    joiner = FrameJoiner(["features", "tracks"], ["matches"])
    give(joiner, "f4", "t4", "f5", "t5", "m5")
    assert give(joiner, "m4") == []
    assert joiner.generation == 0


def test_what_never_gets_complete_does_not_pile_up() -> None:
    joiner = FrameJoiner(["features", "tracks"])
    for frame in range(1000):
        assert give(joiner, f"f{frame}") == []
    assert joiner.num_given_up == 1000 - 8
    assert give(joiner, "t999") == ["f999 t999"]
    assert joiner.num_given_up == 999


def test_any_order_gives_each_image_at_most_once() -> None:
    rng = random.Random(3)
    parts = [f"{kind}{frame}" for frame in range(50) for kind in "ftm"]
    for _ in range(20):
        shuffled = sorted(parts, key=lambda part: int(part[1:]) + rng.uniform(0, 3))
        joiner = FrameJoiner(["features", "tracks"], ["matches"])
        frames = [int(one.split()[0][1:]) for one in give(joiner, *shuffled)]
        assert frames == sorted(set(frames))
        assert len(frames) + joiner.num_given_up <= 50
