# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""SIGINT and SIGTERM at the worst moments: the process ends within two seconds, with its exit code, and quietly.

Quiet states are covered by test_tracker_lifecycle.py, starting and running by test_tracker_start.py.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")
pytest.importorskip("lifecycle_msgs", reason="lifecycle_msgs is not installed")

from bag_samples import make_frames
from fault_harness import publishing, stuck_subscriber
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from node_harness import (
    TIMEOUT_S,
    Station,
    TrackerBench,
    elapsed_s,
    parameter_arguments,
    require_exit_in_time,
    started,
    wait_until,
)
from sensor_msgs.msg import Image

from aliked_ros.io.tum_writer import TumWriter
from aliked_ros.ros.child import NodeProcess

pytestmark = pytest.mark.ros

LEASE_S = 20.0  # that others go on seeing a node of which they hear nothing any more
PATIENCE_TESTER = """
import sys, time
from aliked_ros.ros.process import run

def main(stop):
    print("ready", flush=True)
    stop.wait()
    until_s = time.monotonic() + float(sys.argv[1])
    while time.monotonic() < until_s:
        stop.wait(1e-4)  # a signal is likely to come while this holds the event's lock
    return 0

sys.exit(run(main, []))
"""

TORN_AWAY = """
import os, signal, sys, threading, time
from aliked_ros.ros.process import run
from aliked_ros.ros.signals import exit_in_time

def main(stop):
    is_leaving = threading.Event()

    def leave():
        is_leaving.set()
        time.sleep(0.2)

    with exit_in_time(stop, lambda: 0, leave):
        os.kill(os.getpid(), signal.SIGINT)
        is_leaving.wait()
        raise RuntimeError("the node is gone")

sys.exit(run(main, []))
"""


@pytest.mark.parametrize(
    ("node", "number"), [("tracker", signal.SIGINT), ("player", signal.SIGTERM), ("demo", signal.SIGINT)]
)
def test_signals_during_the_first_imports(tmp_path: Path, node: str, number: signal.Signals) -> None:
    def attempt(directory: Path) -> float:
        with started(directory / "log", "-m", "aliked_ros.ros.start", node) as process:
            maps = Path(f"/proc/{process.pid}/maps")
            wait_until(lambda: "numpy" in maps.read_text() or "rclpy" in maps.read_text(), "an import that takes long")
            process.send_signal(number)
            taken_s = elapsed_s(lambda: process.wait(TIMEOUT_S))
            codes = (0, 1) if node == "player" else (0,)  # 1 where its missing input was noticed first
            assert process.returncode in codes
        return taken_s

    require_exit_in_time(attempt, tmp_path)


def test_one_ctrl_c_may_come_many_times(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with started(log, "-c", PATIENCE_TESTER, "0.5") as process:
        wait_until(lambda: "ready" in log.read_text(), "the start")
        for number in (signal.SIGINT, signal.SIGTERM) * 20:
            process.send_signal(number)
            time.sleep(0.01)
        assert process.wait(TIMEOUT_S) == 0


def test_a_late_second_signal_ends_the_wait(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with started(log, "-c", PATIENCE_TESTER, str(2 * TIMEOUT_S)) as process:
        wait_until(lambda: "ready" in log.read_text(), "the start")
        process.send_signal(signal.SIGINT)
        time.sleep(1.2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT_S) == 130


def test_what_fails_because_the_node_has_to_leave_is_no_failure(tmp_path: Path) -> None:
    with started(tmp_path / "log", "-c", TORN_AWAY) as process:
        assert process.wait(TIMEOUT_S) == 0


def wait_until_gone(station: Station) -> None:
    ended_at_s = time.monotonic()
    while "tracker" in station.node.get_node_names():
        assert time.monotonic() < ended_at_s + LEASE_S / 2, "only the end of its lease takes it out of the graph"
        time.sleep(0.05)


def request(station: Station, *transitions: int) -> None:
    """Makes all transitions but the last, and asks for that without waiting for its end."""
    client = station.node.create_client(ChangeState, "/tracker/change_state")
    assert client.wait_for_service(TIMEOUT_S)
    *before, last = transitions
    for transition in before:
        answer = station.call(ChangeState, "/tracker/change_state", _change(transition))
        assert answer.success
    client.call_async(_change(last))


def _change(transition: int) -> Any:
    return ChangeState.Request(transition=Transition(id=transition))


CONFIGURE, ACTIVATE = Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE
DEACTIVATE, CLEAN_UP = Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP


@pytest.mark.parametrize(
    ("transitions", "awaited", "numbers"),
    [
        ((CONFIGURE, ACTIVATE), "ready: ", (signal.SIGINT, signal.SIGINT)),
        ((CONFIGURE, ACTIVATE, DEACTIVATE), "inactive", (signal.SIGINT,)),
        ((CONFIGURE, ACTIVATE, DEACTIVATE, CLEAN_UP), "inactive", (signal.SIGTERM, signal.SIGINT)),
    ],
    ids=["active, twice", "deactivating", "cleaning up"],
)
def test_signals_under_load(
    tmp_path: Path,
    textured_image: np.ndarray,
    transitions: Sequence[int],
    awaited: str,
    numbers: Sequence[signal.Signals],
) -> None:
    arguments = parameter_arguments(model="aliked-n32", device="cpu", autostart=False, warmup_width=0)
    image = np.tile(textured_image, (3, 3, 1))  # one is in process whenever the signal comes

    def attempt(directory: Path) -> float:
        station = Station()
        tracker = TrackerBench(station, directory / "log")
        try:
            with (
                publishing(tracker, image, rate_hz=100.0),
                NodeProcess("aliked_ros.ros.tracker", arguments, tracker.log) as process,
            ):
                request(station, *transitions[:2])
                tracker.status(lambda status: status.dropped > 3)
                if transitions[2:]:
                    request(station, *transitions[2:])
                wait_until(lambda: awaited in tracker.log_text(), awaited)
                for number in numbers[1:]:
                    os.kill(process.pid, number)
                taken_s = elapsed_s(lambda: process.stop(numbers[0]))
                wait_until_gone(station)
        finally:
            station.close()
        assert "Traceback" not in tracker.log_text()
        return taken_s

    require_exit_in_time(attempt, tmp_path)


def test_signals_after_a_failed_configuration_and_the_graph_is_left(tmp_path: Path) -> None:
    arguments = parameter_arguments(weights="/no/such/file", autostart=False)

    def attempt(directory: Path) -> float:
        station, log = Station(), directory / "log"
        try:
            with NodeProcess("aliked_ros.ros.tracker", arguments, log) as process:
                assert not station.call(ChangeState, "/tracker/change_state", _change(CONFIGURE)).success
                taken_s = elapsed_s(lambda: process.stop(signal.SIGTERM))
                wait_until_gone(station)
        finally:
            station.close()
        assert "Traceback" not in log.read_text()
        return taken_s

    require_exit_in_time(attempt, tmp_path)


def test_a_signal_while_the_demo_simulates(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with started(log, "-m", "aliked_ros.ros.start", "demo", "--output", str(tmp_path / "out")) as process:
        wait_until(lambda: "simulating" in log.read_text(), "the simulation")
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        assert process.wait(TIMEOUT_S) == 130
    assert "interrupted" in log.read_text()


def test_a_signal_while_the_player_waits_for_a_reader_that_is_stuck(tmp_path: Path) -> None:
    with TumWriter(tmp_path / "sequence", None) as writer:
        for frame in make_frames(2):
            writer.write(frame)
    arguments = parameter_arguments(input=tmp_path / "sequence", rate=0.0, wait_for_subscribers=2)

    def attempt(directory: Path) -> float:
        station = Station()
        try:
            with (
                started(directory / "log", "-m", "aliked_ros.ros.player", "--ros-args", *arguments) as process,
                stuck_subscriber("Image", "/image", directory, lambda: station.node.count_subscribers("/image") == 1),
            ):
                station.subscribe(Image, "/image")  # the second, for which it waits
                wait_until(lambda: len(station.messages("/image")) == 2, "the last frame")
                process.send_signal(signal.SIGINT)
                taken_s = elapsed_s(lambda: process.wait(TIMEOUT_S))
                assert process.returncode == 0
        finally:
            station.close()
        return taken_s

    require_exit_in_time(attempt, tmp_path)
