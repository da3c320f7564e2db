# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The node that sends images to the relay and to the tracker and notes when the answers arrive."""

from __future__ import annotations

import queue
import threading
import time
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import Image

from aliked_msgs.msg import Features, Matches, TrackerStatus, Tracks
from aliked_ros.engine.base import Image as ImageArray
from aliked_ros.errors import AlikedError
from aliked_ros.io.messages.status_fields import TrackerState
from aliked_ros.io.messages.status_fields import TrackerStatus as Status
from aliked_ros.ros import qos
from aliked_ros.ros.conversions import status_from_message
from aliked_ros.ros.image_conversions import image_message

RELAY_INPUT, TRACKER_INPUT = "/relay/input", "/tracker/input"
_POLL_S = 0.05
_SETTLE_S = 1.0


class ProbeError(AlikedError):
    """An answer did not come."""


class LatencyProbe(Node):  # type: ignore[misc]  # rclpy may not be installed where types are checked
    """Sends an image to one node at a time, and takes all that the tracker publishes, as a backend does.

    Args:
        timeout_s: longest wait for an answer.
    """

    def __init__(self, timeout_s: float) -> None:
        super().__init__("latency_probe")
        self._timeout_s = timeout_s
        self._num_tracked = 0
        self._to_relay, self._to_tracker = (
            self.create_publisher(Image, topic, qos.replayed()) for topic in (RELAY_INPUT, TRACKER_INPUT)
        )
        self._relayed: queue.SimpleQueue[float] = queue.SimpleQueue()
        self._features: queue.SimpleQueue[float] = queue.SimpleQueue()
        self._statuses: queue.SimpleQueue[Status] = queue.SimpleQueue()
        self._listen(Image, "/relay/image", self._relayed)
        self._listen(Features, "/tracker/features", self._features)
        for kind, name in ((Matches, "matches"), (Tracks, "tracks")):  # a message without a taker is not made
            self.create_subscription(kind, f"/tracker/{name}", lambda _: None, qos.results(), raw=True)
        self.create_subscription(TrackerStatus, "/tracker/status", self._on_status, qos.status())

    def wait_until_ready(self, stop: threading.Event) -> None:
        """Waits until both nodes take images; ProbeError when they do not in time."""
        ready = (TrackerState.IDLE, TrackerState.RUNNING)
        deadline_s = time.monotonic() + self._timeout_s
        while not stop.is_set():
            connected = all(publisher.get_subscription_count() for publisher in (self._to_relay, self._to_tracker))
            if connected and not self._statuses.empty() and self._statuses.get().state in ready:
                break
            if time.monotonic() > deadline_s:
                raise ProbeError(f"the relay or the tracker was not ready within {self._timeout_s:g} s")
            stop.wait(_POLL_S)
        stop.wait(_SETTLE_S)  # that we know the others does not mean that they know us yet

    def through_relay(self, image: ImageArray) -> float:
        """Milliseconds from the image's publication to its arrival back here."""
        sent_at_s = self._send(self._to_relay, image)
        arrived_at_s: float = self._take(self._relayed, "relayed image")
        return 1e3 * (arrived_at_s - sent_at_s)

    def through_tracker(self, image: ImageArray) -> tuple[float, Status]:
        """Milliseconds from the image's publication to its features' arrival, and what the tracker says of it."""
        self._num_tracked += 1
        sent_at_s = self._send(self._to_tracker, image)
        latency_ms = 1e3 * (self._take(self._features, "features") - sent_at_s)
        while (status := self._take(self._statuses, "status")).processed < self._num_tracked:
            continue
        return latency_ms, status

    def _send(self, publisher: Any, image: ImageArray) -> float:
        message = image_message(image, self.get_clock().now().nanoseconds, "camera")
        sent_at_s = time.monotonic()
        publisher.publish(message)
        return sent_at_s

    def _listen(self, kind: Any, topic: str, arrivals: queue.SimpleQueue[float]) -> None:
        def note(_: bytes) -> None:
            arrivals.put(time.monotonic())

        self.create_subscription(kind, topic, note, qos.results(), raw=True)

    def _take(self, inbox: queue.SimpleQueue[Any], what: str) -> Any:
        try:
            return inbox.get(timeout=self._timeout_s)
        except queue.Empty as error:
            raise ProbeError(f"no {what} came within {self._timeout_s:g} s") from error

    def _on_status(self, message: TrackerStatus) -> None:
        status, _, _ = status_from_message(message)
        self._statuses.put(status)
