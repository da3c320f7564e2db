# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""One of two cameras, each a process of its own, dies and comes back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from node_harness import Station, parameter_arguments, wait_until

from aliked_msgs.msg import Features, Matches, TrackerStatus, Tracks
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


def test_one_of_two_cameras_dies_and_comes_back(tmp_path: Path, textured_image: np.ndarray) -> None:
    np.save(tmp_path / "image.npy", textured_image)
    station = Station()
    try:
        for kind, topic in (
            (Features, "left/features"),
            (Features, "right/features"),
            (Tracks, "left/tracks"),
            (Matches, "matches"),
        ):
            station.subscribe(kind, f"/tracker/{topic}", depth=1000)
        station.subscribe(DiagnosticArray, "/diagnostics")
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
                more(station, "/tracker/matches", 2)
                together_from = len(station.messages("/tracker/left/features"))
                more(station, "/tracker/matches", 15)
            alone_from = len(station.messages("/tracker/left/features"))
            right = len(station.messages("/tracker/right/features"))
            check_diagnostics_name_the_dead_one(station, len(station.messages("/diagnostics")))
            more(station, "/tracker/left/features", 5)
            alone_until = len(station.messages("/tracker/left/features"))
            assert len(station.messages("/tracker/right/features")) <= right + 1, "the right camera is dead"
            station.wait_for("/tracker/right/status", lambda s: s.received and s.state == TrackerStatus.STATE_IDLE)
            with camera("right", tmp_path / "image.npy"):
                more(station, "/tracker/matches", 5)
        check_rate(station, together_from, alone_from, alone_until)
        check_streams(station, alone_from)
        log = (tmp_path / "log").read_text()
        assert "Traceback" not in log
        assert "start anew" not in log
    finally:
        station.close()


def check_diagnostics_name_the_dead_one(station: Station, since: int) -> None:
    def told() -> list[DiagnosticStatus]:
        return [array.status[0] for array in station.messages("/diagnostics")[since:]]

    def of_silence() -> list[DiagnosticStatus]:
        return [status for status in told() if "no image for" in status.message]

    wait_until(lambda: bool(of_silence()), "the warning")
    assert {(status.name, status.level) for status in of_silence()} == {("tracker: right", DiagnosticStatus.WARN)}
    assert " s on /right/image, which " in of_silence()[-1].message
    assert any(status.name == "tracker: left" for status in told())


def check_rate(station: Station, together_from: int, alone_from: int, alone_until: int) -> None:
    """The left camera's images are processed as often without the right camera as they were with it.

    Or all of them are: where the machine is slow the driver itself misses some of its moments.
    """
    left = station.messages("/tracker/left/features")
    together, alone = left[together_from:alone_from], left[alone_from:alone_until]
    first, last = (status_of(station, message) for message in (alone[0], alone[-1]))
    all_were_processed = last.dropped == first.dropped and last.processed - first.processed == len(alone) - 1
    # One image more or less, because it depends on chance where the windows begin and end.
    assert all_were_processed or per_second(alone) >= per_second(together) * (1 - 1 / len(together))


def status_of(station: Station, features: Any) -> Any:
    """The status that was published with these features."""
    return station.wait_for("/tracker/left/status", lambda status: status.processed > features.frame_seq)


def per_second(messages: Sequence[Any]) -> float:
    first_ns, last_ns = (ns_from_time(messages[index].header.stamp) for index in (0, -1))
    return 1e9 * (len(messages) - 1) / (last_ns - first_ns)


def more(station: Station, topic: str, count: int) -> None:
    wanted = len(station.messages(topic)) + count
    wait_until(lambda: len(station.messages(topic)) >= wanted, f"{count} messages on {topic}")


def check_streams(station: Station, alone_from: int) -> None:
    """What left tracked went on through the right camera's death, and matches join images of one moment only."""
    left = station.messages("/tracker/left/features")
    tracks = station.messages("/tracker/left/tracks")
    assert {message.epoch for message in (*left, *tracks)} == {0}
    before, alone = (set(left[index].track_ids) - {-1} for index in (alone_from - 1, alone_from + 12))
    assert len(before & alone) > 50, "the scene stands still, so tracks go on"
    ages = {message.frame_seq: np.frombuffer(message.ages, np.uint32).max() for message in tracks}
    assert ages[left[alone_from + 12].frame_seq] > ages[left[alone_from - 1].frame_seq], "none began anew"
    for message in station.messages("/tracker/matches"):
        assert (message.source_id, message.source_id_ref) == ("left", "right")
        assert ns_from_time(message.stamp_ref) == ns_from_time(message.header.stamp)
    for name in ("left", "right"):
        status = station.messages(f"/tracker/{name}/status")[-1]
        assert status.refused == 0
        assert status.received >= status.processed + status.dropped
