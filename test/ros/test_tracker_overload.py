# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""A camera that is faster than the tracker: old images are dropped, never queued, and counted."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from node_harness import PERIOD_NS, START_NS, running_tracker

from aliked_ros.ros.conversions import ns_from_time
from aliked_ros.ros.image_conversions import image_message

pytestmark = pytest.mark.ros

COUNT = 60
INTERVAL_S = 0.01


def test_a_fast_camera_gets_its_newest_images_processed(tmp_path: Path, textured_image: np.ndarray) -> None:
    # As much work per image as the slowest model can make of it.
    image = np.tile(textured_image, (2, 2, 1))
    with running_tracker(tmp_path, model="aliked-n32", score_threshold=0.0, max_keypoints=5000) as tracker:
        for index in range(COUNT):
            tracker.send(image_message(image, START_NS + index * PERIOD_NS, "camera"))
            time.sleep(INTERVAL_S)
        # The network may lose the last image of a stream nobody vouches for; a camera would go on.
        last = tracker.track(image, stamp_ns=START_NS + COUNT * PERIOD_NS)
        received, processed, dropped, refused = tracker.counters()
        assert received == processed + dropped + refused
        assert received <= COUNT + 1
        assert dropped > 0
        assert refused == 0
        stamps = [ns_from_time(message.header.stamp) for message in tracker.station.messages("/tracker/features")]
        assert len(stamps) == processed
        assert stamps == sorted(set(stamps)), "in order, each once"
        assert last.frame_seq == processed - 1
        # Had images queued up, the last to be processed would be those the tracker got first.
        # (A machine so busy that the first takes longer than the whole stream has the first and the last only.)
        assert processed == 2 or stamps[-2] > START_NS + processed * PERIOD_NS
