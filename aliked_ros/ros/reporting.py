# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""How the tracker tells people and programs how it is doing: ~/status and /diagnostics."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from aliked_msgs.msg import TrackerStatus as TrackerStatusMsg
from aliked_ros.io.messages.status_fields import TrackerState
from aliked_ros.ros import qos
from aliked_ros.ros.conversions import status_to_message
from aliked_ros.ros.monitor import Interval, Monitor

if TYPE_CHECKING:
    from aliked_ros.engine.base import EngineInfo

_PERIOD_S = 1.0
_SILENT_AFTER_S = 5.0
_DIAGNOSTICS_DEPTH = 10


class Reporter:
    """Publishes ~/status with every image and every second, and /diagnostics every second of real time.

    Args:
        node: publishes.
        monitor: what is reported.
        camera: name of the camera; empty where there is but one without a name.
    """

    def __init__(self, node: Node, monitor: Monitor, camera: str = "") -> None:
        self._node = node
        self._camera = camera
        self._monitor = monitor
        self._info: EngineInfo | None = None
        self._warnings: tuple[str, ...] = ()
        topic = f"~/{camera}/status" if camera else "~/status"
        self._status = node.create_publisher(TrackerStatusMsg, topic, qos.status())
        self._diagnostics = node.create_publisher(DiagnosticArray, "/diagnostics", _DIAGNOSTICS_DEPTH)
        # Simulated time may stand still or run fast; people watch in real time.
        self._timer = node.create_timer(_PERIOD_S, self._on_timer, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def set_engine(self, info: EngineInfo | None, warnings: tuple[str, ...] = ()) -> None:
        """What runs, and what people should know about it."""
        self._info = info
        self._warnings = warnings

    def publish_status(self) -> None:
        """Publishes ~/status now; from any thread."""
        info, last = self._info, self._monitor.last
        status = self._monitor.status(
            device="" if info is None else info.device,
            backend="" if info is None else info.backend,
            precision="" if info is None else info.precision,
            model="" if info is None else info.model,
        )
        stamp_ns = self._node.get_clock().now().nanoseconds
        self._status.publish(status_to_message(status, stamp_ns, "" if last is None else last.frame_id))

    def _on_timer(self) -> None:
        self.publish_status()
        message = DiagnosticArray(status=[self._diagnose(self._monitor.next_interval())])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._diagnostics.publish(message)

    def _diagnose(self, interval: Interval) -> DiagnosticStatus:
        level, text = self._verdict(interval)
        values = {
            **self._counters(),
            "calibrations_refused": str(self._monitor.calibrations_refused),
            "without_depth": str(self._monitor.without_depth),
            **_rates(interval),
            **self._engine(),
            "last_refusal": self._monitor.last_refusal,
        }
        return DiagnosticStatus(
            level=level,
            name=f"{self._node.get_fully_qualified_name().lstrip('/')}: {self._camera or 'images'}",
            message=text,
            hardware_id="" if self._info is None else self._info.device,
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )

    def _verdict(self, interval: Interval) -> tuple[bytes, str]:
        """The level and the one line that people read first: the worst that is true."""
        state, silence_s = self._state(), self._monitor.seconds_without_image
        if state == TrackerState.ERROR:
            return DiagnosticStatus.ERROR, f"processing fails: {self._monitor.last_refusal}"
        if state == TrackerState.STARTING:
            return DiagnosticStatus.OK, "loading the network"
        if state == TrackerState.DISABLED:
            return DiagnosticStatus.OK, "disabled by ~/enable"
        if interval.counts.refused:
            return DiagnosticStatus.WARN, f"{interval.counts.refused} images refused: {self._monitor.last_refusal}"
        if interval.counts.processed and interval.without_depth == interval.counts.processed:
            return DiagnosticStatus.WARN, "no image has depth: does it come, and do its stamps and size agree?"
        if self._monitor.calibration_error:
            return DiagnosticStatus.WARN, f"camera_info refused: {self._monitor.calibration_error}"
        if silence_s is not None and silence_s > _SILENT_AFTER_S:
            return DiagnosticStatus.WARN, f"no image for {silence_s:.0f} s"
        if self._warnings:
            return DiagnosticStatus.WARN, self._warnings[0]
        if silence_s is None:
            return DiagnosticStatus.OK, "waiting for images"
        dropped, received = interval.counts.dropped, interval.counts.received
        return DiagnosticStatus.OK, f"running, {dropped} of {received} images dropped" if dropped else "running"

    def _state(self) -> TrackerState:
        return self._monitor.status(device="", backend="", precision="", model="").state

    def _counters(self) -> dict[str, str]:
        counts = self._monitor.counts
        return {name: str(getattr(counts, name)) for name in ("received", "processed", "dropped", "refused")}

    def _engine(self) -> dict[str, str]:
        info = self._info
        if info is None:
            return {}
        return {
            "model": info.model,
            "device": info.device,
            "precision": info.precision,
            "backend": info.backend,
            "weights": str(info.weights_path),
            "weights_sha256": info.weights_sha256,
            "warnings": "; ".join(self._warnings),
        }


def transport_warning() -> str:
    """What to say about a DDS transport that is unfit for images; empty when there is nothing to say.

    Fast DDS's default shared-memory segment is smaller than a VGA colour image: best-effort images are lost, reliable
    ones take several times longer. A discovery range of LOCALHOST makes rmw_fastrtps go back to those transports.
    """
    value = os.environ.get
    profiles = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
    if not value("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp").startswith("rmw_fastrtps"):
        return ""
    if value("ROS_AUTOMATIC_DISCOVERY_RANGE") == "LOCALHOST" or value("ROS_LOCALHOST_ONLY") == "1":
        return (
            "images are lost or slow: a discovery range of LOCALHOST overrides FASTDDS_BUILTIN_TRANSPORTS; "
            "use ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET with a ROS_DOMAIN_ID of your own"
        )
    if any(map(value, profiles)) or value("FASTDDS_BUILTIN_TRANSPORTS", "").startswith("LARGE_DATA"):
        return ""
    return (
        "images are lost or slow over Fast DDS's default transports; set FASTDDS_BUILTIN_TRANSPORTS=LARGE_DATA, "
        "for the camera's process, too"
    )


def _rates(interval: Interval) -> dict[str, str]:
    rates = {
        "input_rate_hz": interval.counts.received / interval.seconds,
        "output_rate_hz": interval.counts.processed / interval.seconds,
        "dropped_per_s": interval.counts.dropped / interval.seconds,
    }
    latencies = {f"latency_ms_{name}": value for name, value in interval.latency_ms.items()}
    return {name: f"{value:.1f}" for name, value in (*rates.items(), *latencies.items())}
