# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The demo's subscriber: takes the tracker's results as another process would, frame by frame."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rclpy.node import Node
from rclpy.serialization import deserialize_message

from aliked_msgs.msg import Features, Matches, TrackerStatus, Tracks
from aliked_ros.errors import AlikedError
from aliked_ros.io.messages.message_fields import FeaturesMessage, MatchesMessage, TracksMessage
from aliked_ros.io.messages.status_fields import TrackerState
from aliked_ros.io.messages.status_fields import TrackerStatus as Status
from aliked_ros.ros import qos
from aliked_ros.ros.conversions import (
    features_from_message,
    matches_from_message,
    status_from_message,
    tracks_from_message,
)

_TOPICS: dict[str, Any] = {"features": Features, "matches": Matches, "tracks": Tracks}
_POLL_S = 0.1


class CollectorError(AlikedError):
    """What the tracker sent is not what it was sent for, or did not come."""


@dataclass(frozen=True, eq=False)
class RawMessage:
    """A message as it came."""

    topic: str
    type_name: str  # such as aliked_msgs/msg/Features
    data: bytes  # CDR
    arrived_at_s: float  # time.monotonic


@dataclass(frozen=True, eq=False)
class FrameResults:
    """What the tracker made of one frame."""

    features: FeaturesMessage
    matches: MatchesMessage | None  # None in an epoch's first frame
    tracks: TracksMessage
    raw: tuple[RawMessage, ...]
    arrived_at_s: float  # of the features


class Collector(Node):  # type: ignore[misc]  # rclpy may not be installed where types are checked
    """Subscribes to a tracker's topics.

    Args:
        tracker: the node's name with its namespace.
        check: is called while waiting; raises when waiting has become useless.
        timeout_s: longest wait for anything.
    """

    def __init__(self, tracker: str, check: Callable[[], None], timeout_s: float) -> None:
        super().__init__("collector")
        self._check = check
        self._timeout_s = timeout_s
        self._epoch: int | None = None
        self._inbox: dict[str, queue.SimpleQueue[RawMessage]] = {}
        for name, kind in _TOPICS.items():
            self._inbox[name] = queue.SimpleQueue()
            self.create_subscription(
                kind, f"{tracker}/{name}", self._taker(f"{tracker}/{name}", name), qos.results(), raw=True
            )
        self._status: Status | None = None
        self._extraction_ms: dict[int, float] = {}  # by the number of images processed until then
        # The last one: a participant's endpoints are discovered in their order, so whoever has sent us its status
        # knows of the subscriptions above, and loses none of the first frame's messages.
        self.create_subscription(TrackerStatus, f"{tracker}/status", self._on_status, qos.status())

    def wait_until_ready(self) -> None:
        """Waits until the tracker takes images.

        Raises:
            CollectorError: it does not become ready in time.
        """
        ready = (TrackerState.IDLE, TrackerState.RUNNING)
        self.wait_for_status(lambda status: status.state in ready, "the tracker is not ready")

    def wait_for_status(self, condition: Callable[[Status], bool], complaint: str) -> Status:
        """Waits for a status and returns it; CollectorError with the complaint when it does not come."""
        deadline_s = time.monotonic() + self._timeout_s
        while (status := self._status) is None or not condition(status):
            self._pause(deadline_s, f"{complaint} (last status: {status})")
        return status

    @property
    def extraction_ms(self) -> list[float]:
        """What the tracker says its extraction took, image by image; a status may have been missed."""
        return list(self._extraction_ms.values())

    def take(self, stamp_ns: int) -> FrameResults:
        """Waits for everything the tracker makes of the frame with this stamp.

        Raises:
            CollectorError: it does not come in time, or belongs to another frame.
            MessageError: a message contradicts itself.
        """
        raw = [self._take("features"), self._take("tracks")]
        features = features_from_message(deserialize_message(raw[0].data, Features))
        tracks = tracks_from_message(deserialize_message(raw[1].data, Tracks))
        matches = None
        if features.meta.epoch == self._epoch:
            raw.append(self._take("matches"))
            matches = matches_from_message(deserialize_message(raw[2].data, Matches))
        self._epoch = features.meta.epoch
        for meta in (features.meta, tracks.meta, *([] if matches is None else [matches.meta])):
            if meta.stamp_ns != stamp_ns:
                raise CollectorError(f"sent a frame with stamp {stamp_ns} ns, got results with {meta.stamp_ns} ns")
        return FrameResults(features, matches, tracks, tuple(raw), raw[0].arrived_at_s)

    def _take(self, name: str) -> RawMessage:
        deadline_s = time.monotonic() + self._timeout_s
        while (message := self._poll(name)) is None:
            if self._status is not None and self._status.refused:
                raise CollectorError("the tracker refused a frame; tracker.log beside the results says why")
            self._pause(deadline_s, f"no {name} of the frame came")
        return message

    def _poll(self, name: str) -> RawMessage | None:
        try:
            return self._inbox[name].get(timeout=_POLL_S)
        except queue.Empty:
            return None

    def _pause(self, deadline_s: float, complaint: str) -> None:
        self._check()
        if time.monotonic() > deadline_s:
            raise CollectorError(f"{complaint} within {self._timeout_s:g} s")
        time.sleep(_POLL_S / 10)

    def _taker(self, topic: str, name: str) -> Callable[[bytes], None]:
        type_name = f"aliked_msgs/msg/{_TOPICS[name].__name__}"

        def take(data: bytes) -> None:
            self._inbox[name].put(RawMessage(topic, type_name, data, time.monotonic()))

        return take

    def _on_status(self, message: TrackerStatus) -> None:
        status, _, _ = status_from_message(message)
        if status.processed:
            self._extraction_ms[status.processed] = status.preprocess_ms + status.inference_ms
        self._status = status
