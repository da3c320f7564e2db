# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Topics that come and go, wrong times on /clock, and how long a partner without a name is waited for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from builtin_interfaces.msg import Time
from qos_samples import BEST_EFFORT, LATCHED
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from std_msgs.msg import String

from aliked_ros.ros import qos, watched_node
from aliked_ros.ros.watched_node import WatchedNode

pytestmark = pytest.mark.ros
NAME = "qos_overrides./topic.subscription"


@pytest.fixture
def make(ros_context: Any) -> Iterator[Callable[..., WatchedNode]]:
    nodes: list[WatchedNode] = []

    def make(**parameters: Any) -> WatchedNode:
        overrides = [Parameter(name.replace("__", "."), value=value) for name, value in parameters.items()]
        nodes.append(WatchedNode("watched", context=ros_context, parameter_overrides=overrides))
        return nodes[-1]

    yield make
    for node in nodes:
        node.destroy_node()


def subscribed(node: WatchedNode, profile: QoSProfile) -> Any:
    return node.create_subscription(String, "/topic", lambda _: None, profile, qos_overriding_options=qos.overridable())


def test_a_topic_that_is_created_again_has_what_it_is_given_then(make: Callable[..., WatchedNode]) -> None:
    node = make()
    for profile in (qos.newest_image(), qos.every_image(30), qos.newest_image()):
        reliability, depth = profile.reliability, profile.depth  # rclpy writes into the profile
        subscription = subscribed(node, profile)
        assert subscription.qos_profile.reliability == reliability
        assert node.get_parameter(f"{NAME}.depth").value == depth
        node.destroy_subscription(subscription)


def test_what_the_user_overrides_stays_so(ros_context: Any) -> None:
    overrides = [Parameter(f"{NAME}.depth", value=7)]
    node = WatchedNode("watched", context=ros_context, parameter_overrides=overrides)
    try:
        for profile in (qos.newest_image(), qos.every_image(30)):
            reliability = profile.reliability
            subscription = subscribed(node, profile)
            assert node.get_parameter(f"{NAME}.depth").value == 7
            assert subscription.qos_profile.reliability == reliability
            node.destroy_subscription(subscription)
    finally:
        node.destroy_node()


def test_all_topics_or_none(make: Callable[..., WatchedNode]) -> None:
    node = make()

    def topics() -> set[str]:
        return {one.topic_name for one in (*node.publishers, *node.subscriptions)}

    def fail() -> None:
        with node.all_topics_or_none():
            node.create_publisher(String, "/made", 1)
            subscribed(node, qos.newest_image())
            raise ZeroDivisionError

    before = topics()
    with node.all_topics_or_none():
        node.create_publisher(String, "/kept", 1)
    with pytest.raises(ZeroDivisionError):
        fail()
    assert topics() == before | {"/kept"}


@pytest.mark.parametrize(
    ("sec", "nanosec"), [(-1, 0), (-(2**31), 5), (2**31 - 1, 10**9), (0, 2**32 - 1)], ids=["-1", "least", "most", "ns"]
)
def test_a_time_that_is_none_is_refused(
    make: Callable[..., WatchedNode], capfd: pytest.CaptureFixture[str], sec: int, nanosec: int
) -> None:
    node = make(use_sim_time=True)
    (clock,) = (one for one in node.subscriptions if one.topic_name == "/clock")
    clock.callback(Clock(clock=Time(sec=7, nanosec=1)))
    clock.callback(Clock(clock=Time(sec=sec, nanosec=nanosec)))
    assert node.get_clock().now().nanoseconds == 7_000_000_001
    assert f"time on /clock refused: sec {sec}, nanosec {nanosec}" in capfd.readouterr().err


def test_a_partner_is_waited_for_by_time_not_by_questions(
    make: Callable[..., WatchedNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With many cameras the question is put many times a second."""
    now_s = 100.0
    monkeypatch.setattr(watched_node.time, "monotonic", lambda: now_s)
    node = make()
    subscribed(node, LATCHED)
    side = ("/topic", watched_node.SUBSCRIPTION)
    node._noticer(side)(None)
    for _ in range(50):
        assert node.qos_finding().warning == ""  # the graph has no partner yet
    publisher = node.create_publisher(String, "/topic", BEST_EFFORT)
    assert publisher.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
    now_s += 2.0
    assert "incompatible QoS on /topic" in node.qos_finding().warning
    node.destroy_publisher(publisher)
    now_s += 2.0
    assert node.qos_finding().warning == ""
    assert not node._suspects, "with the last misfit the suspicion ends"
