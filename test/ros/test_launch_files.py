# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The launch files under a real `ros2 launch`, where ROS 2's launch is installed."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip(
    "launch_ros", reason="launch_ros is not installed: it comes with an installed ROS 2, not with wheels"
)
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from node_harness import TIMEOUT_S, Station, TrackerBench, wait_until

from aliked_msgs.msg import Features, TrackerStatus

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("domain")]


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    if shutil.which("ros2") is None:
        pytest.skip("the command ros2 is not installed")
    try:
        get_package_share_directory("aliked_ros")
    except PackageNotFoundError:
        pytest.skip("aliked_ros is not in the ament index: build the workspace and source it")


@pytest.fixture
def station(ros_context: Any) -> Iterator[Station]:
    station = Station(ros_context)
    yield station
    station.close()


def launch_command(file: str, **arguments: Any) -> list[str]:
    return ["ros2", "launch", "aliked_ros", file, *(f"{name}:={value}" for name, value in arguments.items())]


@contextmanager
def launched(log: Path, file: str, **arguments: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A launch that runs; leaving ends it as Ctrl-C does, and everything must then end well."""
    with log.open("wb") as stream:
        process = subprocess.Popen(launch_command(file, **arguments), stdout=stream, stderr=stream)
    try:
        yield process
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        assert process.wait(TIMEOUT_S) == 0
    finally:
        process.kill()
        process.wait()
    text = log.read_text()
    assert "Traceback" not in text
    assert "process has died" not in text
    assert "process has finished cleanly" in text


@pytest.mark.parametrize("file", ["tracker.launch.py", "tum.launch.py"])
def test_arguments_are_described(file: str) -> None:
    done = subprocess.run(
        [*launch_command(file), "--show-args"], capture_output=True, text=True, timeout=TIMEOUT_S, check=True
    )
    assert "'log_level':" in done.stdout
    assert "no description given" not in done.stdout


def test_the_tracker_runs_where_it_is_told_to(station: Station, tmp_path: Path, textured_image: np.ndarray) -> None:
    station.subscribe(TrackerStatus, "/robot/front/status", latched=True)
    log = tmp_path / "log"
    arguments = {
        "namespace": "robot",
        "name": "front",
        "model": "aliked-t16",
        "device": "cpu",
        "image": "/image",
        "log_level": "debug",
    }
    with launched(log, "tracker.launch.py", **arguments):
        status = station.wait_for("/robot/front/status", lambda s: s.state == TrackerStatus.STATE_IDLE)
        assert (status.model, status.device) == ("aliked-t16", "cpu")
        station.subscribe(Features, "/robot/front/features")
        bench = TrackerBench(station, log)
        bench.wait_until_connected()
        for _ in range(20):  # until the tracker knows of the subscription
            bench.send_image(textured_image)
            if station.messages("/robot/front/features"):
                break
            before = len(station.messages("/robot/front/status"))
            wait_until(lambda before=before: len(station.messages("/robot/front/status")) > before, "a status")
        assert station.wait_for("/robot/front/features").num_features > 0


def test_a_parameter_file_is_used_and_arguments_go_before_it(station: Station, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("/**:\n  ros__parameters:\n    model: aliked-n32\n    device: cpu\n    warmup_width: 0\n")
    station.subscribe(TrackerStatus, "/tracker/status", latched=True)
    with launched(tmp_path / "log", "tracker.launch.py", params_file=file, model="aliked-t16"):
        status = station.wait_for("/tracker/status", lambda s: s.state == TrackerStatus.STATE_IDLE)
        assert (status.model, status.device) == ("aliked-t16", "cpu")


@pytest.mark.parametrize("lock_step", [True, False])
def test_a_sequence_is_replayed_and_everything_ends_with_it(
    tmp_path: Path, textured_image: np.ndarray, lock_step: bool
) -> None:
    sequence = tmp_path / "sequence"
    (sequence / "rgb").mkdir(parents=True)
    lines = []
    for index in range(5):
        cv2.imwrite(str(sequence / f"rgb/{index}.png"), textured_image[..., ::-1])
        lines.append(f"{1000 + index / 10} rgb/{index}.png\n")
    (sequence / "rgb.txt").write_text("".join(lines))
    arguments = {"input": sequence, "kinect": "fr3", "model": "aliked-t16", "namespace": "tum"}
    # In lock step the player ends well only when the features of every frame have come.
    with launched(tmp_path / "log", "tum.launch.py", lock_step=lock_step, **arguments) as process:
        assert process.wait(TIMEOUT_S) == 0
    assert "played 5 frames" in (tmp_path / "log").read_text()
