# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""A subscriber that takes nothing, and a camera that is many times too fast."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from fault_harness import publishing, stuck_subscriber
from node_harness import TrackerBench, running_tracker, wait_until

pytestmark = pytest.mark.ros
FRAMES = 60
GROWTH_MB = 64.0
# The allocator keeps what is free, by 100 MB more or less; with these it goes back, and what is left is what is held.
GIVES_BACK = {"MALLOC_ARENA_MAX": "1", "MALLOC_TRIM_THRESHOLD_": "65536"}


def test_a_subscriber_that_is_stuck_holds_up_nobody(tmp_path: Path, textured_image: np.ndarray) -> None:
    image = np.tile(textured_image, (2, 2, 1))
    with running_tracker(
        tmp_path,
        process_every_frame=True,
        score_threshold=0.0,
        max_keypoints=1500,
    ) as tracker:
        for _ in range(10):
            tracker.track(image)
        undisturbed = publishing_share(tracker, 0)
        node, topic = tracker.station.node, "/tracker/features"
        with stuck_subscriber("Features", topic, tmp_path, lambda: node.count_subscribers(topic) == 2):
            before_mb = resident_mb(tracker)
            for _ in range(FRAMES):
                features = tracker.track(image)
            sent_mb = FRAMES * len(features.descriptors) / 1e6
            assert resident_mb(tracker) - before_mb < sent_mb / 2
        assert tracker.counters() == (FRAMES + 10, FRAMES + 10, 0, 0)
        assert publishing_share(tracker, 10) < 5 * undisturbed + 0.25, "as fast as before, beside the inference"


def publishing_share(tracker: TrackerBench, after: int) -> float:
    """The median time to publish an image's results, of that for its inference, of the images after the first few."""
    statuses = tracker.station.messages("/tracker/status")
    shares = [one.publish_ms / one.inference_ms for one in statuses if one.processed > max(after, 1)]
    return float(np.median(shares))


def test_a_hundred_images_per_second_at_a_node_that_manages_a_few(tmp_path: Path, textured_image: np.ndarray) -> None:
    image = np.tile(textured_image, (2, 1, 1))
    with running_tracker(
        tmp_path,
        model="aliked-n32",
        engine="reference",
        threads=1,
        warmup_width=320,
        warmup_height=480,
        environment=GIVES_BACK,
    ) as tracker:
        with publishing(tracker, image, rate_hz=100.0):
            tracker.status(lambda status: status.processed >= 2)
            before_mb, before = least_resident_mb(tracker), tracker.status()
            enough = before.received + 300
            status = tracker.status(lambda status: status.processed >= 6 and status.received >= enough)
            assert tracker.reset().success, "services are answered"
            assert tracker.station.set_parameters("/tracker", max_keypoints=500).successful
            assert status.dropped - before.dropped > status.processed - before.processed
            waited_mb = (status.received - before.received) * image.nbytes / 1e6
            assert least_resident_mb(tracker) < before_mb + GROWTH_MB
            assert waited_mb > GROWTH_MB
        received, processed, dropped, refused = tracker.counters()
        assert (received, refused) == (processed + dropped, 0)
        # The newest image is taken, so it has hardly waited; one from a queue would have waited for others, too.
        seen = {message.processed: message for message in tracker.station.messages("/tracker/status")}
        waits = [latency_in_frames(message) for count, message in seen.items() if count > 2]
        assert np.median(waits) < 2
        wait_until(lambda: tracker.station.messages("/tracker/features")[-1].epoch == 1, "the reset's epoch")


def resident_mb(tracker: TrackerBench) -> float:
    assert tracker.process is not None
    return tracker.process.resident_mb()


def least_resident_mb(tracker: TrackerBench) -> float:
    """The least while some images are processed: in the midst of one the network holds a hundred megabytes more."""
    enough, readings = tracker.status().processed + 3, [resident_mb(tracker)]

    def is_enough() -> bool:
        readings.append(resident_mb(tracker))
        return tracker.status().processed >= enough

    wait_until(is_enough, "three more images")
    return min(readings)


def latency_in_frames(status: Any) -> float:
    """From the arrival of an image to its results, by the time its processing took."""
    parts = status.preprocess_ms + status.inference_ms + status.match_ms + status.publish_ms
    return float(status.latency_ms / parts)
