# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""A tracker's camera, from its callbacks to its publishers, whose messages are handed over instead of sent."""

from __future__ import annotations

import hashlib
import queue
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import Image as ImageMsg

from aliked_msgs.msg import Features as FeaturesMsg
from aliked_msgs.msg import Matches as MatchesMsg
from aliked_msgs.msg import Tracks as TracksMsg
from aliked_ros.engine.base import EngineInfo, Image, OneAfterAnother
from aliked_ros.features import Features
from aliked_ros.frontend.config import ExtractorConfig, VerificationConfig
from aliked_ros.frontend.extractor import Extractor
from aliked_ros.frontend.frontend import Frontend
from aliked_ros.network.selection import Selection
from aliked_ros.ros import qos
from aliked_ros.ros.camera_stream import CameraName, CameraStream
from aliked_ros.ros.intake import Intake
from aliked_ros.ros.monitor import Monitor
from aliked_ros.ros.node_config import CameraConfig, TrackerNodeConfig
from aliked_ros.ros.pipeline import Pipeline, intake_settings
from aliked_ros.ros.publishing import ResultPublisher

_DIM, _NUM_POINTS = 16, 40


class CheapEngine(OneAfterAnother):
    """Stands in for the network: some of forty fixed points, a different choice and shift for each image's pixels."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self._xy = rng.random((_NUM_POINTS, 2)).astype(np.float32)
        rows = rng.normal(size=(_NUM_POINTS, _DIM))
        self._descriptors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
        self._scores = np.linspace(0.99, 0.2, _NUM_POINTS, dtype=np.float32)

    @property
    def info(self) -> EngineInfo:
        """Nothing that is true of a network."""
        return EngineInfo("aliked-t16", "cpu", "cheap", "fp32", _DIM, Path(), hashlib.sha256().hexdigest())

    @property
    def last_timings_ms(self) -> Mapping[str, float]:
        """None."""
        return {"preprocess": 0.0, "inference": 0.0}

    def extract(self, image: Image, selection: Selection, reference: Features | None = None) -> Features:  # noqa: ARG002
        """The choice reads every pixel: a view beyond the message's memory would not go unnoticed."""
        total = int(image.sum(dtype=np.int64))
        count = min(selection.max_keypoints, total % (_NUM_POINTS + 1))
        height, width = image.shape[:2]
        shift = np.float32((total % 97) / 200.0)
        xy = (self._xy[:count] + shift) % 1 * np.array([width - 1, height - 1], np.float32)
        return Features(xy.astype(np.float32), self._scores[:count], self._descriptors[:count], width, height)

    def score_map(self, image: Image) -> NDArray[Any]:
        """Zeros."""
        return np.zeros(image.shape[:2], np.float32)


def cheap_extractor() -> Extractor:
    """An extractor that checks its images and does not look for features in them."""
    return Extractor(CheapEngine(), ExtractorConfig(model="aliked-t16", device="cpu", max_keypoints=_NUM_POINTS))


class WatchedMonitor(Monitor):
    """Counts, and keeps what the node could not deal with."""

    def __init__(self) -> None:
        super().__init__()
        self.failures: list[str] = []

    def refused(self, reason: str, *, failed: bool = False) -> None:
        """Also of a failure the reason is kept."""
        super().refused(reason, failed=failed)
        if failed:
            self.failures.append(reason)


class Rig:
    """A node with one camera's stream, pipeline and publishers, which somebody subscribes to.

    Args:
        name: of the node; no other may have it.
        extractor: what finds features.
        geometry: how matches are verified.
        transport: raw or compressed.
        deadline_s: longest wait until a message has been dealt with.
    """

    def __init__(self, name: str, extractor: Extractor, geometry: str, transport: str, deadline_s: float) -> None:
        self.monitor = WatchedMonitor()
        self.node = Node(name, parameter_overrides=[])
        self._deadline_s = deadline_s
        self._done: queue.SimpleQueue[int] = queue.SimpleQueue()
        config = TrackerNodeConfig(
            process_every_frame=True, image_transport=transport, depth=transport == "raw", depth_timeout=0.0
        )
        intake = Intake(1, intake_settings(config), lambda _, count: self.monitor.dropped(count))
        self._pipeline = Pipeline(intake, self._done.put)
        self.frontend = Frontend(extractor, verification=VerificationConfig(geometry, max_iterations=50))
        stream = CameraStream(
            self.node,
            CameraName(),
            config,
            CameraConfig(),
            self.frontend,
            self.monitor,
            ResultPublisher(self.node, "camera", extractor.info),
            intake,
            self._pipeline.before_next_image,
        )
        kinds = {"features": FeaturesMsg, "matches": MatchesMsg, "tracks": TracksMsg, "debug_image": ImageMsg}
        for topic, kind in kinds.items():  # a message that nobody subscribes to is not made
            self.node.create_subscription(kind, f"~/{topic}", lambda _: None, qos.results())
        self._pipeline.start([stream])
        self._pipeline.subscribe()
        self._callbacks = {sub.topic_name.rpartition("/")[2]: sub.callback for sub in self.node.subscriptions}

    def hand_over(self, topic: str, message: Any) -> None:
        """Calls the subscription of image, compressed, depth or camera_info."""
        self._callbacks[topic](message)

    def wait(self) -> None:
        """Waits until an image has been dealt with; TimeoutError when it is not."""
        try:
            self._done.get(timeout=self._deadline_s)
        except queue.Empty:
            raise TimeoutError(f"an image was not dealt with within {self._deadline_s:g} s") from None

    def close(self) -> None:
        """Ends the threads and the node."""
        self._pipeline.close()
        self.node.destroy_node()
