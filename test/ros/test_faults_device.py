# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""A device that fails under the running tracker: said loudly, made up for where that is allowed, never a dead node."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from diagnostic_msgs.msg import DiagnosticStatus
from node_harness import TrackerBench, running_tracker

from aliked_msgs.msg import TrackerStatus

pytestmark = pytest.mark.ros
LOST = "CUDA error: unspecified launch failure"


@contextmanager
def failing_tracker(directory: Path, **parameters: Any) -> Iterator[TrackerBench]:
    """A tracker on an engine that fails once :func:`order` says so."""
    path = f"{Path(__file__).parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    environment = {"PYTHONPATH": path, "FAULT_FILE": str(directory / "fault")}
    with running_tracker(
        directory,
        **{"process_every_frame": True, "warmup_width": 0, **parameters},
        module="faulty_node",
        environment=environment,
    ) as tracker:
        yield tracker


def order(directory: Path, fault: str) -> None:
    """Has the next images meet a fault, such as ``2 memory``."""
    written = directory / "written"
    written.write_text(fault)
    written.replace(directory / "fault")


def diagnosed(tracker: TrackerBench, level: bytes, text: str) -> dict[str, str]:
    """The values of the first report of this kind."""
    report = tracker.station.wait_for(
        "/diagnostics", lambda array: array.status[0].level == level and text in array.status[0].message
    )
    return {pair.key: pair.value for pair in report.status[0].values}


def test_the_cpu_stands_in_and_tracks_go_on(tmp_path: Path, textured_image: np.ndarray) -> None:
    with failing_tracker(tmp_path, fallback="cpu") as tracker:
        before = tracker.track(textured_image)
        assert tracker.status().device == "cuda:0"
        # Memory that suffices at the second attempt changes nothing but a warning.
        order(tmp_path, "1 memory")
        retried = tracker.track(textured_image)
        assert tracker.status().device == "cuda:0"
        diagnosed(tracker, DiagnosticStatus.WARN, "processed at the second attempt only")
        order(tmp_path, f"1 {LOST}")
        after = tracker.track(textured_image)
        for features in (retried, after):
            np.testing.assert_array_equal(features.xy, before.xy)
            np.testing.assert_array_equal(features.track_ids, before.track_ids)
            assert features.epoch == before.epoch
        values = diagnosed(
            tracker, DiagnosticStatus.ERROR, f"cpu runs instead, more slowly: device cuda:0 is lost: {LOST}"
        )
        assert values["device"] == "cpu"
        assert LOST in values["faults"]
        assert tracker.status().device == "cpu"
        assert tracker.counters() == (3, 3, 0, 0)
        (line,) = [line for line in tracker.log_text().splitlines() if LOST in line]
        assert "[ERROR]" in line


def test_without_a_stand_in_every_image_says_so_and_the_node_lives(tmp_path: Path, textured_image: np.ndarray) -> None:
    with failing_tracker(tmp_path, fallback="none") as tracker:
        tracker.track(textured_image)
        order(tmp_path, "2 memory")
        tracker.send_image(textured_image)
        status = tracker.status(lambda status: status.state == TrackerStatus.STATE_ERROR)
        assert (status.processed, status.refused) == (1, 1)
        diagnosed(tracker, DiagnosticStatus.ERROR, "processing fails: the memory of device cuda:0 does not suffice")
        tracker.track(textured_image)
        assert tracker.status().state == TrackerStatus.STATE_RUNNING, "memory may suffice again"
        order(tmp_path, f"1 {LOST}")
        for _ in range(3):
            tracker.send_image(textured_image)
        tracker.status(lambda status: status.refused == 4)
        assert tracker.counters() == (6, 2, 0, 4)
        diagnosed(tracker, DiagnosticStatus.ERROR, "processing fails: device cuda:0 is lost")
        assert tracker.reset().success, "services are answered"
        assert tracker.log_text().count(LOST) < 3, "a line of a kind now and then, not for every image"
