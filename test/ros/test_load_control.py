# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""A flooded tracker does less where it was asked to, says so, and does all again afterwards."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from diagnostic_msgs.msg import DiagnosticStatus
from node_harness import TrackerBench, running_tracker, wait_until

pytestmark = pytest.mark.ros

FLOOD_INTERVAL_S = 0.005  # no CPU extracts 640×480 pixels as often
PARAMETERS: dict[str, Any] = {"score_threshold": 0.0, "max_keypoints": 2000, "overload__window": 0.5}


@pytest.fixture(scope="module")
def image(textured_image: np.ndarray) -> np.ndarray:
    return np.tile(textured_image, (2, 2, 1))


@contextmanager
def flood(tracker: TrackerBench, image: np.ndarray) -> Iterator[None]:
    """Far more images than can be processed, while the context lasts."""
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            tracker.send_image(image)
            time.sleep(FLOOD_INTERVAL_S)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def diagnosed(tracker: TrackerBench, text: str) -> dict[str, str]:
    """The values of the first diagnostics with this text in their message."""
    array = tracker.station.wait_for("/diagnostics", lambda array: text in array.status[0].message)
    assert array.status[0].level == DiagnosticStatus.WARN
    return {pair.key: pair.value for pair in array.status[0].values}


def newest_features(tracker: TrackerBench) -> int:
    return int(tracker.station.messages("/tracker/features")[-1].num_features)


def test_fewer_keypoints_while_flooded_and_all_of_them_afterwards(tmp_path: Path, image: np.ndarray) -> None:
    parameters = {**PARAMETERS, "overload__policy": "fewer_keypoints", "overload__max_keypoints": 100}
    with running_tracker(tmp_path, **parameters) as tracker:
        assert tracker.track(image).num_features > 100
        with flood(tracker, image):
            wait_until(lambda: newest_features(tracker) == 100, "fewer keypoints")
            assert diagnosed(tracker, "overloaded: 100 keypoints instead of 2000")["overloaded"] == "true"
        wait_until(lambda: "no longer overloaded: 2000 keypoints again" in tracker.log_text(), "recovery")
        assert tracker.log_text().count("overloaded: 100 keypoints instead of 2000 (") == 1
        assert tracker.track(image).num_features > 100
        # Live: another policy ends what the first one lowered, and begins anew.
        changes = {"overload__policy": "lower_rate", "overload__max_rate": 4.0}
        assert tracker.station.set_parameters("/tracker", **changes).successful
        with flood(tracker, image):
            diagnosed(tracker, "overloaded: at most 4 images per second instead of all")
            assert tracker.station.set_parameters("/tracker", overload__policy="none").successful
            wait_until(lambda: "policy" in last_values(tracker) and is_quiet(tracker), "the end of the warning")
        received, processed, dropped, refused = tracker.counters()
        assert received == processed + dropped + refused


def last_values(tracker: TrackerBench) -> dict[str, str]:
    status = tracker.station.messages("/diagnostics")[-1].status[0]
    return {pair.key.removeprefix("overload_"): pair.value for pair in status.values}


def is_quiet(tracker: TrackerBench) -> bool:
    status = tracker.station.messages("/diagnostics")[-1].status[0]
    return "overloaded" not in status.message


def test_nothing_is_lowered_unless_asked(tmp_path: Path, image: np.ndarray) -> None:
    with running_tracker(tmp_path, **PARAMETERS, overload__max_keypoints=100) as tracker:
        full = tracker.track(image).num_features
        assert full > 100
        with flood(tracker, image):
            time.sleep(1.2)  # more than two windows
            wait_until(lambda: tracker.status().dropped > 20, "dropped images")
        tracker.track(image)
        assert {message.num_features for message in tracker.station.messages("/tracker/features")} == {full}
        assert "overloaded" not in tracker.log_text()
        assert last_values(tracker)["policy"] == "none"
        assert is_quiet(tracker)
