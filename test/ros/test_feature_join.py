# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Images, features and depth of a moment find each other, in whatever order they come."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from aliked_ros.ros.feature_join import FeatureJoin, JoinedFrame


class Joining:
    """A join that counts what it drops."""

    def __init__(self, capacity: int = 5, slop_ns: int | None = 10) -> None:
        self.dropped = 0
        self.join = FeatureJoin(capacity, slop_ns, self._drop)

    def _drop(self, count: int) -> None:
        self.dropped += count

    def put(self, kind: str, stamp_ns: int) -> list[tuple[Any, Any, Any]]:
        frames: list[JoinedFrame] = getattr(self.join, f"put_{kind}")(stamp_ns, f"{kind} {stamp_ns}")
        return [(frame.image, frame.features, frame.depth) for frame in frames]


@pytest.mark.parametrize("order", list(itertools.permutations(["image", "features", "depth"])))
def test_any_order_will_do(order: tuple[str, ...]) -> None:
    joining = Joining()
    assert [joining.put(kind, 100) for kind in order[:2]] == [[], []]
    assert joining.put(order[2], 100) == [("image 100", "features 100", "depth 100")]
    assert joining.dropped == 0


def test_the_stamp_of_features_is_exact_and_that_of_depth_is_near() -> None:
    joining = Joining()
    joining.put("depth", 89)
    joining.put("image", 100)
    assert joining.put("features", 101) == []
    assert joining.put("features", 100) == []
    assert joining.put("depth", 109) == [("image 100", "features 100", "depth 109")]


def test_the_nearest_depth_is_taken() -> None:
    joining = Joining()
    for stamp_ns in (92, 99, 107):
        joining.put("depth", stamp_ns)
    joining.put("image", 100)
    assert joining.put("features", 100)[0][2] == "depth 99"


def test_without_depth() -> None:
    joining = Joining(slop_ns=None)
    joining.put("image", 100)
    assert joining.put("features", 100) == [("image 100", "features 100", None)]


def test_what_is_older_than_a_complete_frame_is_given_up() -> None:
    joining = Joining(slop_ns=None)
    joining.put("features", 90)
    joining.put("image", 80)
    joining.put("image", 100)
    joining.put("features", 100)
    assert joining.dropped == 1
    assert joining.put("image", 90) == []
    assert joining.put("features", 80) == []


def test_what_waits_is_bounded() -> None:
    joining = Joining(capacity=3)
    for stamp_ns in range(10):
        joining.put("features", 100 * stamp_ns)
        joining.put("image", 100 * stamp_ns)
    assert joining.dropped == 7
    # The last three have waited for depth, and come in order.
    assert joining.put("depth", 905) == [("image 900", "features 900", "depth 905")]
    assert joining.dropped == 9


def test_a_jump_back_in_time_goes_on() -> None:
    joining = Joining(capacity=3, slop_ns=None)
    for stamp_ns in (1000, 1100, 5, 105):
        joining.put("image", stamp_ns)
        assert len(joining.put("features", stamp_ns)) == 1
