# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the tracker says about itself, and about a transport that loses images."""

from __future__ import annotations

import os
import threading
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from node_harness import TIMEOUT_S, Station

from aliked_ros.ros.finding import Finding
from aliked_ros.ros.monitor import Monitor
from aliked_ros.ros.phase import Phase
from aliked_ros.ros.reporting import Reporter, transport_warning

pytestmark = pytest.mark.ros


@pytest.mark.parametrize(("transports", "warning"), [("UDPv4", "lost or slow"), ("LARGE_DATA", "")])
def test_a_transport_that_loses_images(monkeypatch: pytest.MonkeyPatch, transports: str, warning: str) -> None:
    monkeypatch.setattr(os, "environ", {"FASTDDS_BUILTIN_TRANSPORTS": transports})
    assert bool(transport_warning()) == bool(warning)
    assert warning in transport_warning()
    assert "\n" not in transport_warning()


def test_who_sees_less_does_not_speak_last() -> None:
    """Of two threads that publish the status at once, the one that saw more counts must not be overtaken."""
    station, monitor = Station(), Monitor()
    try:
        reporter = Reporter(station.node, monitor)
        published: list[int] = []
        is_in_hand, may_go_on = threading.Event(), threading.Event()

        def publish(message: Any) -> None:
            if not is_in_hand.is_set():
                is_in_hand.set()
                may_go_on.wait(TIMEOUT_S)
            published.append(message.received)

        reporter._status = SimpleNamespace(publish=publish)
        first, second = (threading.Thread(target=reporter.publish_status) for _ in range(2))
        first.start()
        assert is_in_hand.wait(TIMEOUT_S)
        monitor.received()
        second.start()
        second.join(0.3)  # it would have spoken by then
        may_go_on.set()
        first.join(TIMEOUT_S)
        second.join(TIMEOUT_S)
        assert published == sorted(published)
        assert published[-1] == 1
    finally:
        station.close()


def test_diagnostics_have_all_that_is_wrong_the_worst_first() -> None:
    station, monitor = Station(), Monitor()
    try:
        station.subscribe(DiagnosticArray, "/diagnostics")
        monitor.enter(Phase.ACTIVE)
        monitor.calibration_refused("K is zero")
        reporter = Reporter(station.node, monitor)
        reporter.watch(lambda: Finding({"log_lost": "3"}, "the log is not written"))
        reporter.watch(lambda: Finding({"overloaded": "false"}))
        status = station.wait_for("/diagnostics").status[0]
        assert status.message == "camera_info refused: K is zero; the log is not written"
        assert status.level == DiagnosticStatus.WARN
        values = {pair.key: pair.value for pair in status.values}
        assert (values["log_lost"], values["overloaded"], values["without_partner"]) == ("3", "false", "0")
        assert float(values["rss_mb"]) > 1
        assert not any("histogram" in key for key in values), "there was no image yet"
    finally:
        station.close()
