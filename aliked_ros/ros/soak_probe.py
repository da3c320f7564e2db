# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The node that sends images to a tracker under load, takes everything it publishes, and has it checked."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from std_srvs.srv import Trigger

from aliked_msgs.msg import Features, Matches, TrackerStatus, Tracks
from aliked_ros.camera import Camera
from aliked_ros.errors import AlikedError
from aliked_ros.io.messages.message_fields import TracksMessage
from aliked_ros.io.messages.status_fields import TrackerState
from aliked_ros.ros import qos
from aliked_ros.ros.conversions import ns_from_time, status_from_message, time_from_ns, tracks_from_message
from aliked_ros.ros.image_conversions import info_from_camera
from aliked_ros.ros.soak_audit import CounterAudit, TrackAudit, in_flight

TRACKER = "/tracker"
RESULTS_DEPTH = 200  # a reader that was not scheduled for some seconds must lose nothing
_POLL_S = 0.05
_SETTLE_S = 1.0
_MOST_WAITING = 1000


class SoakError(AlikedError):
    """The run cannot go on."""


class CameraProbe:
    """One camera: sends its images, and audits its results.

    Args:
        node: publishes and subscribes.
        name: of the camera; empty for the only one.
        max_gap: of the tracker's tracks.
    """

    def __init__(self, node: Node, name: str, max_gap: int) -> None:
        prefix, topic = (f"{TRACKER}/{name}", f"/{name}/image") if name else (TRACKER, "/image")
        self.name = name
        self.tracks = TrackAudit(max_gap)
        self.counters = CounterAudit()
        self.published = self.bad_published = 0
        self._clock = node.get_clock()
        self._lock = threading.Lock()
        self._sent_at_s: dict[int, float] = {}  # by stamp, until an answer or a later image's answer comes
        self._latencies_ms: list[float] = []
        self._num_features: dict[int, int] = {}  # by frame_seq, until its tracks come
        self._waiting: deque[TracksMessage] = deque()
        self._image = node.create_publisher(Image, topic, qos.replayed())
        self._info = node.create_publisher(CameraInfo, topic.replace("image", "camera_info"), qos.replayed())
        every = QoSProfile(depth=RESULTS_DEPTH, reliability=ReliabilityPolicy.RELIABLE)
        latched = QoSProfile(
            depth=RESULTS_DEPTH, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
        )
        node.create_subscription(Features, f"{prefix}/features", self._on_features, every)
        node.create_subscription(Matches, f"{prefix}/matches", lambda _: None, every, raw=True)
        node.create_subscription(Tracks, f"{prefix}/tracks", self._on_tracks, every)
        node.create_subscription(TrackerStatus, f"{prefix}/status", self._on_status, latched)

    @property
    def is_ready(self) -> bool:
        """Whether the tracker takes this camera's images."""
        status, ready = self.counters.last, (TrackerState.IDLE, TrackerState.RUNNING)
        return status is not None and status.state in ready and self._image.get_subscription_count() > 0

    @property
    def is_idle(self) -> bool:
        """Whether something has become of every image that was received, and its results have come."""
        status = self.counters.last
        return status is not None and in_flight(status) == 0 and self.tracks.num_frames >= status.processed

    def calibrate(self, camera: Camera) -> None:
        """Sends a calibration."""
        self._info.publish(info_from_camera(camera, self._clock.now().nanoseconds, self.name or "camera"))

    def send(self, message: Image, stamp_ns: int, *, is_bad: bool) -> None:
        """Publishes an image; a bad one may have a stamp of its own."""
        if not is_bad:
            message.header.stamp = time_from_ns(stamp_ns)
            with self._lock:
                self._sent_at_s[stamp_ns] = time.monotonic()
        self._image.publish(message)
        self.published += 1
        self.bad_published += is_bad

    def take_latencies_ms(self) -> list[float]:
        """From an image's publication to its features' arrival here, since the last call."""
        with self._lock:
            taken, self._latencies_ms = self._latencies_ms, []
        return taken

    def _on_features(self, message: Features) -> None:
        arrived_at_s, stamp_ns = time.monotonic(), ns_from_time(message.header.stamp)
        with self._lock:
            sent_at_s = self._sent_at_s.get(stamp_ns)
            if sent_at_s is None:
                self.tracks.complaints.add(
                    f"frame {message.frame_seq}: features of an image that was not sent, or twice"
                )
            else:
                self._latencies_ms.append(1e3 * (arrived_at_s - sent_at_s))
            self._sent_at_s = {ns: at_s for ns, at_s in self._sent_at_s.items() if ns > stamp_ns}
        self._num_features[message.frame_seq] = message.num_features
        self._audit()

    def _on_tracks(self, message: Tracks) -> None:
        self._waiting.append(tracks_from_message(message))
        self._audit()

    def _audit(self) -> None:
        """Features and tracks come in an order of their own."""
        while self._waiting and self._waiting[0].meta.frame_seq in self._num_features:
            tracks = self._waiting.popleft()
            self.tracks.add(tracks, self._num_features.pop(tracks.meta.frame_seq))
        if max(len(self._waiting), len(self._num_features)) > _MOST_WAITING:
            raise SoakError(
                f"tracks and features do not belong together: {len(self._waiting)} and more have no partner"
            )

    def _on_status(self, message: TrackerStatus) -> None:
        status, _, _ = status_from_message(message)
        self.counters.add(status)


class SoakProbe(Node):  # type: ignore[misc]  # rclpy may not be installed where types are checked
    """All cameras.

    Args:
        names: of the cameras; a single empty one for a tracker without.
        max_gap: of the tracker's tracks.
        timeout_s: longest wait for the tracker.
    """

    def __init__(self, names: tuple[str, ...], max_gap: int, timeout_s: float) -> None:
        super().__init__("soak_probe")
        self._timeout_s = timeout_s
        self.cameras = [CameraProbe(self, name, max_gap) for name in names]
        self._reset = self.create_client(Trigger, f"{TRACKER}/reset")

    def wait_until_ready(self, stop: threading.Event) -> None:
        """Waits until the tracker takes images; SoakError when it does not in time."""
        self._wait(stop, "is_ready", "the tracker was not ready")
        stop.wait(_SETTLE_S)  # that we know the tracker does not mean that it knows us yet

    def wait_until_idle(self, stop: threading.Event) -> None:
        """Waits until nothing is under way, or as long as anyone would; the counters then say what is missing."""
        deadline_s = time.monotonic() + self._timeout_s
        while not stop.is_set() and time.monotonic() < deadline_s:
            if all(camera.is_idle for camera in self.cameras):
                return
            stop.wait(_POLL_S)

    def reset(self) -> None:
        """Asks for a new epoch; does not wait for the answer."""
        self._reset.call_async(Trigger.Request())

    def _wait(self, stop: threading.Event, condition: str, complaint: str) -> None:
        deadline_s = time.monotonic() + self._timeout_s
        while not stop.is_set() and not all(getattr(camera, condition) for camera in self.cameras):
            if time.monotonic() > deadline_s:
                raise SoakError(f"{complaint} within {self._timeout_s:g} s")
            stop.wait(_POLL_S)


def results_depth_arguments(names: tuple[str, ...]) -> list[str]:
    """Parameters with which the tracker can send again what we did not take at once."""
    prefixes = [f"{TRACKER}/{name}" if name else TRACKER for name in names]
    topics = [f"{prefix}/{topic}" for prefix in prefixes for topic in ("features", "matches", "tracks")]
    values: list[Any] = [f"qos_overrides.{topic}.publisher.depth:={RESULTS_DEPTH}" for topic in topics]
    return [word for value in values for word in ("-p", value)]
