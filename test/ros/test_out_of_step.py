# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What belongs together and does not come together, and what /diagnostics says of it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from node_harness import START_NS, Station, parameter_arguments, running_tracker, wait_until
from qos_samples import repeat_until
from sensor_msgs.msg import Image

from aliked_msgs.msg import TrackerStatus
from aliked_ros.ros.child import NodeProcess
from aliked_ros.ros.image_conversions import image_message

pytestmark = pytest.mark.ros
MS = 1_000_000


def test_cameras_out_of_step_are_told_of_until_they_are_in_step(tmp_path: Path, textured_image: np.ndarray) -> None:
    station, stop, offset_ms = Station(), threading.Event(), [50]
    small = np.ascontiguousarray(textured_image[:64, :64])

    def run() -> None:
        stamp_ns = START_NS
        while not stop.wait(0.05):
            stamp_ns += 100 * MS
            for name, late_ms in (("left", 0), ("right", offset_ms[0])):
                cameras[name].publish(image_message(small, stamp_ns + late_ms * MS, name))

    def diagnosed(text: str) -> Any:
        array = station.wait_for(
            "/diagnostics", lambda array: array.status[0].name == "tracker: left" and text in array.status[0].message
        )
        return array.status[0]

    thread = threading.Thread(target=run)
    try:
        station.subscribe(DiagnosticArray, "/diagnostics")
        cameras = {name: station.publisher(Image, f"/{name}/image") for name in ("left", "right")}
        station.subscribe(TrackerStatus, "/tracker/left/status", latched=True)
        arguments = parameter_arguments(
            model="aliked-t16", device="cpu", precision="fp32", cameras="[left, right]", warmup_width=0
        )
        with NodeProcess("aliked_ros.ros.tracker", arguments, tmp_path / "log"):
            station.wait_until_heard("/tracker", *cameras.values())
            thread.start()
            status = diagnosed("every image waits in vain for another camera's")
            assert status.level == DiagnosticStatus.WARN
            assert int({pair.key: pair.value for pair in status.values}["without_partner"]) >= 3
            offset_ms[0] = 1
            before = len(station.messages("/diagnostics"))
            wait_until(
                lambda: any(
                    array.status[0].name == "tracker: left" and "waits in vain" not in array.status[0].message
                    for array in station.messages("/diagnostics")[before:]
                ),
                "the end of the warning",
            )
            # Live: a slop that is smaller than the difference of the stamps.
            assert station.set_parameters("/tracker", sync_slop=0.0).successful
            before = len(station.messages("/diagnostics"))
            wait_until(
                lambda: any(
                    "waits in vain" in array.status[0].message for array in station.messages("/diagnostics")[before:]
                ),
                "the warning again",
            )
    finally:
        stop.set()
        if thread.is_alive():
            thread.join()
        station.close()


def test_depth_that_never_comes_is_told_of_all_the_time(tmp_path: Path, textured_image: np.ndarray) -> None:
    with running_tracker(tmp_path, depth=True, depth_timeout=0.0, warmup_width=0) as tracker:
        diagnostics = "/diagnostics"

        def told() -> list[DiagnosticStatus]:
            return [array.status[0] for array in tracker.station.messages(diagnostics)]

        repeat_until(
            lambda: tracker.send_image(textured_image),
            lambda: sum("no depth for" in status.message for status in told()) >= 3,
            "warnings",
        )
        after_first = told()[next(i for i, s in enumerate(told()) if "no image has depth" in s.message) :]
        assert {status.level for status in after_first} == {DiagnosticStatus.WARN}
        assert "s on /depth, which nobody publishes" in after_first[-1].message
        assert tracker.log_text().count("no depth for") == 1
