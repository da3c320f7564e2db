# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Publishers and subscribers of every quality of service with a real tracker: who is served, and who is named."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from diagnostic_msgs.msg import DiagnosticStatus
from node_harness import (
    START_NS,
    TrackerBench,
    running_tracker,
    wait_until,
)
from qos_samples import BEST_EFFORT, FEW_KEYPOINTS, LATCHED, RELIABLE, repeat_until
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image

from aliked_msgs.msg import Features, TrackerStatus, Tracks
from aliked_ros.ros.conversions import ns_from_time
from aliked_ros.ros.image_conversions import image_message

pytestmark = pytest.mark.ros

_stamps = itertools.count(START_NS, 33_333_333)


def processed_from(tracker: TrackerBench, publisher: Any, image: np.ndarray) -> None:
    """Publishes images until features of one of them have come."""
    mine: set[int] = set()

    def send() -> None:
        stamp_ns = next(_stamps)
        mine.add(stamp_ns)
        publisher.publish(image_message(image, stamp_ns, "camera"))

    def arrived() -> bool:
        return any(ns_from_time(m.header.stamp) in mine for m in tracker.station.messages("/tracker/features"))

    repeat_until(send, arrived, "features of this publisher's images")


def received_by(tracker: TrackerBench, kind: Any, topic: str, profile: QoSProfile, image: np.ndarray) -> None:
    """Subscribes and sends images until something comes."""
    got: list[Any] = []
    subscription = tracker.station.node.create_subscription(kind, topic, got.append, profile)
    try:
        repeat_until(lambda: tracker.send(image_message(image, next(_stamps), "camera")), lambda: bool(got), topic)
    finally:
        tracker.station.node.destroy_subscription(subscription)


def complaint(tracker: TrackerBench, text: str) -> None:
    """The misfit is in the log once, and in /diagnostics."""
    array = tracker.station.wait_for("/diagnostics", lambda array: text in array.status[0].message)
    assert array.status[0].level == DiagnosticStatus.WARN
    assert tracker.log_text().count(text) == 1


def next_misfits(tracker: TrackerBench) -> str:
    """How many incompatible pairs the next /diagnostics tells; those before may be of an earlier moment."""
    known = len(tracker.station.messages("/diagnostics"))
    wait_until(lambda: len(tracker.station.messages("/diagnostics")) > known, "/diagnostics")
    status = tracker.station.messages("/diagnostics")[known].status[0]
    return {pair.key: pair.value for pair in status.values}["qos_incompatible"]


MODES = {"newest first": {}, "every frame": {"process_every_frame": True, "depth": True, "depth_timeout": 0.0}}


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory, request: Any) -> Iterator[TrackerBench]:
    """A tracker in one of the modes; the one before has ended."""
    with running_tracker(tmp_path_factory.mktemp("tracker"), **FEW_KEYPOINTS, **MODES[request.param]) as bench:
        yield bench


newest_first = pytest.mark.parametrize("tracker", ["newest first"], indirect=True)
every_frame = pytest.mark.parametrize("tracker", ["every frame"], indirect=True)


@newest_first
@pytest.mark.parametrize("profile", [BEST_EFFORT, RELIABLE, LATCHED], ids=["best effort", "reliable", "latched"])
def test_any_camera_fits_the_tracker(tracker: TrackerBench, textured_image: np.ndarray, profile: QoSProfile) -> None:
    publisher = tracker.station.node.create_publisher(Image, "/image", profile)
    try:
        processed_from(tracker, publisher, textured_image)
        assert next_misfits(tracker) == "0"
    finally:
        tracker.station.node.destroy_publisher(publisher)


@newest_first
@pytest.mark.parametrize("profile", [BEST_EFFORT, RELIABLE], ids=["best effort", "reliable"])
@pytest.mark.parametrize("kind", [Features, Tracks], ids=["features", "tracks"])
def test_results_come_to_best_effort_and_reliable_subscribers(
    tracker: TrackerBench, textured_image: np.ndarray, kind: Any, profile: QoSProfile
) -> None:
    received_by(tracker, kind, f"/tracker/{kind.__name__.lower()}", profile, textured_image)


@newest_first
def test_a_late_joiner_has_the_status_at_once(tracker: TrackerBench) -> None:
    assert any(first_status_is_older(tracker) for _ in range(5)), "a new one may come while the joiner is being found"


def first_status_is_older(tracker: TrackerBench) -> bool:
    """Whether the first status that a late joiner gets is from before it came; without history none can be."""
    got: list[Any] = []
    node = tracker.station.node
    joined_ns = node.get_clock().now().nanoseconds
    subscription = node.create_subscription(TrackerStatus, "/tracker/status", got.append, LATCHED)
    try:
        wait_until(lambda: bool(got), "the last status")
    finally:
        node.destroy_subscription(subscription)
    return bool(ns_from_time(got[0].header.stamp) < joined_ns)


@newest_first
def test_a_subscriber_that_asks_for_too_much_is_named(tracker: TrackerBench) -> None:
    node = tracker.station.node
    subscription = node.create_subscription(Tracks, "/tracker/tracks", lambda _: None, LATCHED)
    try:
        complaint(
            tracker,
            "incompatible QoS on /tracker/tracks: /station gets nothing, because its subscription is transient_local "
            "while this publisher is volatile (durability); subscribe with volatile, or set the parameter "
            "qos_overrides./tracker/tracks.publisher.durability to transient_local",
        )
    finally:
        node.destroy_subscription(subscription)
    wait_until(lambda: next_misfits(tracker) == "0", "the end of the warning with its cause")


@every_frame
@pytest.mark.parametrize("profile", [RELIABLE, LATCHED], ids=["reliable", "latched"])
def test_reliable_cameras_fit_a_tracker_of_every_frame(
    tracker: TrackerBench, textured_image: np.ndarray, profile: QoSProfile
) -> None:
    publisher = tracker.station.node.create_publisher(Image, "/image", profile)
    try:
        processed_from(tracker, publisher, textured_image)
    finally:
        tracker.station.node.destroy_publisher(publisher)


@every_frame
@pytest.mark.parametrize("topic", ["/image", "/depth"])
def test_a_publisher_that_offers_too_little_is_named(tracker: TrackerBench, topic: str) -> None:
    node = tracker.station.node
    publisher = node.create_publisher(Image, topic, BEST_EFFORT)
    try:
        complaint(
            tracker,
            f"incompatible QoS on {topic}: nothing comes from /station, whose publisher is best_effort while this "
            "subscription is reliable (reliability); make the publisher reliable, or set the parameter "
            f"qos_overrides.{topic}.subscription.reliability to best_effort",
        )
    finally:
        node.destroy_publisher(publisher)
    wait_until(lambda: next_misfits(tracker) == "0", "the end of the warning with its cause")
