# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Nodes that notice who cannot be reached because the quality of service does not fit.

DDS connects a subscription only to publishers that offer at least what it asks for, and is silent about the others:
the commonest reason for a topic on which nothing comes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.exceptions import ParameterException
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSCompatibility, QoSProfile, ReliabilityPolicy, qos_check_compatible
from rclpy.qos_overriding_options import InvalidQosOverridesError
from rosgraph_msgs.msg import Clock as ClockMessage

from aliked_ros.errors import ConfigError
from aliked_ros.io.messages.stamps import NS_PER_S
from aliked_ros.ros.finding import Finding
from aliked_ros.ros.process import one_line
from aliked_ros.ros.throttle import ThrottledLog

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks

SUBSCRIPTION, PUBLISHER = "subscription", "publisher"
_OVERRIDES = "qos_overrides."
_Side = tuple[str, str]  # topic, SUBSCRIPTION or PUBLISHER
_NO_NAME = "_NODE_NAME_UNKNOWN_"  # rmw's
_WAIT_FOR_A_NAME_S = 3.0
_LOOK_PERIOD_S = 1.0


class WatchedNode(Node):  # type: ignore[misc]  # rclpy may not be installed where types are checked
    """Watches its topics that have ``qos_overriding_options``, and turns wrong overrides into a ConfigError.

    A topic that is created again has the quality of service it is given then. A time on ``/clock`` that is none, which
    would end an executor of rclpy, is refused.
    """

    def __init__(self, name: str, **options: Any) -> None:
        self._suspects: dict[_Side, float] = {}  # whom someone did not fit, and since when (monotonic seconds)
        self._told: set[str] = set()
        self._log_clock = ThrottledLog(lambda line: self.get_logger().error(line))
        super().__init__(name, **options)

    def create_subscription(
        self, msg_type: Any, topic: str, callback: Callable[[Any], None], qos_profile: Any, **options: Any
    ) -> Any:
        """As rclpy's; ConfigError for an impossible ``qos_overrides`` parameter."""
        create = super().create_subscription
        if msg_type is ClockMessage:
            callback = self._refusing_bad_times(callback)
        if "qos_overriding_options" not in options:
            return create(msg_type, topic, callback, qos_profile, **options)
        notice = self._noticer(self._begin_side(topic, SUBSCRIPTION))
        options["event_callbacks"] = SubscriptionEventCallbacks(incompatible_qos=notice)
        return _refusing_bad_overrides(topic, lambda: create(msg_type, topic, callback, qos_profile, **options))

    def create_publisher(self, msg_type: Any, topic: str, qos_profile: Any, **options: Any) -> Any:
        """As rclpy's; ConfigError for an impossible ``qos_overrides`` parameter."""
        create = super().create_publisher
        if "qos_overriding_options" not in options:
            return create(msg_type, topic, qos_profile, **options)
        notice = self._noticer(self._begin_side(topic, PUBLISHER))
        options["event_callbacks"] = PublisherEventCallbacks(incompatible_qos=notice)
        return _refusing_bad_overrides(topic, lambda: create(msg_type, topic, qos_profile, **options))

    def destroy_subscription(self, subscription: Any) -> bool:
        """As rclpy's."""
        self._suspects.pop((subscription.topic_name, SUBSCRIPTION), None)
        return bool(super().destroy_subscription(subscription))

    def destroy_publisher(self, publisher: Any) -> bool:
        """As rclpy's."""
        self._suspects.pop((publisher.topic_name, PUBLISHER), None)
        return bool(super().destroy_publisher(publisher))

    @contextmanager
    def all_topics_or_none(self) -> Iterator[None]:
        """Takes back the publishers and subscriptions made within it when what is within fails."""
        publishers, subscriptions = set(self.publishers), set(self.subscriptions)
        try:
            yield
        except BaseException:
            for publisher in set(self.publishers) - publishers:
                self.destroy_publisher(publisher)
            for subscription in set(self.subscriptions) - subscriptions:
                self.destroy_subscription(subscription)
            raise

    def qos_finding(self) -> Finding:
        """Who cannot be reached now, for /diagnostics; the log has it once."""
        lines = [line for side in list(self._suspects) for line in self._look_at(side)]
        for line in lines:
            if line not in self._told:
                self.get_logger().warning(line)
        self._told = set(lines)  # who left and comes again is news
        return Finding({"qos_incompatible": str(len(lines))}, "; ".join(lines))

    def watch_topics(self) -> None:
        """Looks every second who cannot be reached, and names useless overrides; for when all topics exist."""
        self.warn_of_unused_overrides()
        self.create_timer(_LOOK_PERIOD_S, self.qos_finding, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def warn_of_unused_overrides(self) -> None:
        """Names the ``qos_overrides`` parameters that belong to no topic, once all topics exist."""
        unused = sorted(set(self._parameter_overrides) - set(self._parameters))
        for name in (name for name in unused if name.startswith(_OVERRIDES)):
            self.get_logger().warning(
                f"parameter {name} has no effect: the node has no such topic, or no such policy can be overridden; "
                f"`ros2 param list {self.get_fully_qualified_name()}` shows the known ones"
            )

    def _begin_side(self, topic: str, kind: str) -> _Side:
        """The side of a topic that is about to be created.

        Of an earlier one rclpy keeps the policies as read-only parameters, and would take them for a user's overrides.
        """
        side = (self.resolve_topic_name(topic), kind)
        for name in [known for known in self._parameters if known.startswith(f"{_OVERRIDES}{side[0]}.{kind}.")]:
            del self._parameters[name], self._descriptors[name]
        return side

    def _refusing_bad_times(self, callback: Callable[[Any], None]) -> Callable[[Any], None]:
        def on_clock(message: ClockMessage) -> None:
            stamp = message.clock
            if stamp.sec >= 0 and stamp.nanosec < NS_PER_S:
                callback(message)
            else:
                self._log_clock(
                    f"time on /clock refused: sec {stamp.sec}, nanosec {stamp.nanosec}; sec must not be negative, and "
                    f"nanosec below {NS_PER_S}"
                )

        return on_clock

    def _noticer(self, side: _Side) -> Callable[[Any], None]:
        def notice(event: Any) -> None:  # noqa: ARG001  the last policy only; the graph tells all
            self._suspects[side] = time.monotonic()

        return notice

    def _look_at(self, side: _Side) -> list[str]:
        """A line for each partner that does not fit; with the last one the suspicion ends."""
        misfits = self._misfits(side)
        since_s = self._suspects.pop(side, None)
        if since_s is None:
            return []  # another thread has ended the topic
        # The event comes before the graph has the partner, and the partner before its node's name.
        is_known = time.monotonic() - since_s > _WAIT_FOR_A_NAME_S
        if misfits or not is_known:
            self._suspects[side] = since_s
        return [line for name, line in misfits if name or is_known]

    def _misfits(self, side: _Side) -> list[tuple[str, str]]:
        """The name, where it is known, of each partner that does not fit, and a line about it."""
        topic, kind = side
        publishers, subscriptions = (
            [(user_name(info), info.qos_profile) for info in infos]
            for infos in (self.get_publishers_info_by_topic(topic), self.get_subscriptions_info_by_topic(topic))
        )
        me = self.get_fully_qualified_name()
        pairs = [
            (reader if kind == PUBLISHER else writer, offered, requested)
            for writer, offered in publishers
            for reader, requested in subscriptions
            if me == (writer if kind == PUBLISHER else reader)
        ]
        found = [(name, _misfit(side, offered, requested, name)) for name, offered, requested in pairs]
        return [(name, line) for name, line in found if line]


class WatchedLifecycleNode(WatchedNode, LifecycleNode):  # type: ignore[misc]  # as above
    """The same for a managed node, whose topics come and go."""


def _refusing_bad_overrides(topic: str, create: Callable[[], Any]) -> Any:
    try:
        return create()
    except (InvalidQosOverridesError, ParameterException) as error:
        raise ConfigError(f"qos_overrides of {topic} cannot be used: {one_line(error)}") from error
    except RuntimeError as error:  # of a policy that has no such value; rclpy has no name for it
        if "QoS override" not in str(error):
            raise
        raise ConfigError(f"qos_overrides of {topic} cannot be used: {one_line(error)}") from error


def user_name(info: Any) -> str:
    """The full name of a topic's user; empty while, or where, it has none."""
    return "" if info.node_name == _NO_NAME else f"{info.node_namespace.rstrip('/')}/{info.node_name}"


def _misfit(side: _Side, offered: QoSProfile, requested: QoSProfile, partner: str) -> str:
    """Why they are not connected and what to do about it; empty when they are."""
    topic, kind = side
    compatibility, reason = qos_check_compatible(offered, requested)
    if compatibility != QoSCompatibility.ERROR:
        return ""
    policy, offer, request = _policy(offered, requested)
    partner = partner or "a participant without a node's name"
    if kind == SUBSCRIPTION:
        start = f"incompatible QoS on {topic}: nothing comes from {partner}"
        if not policy:
            return f"{start}: {reason}"
        return (
            f"{start}, whose publisher is {offer} while this subscription is {request} ({policy}); make the publisher "
            f"{request}, or set the parameter {_OVERRIDES}{topic}.{kind}.{policy} to {offer}"
        )
    start = f"incompatible QoS on {topic}: {partner} gets nothing"
    if not policy:
        return f"{start}: {reason}"
    return (
        f"{start}, because its subscription is {request} while this publisher is {offer} ({policy}); subscribe with "
        f"{offer}, or set the parameter {_OVERRIDES}{topic}.{kind}.{policy} to {request}"
    )


def _policy(offered: QoSProfile, requested: QoSProfile) -> tuple[str, str, str]:
    """The policy that does not fit, what is offered and what is requested; empty for policies of other kinds."""
    if requested.reliability == ReliabilityPolicy.RELIABLE and offered.reliability == ReliabilityPolicy.BEST_EFFORT:
        return "reliability", "best_effort", "reliable"
    durable = DurabilityPolicy.TRANSIENT_LOCAL
    if requested.durability == durable and offered.durability == DurabilityPolicy.VOLATILE:
        return "durability", "volatile", "transient_local"
    return "", "", ""
