# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""One of two cameras, each a process of its own, dies and comes back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from node_harness import Station, parameter_arguments, wait_until

from aliked_msgs.msg import Features, Matches, TrackerStatus
from aliked_ros.ros.child import NodeProcess
from aliked_ros.ros.conversions import ns_from_time

pytestmark = pytest.mark.ros

# Stamps are multiples of the period, so that cameras on one machine are in step without knowing of each other.
CAMERA = """
import sys, time, numpy as np, rclpy
from aliked_ros.ros.image_conversions import image_message

PERIOD_NS = 200_000_000
rclpy.init()
node = rclpy.create_node(sys.argv[1] + "_driver")
publisher = node.create_publisher(type(image_message(np.zeros((32, 32), np.uint8), 0, "")), sys.argv[1] + "/image", 1)
image = np.load(sys.argv[2])
while True:
    stamp_ns = (time.time_ns() // PERIOD_NS + 1) * PERIOD_NS
    time.sleep((stamp_ns - time.time_ns()) / 1e9)
    publisher.publish(image_message(image, stamp_ns, sys.argv[1]))
"""


@contextmanager
def camera(name: str, image: Path) -> Iterator[None]:
    """A driver that is killed at the end, without a chance to say so."""
    process = subprocess.Popen([sys.executable, "-c", CAMERA, name, str(image)])
    try:
        yield
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def test_one_of_two_cameras_dies_and_comes_back(ros_context: Any, tmp_path: Path, textured_image: np.ndarray) -> None:
    np.save(tmp_path / "image.npy", textured_image)
    station = Station(ros_context)
    try:
        for kind, topic in ((Features, "left/features"), (Features, "right/features"), (Matches, "matches")):
            station.subscribe(kind, f"/tracker/{topic}", depth=1000)
        for name in ("left", "right"):
            station.subscribe(TrackerStatus, f"/tracker/{name}/status", latched=True, depth=1000)
        arguments = parameter_arguments(
            model="aliked-t16",
            device="cpu",
            precision="fp32",
            warmup_width=320,
            warmup_height=240,
            cameras="[left, right]",
            max_keypoints=100,
            sync_timeout=0.1,
        )
        with (
            NodeProcess("aliked_ros.ros.tracker", arguments, tmp_path / "log"),
            camera("left", tmp_path / "image.npy"),
        ):
            with camera("right", tmp_path / "image.npy"):
                more(station, "/tracker/matches", 5)
            alone_from = len(station.messages("/tracker/left/features"))
            right = len(station.messages("/tracker/right/features"))
            more(station, "/tracker/left/features", 15)
            assert len(station.messages("/tracker/right/features")) <= right + 1, "the right camera is dead"
            station.wait_for("/tracker/right/status", lambda s: s.received and s.state == TrackerStatus.STATE_IDLE)
            with camera("right", tmp_path / "image.npy"):
                more(station, "/tracker/matches", 5)
        check_streams(station, alone_from)
        log = (tmp_path / "log").read_text()
        assert "Traceback" not in log
        assert "start anew" not in log
    finally:
        station.close()


def more(station: Station, topic: str, count: int) -> None:
    wanted = len(station.messages(topic)) + count
    wait_until(lambda: len(station.messages(topic)) >= wanted, f"{count} messages on {topic}")


def check_streams(station: Station, alone_from: int) -> None:
    """What left tracked went on through the right camera's death, and matches join images of one moment only."""
    left = station.messages("/tracker/left/features")
    assert {message.epoch for message in left} == {0}
    before, alone = (set(left[index].track_ids) - {-1} for index in (alone_from - 1, alone_from + 12))
    assert len(before & alone) > 50, "the scene stands still, so tracks go on"
    for message in station.messages("/tracker/matches"):
        assert (message.source_id, message.source_id_ref) == ("left", "right")
        assert ns_from_time(message.stamp_ref) == ns_from_time(message.header.stamp)
    for name in ("left", "right"):
        status = station.messages(f"/tracker/{name}/status")[-1]
        assert status.refused == 0
        assert status.received >= status.processed + status.dropped
