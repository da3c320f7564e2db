# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""How the tracker tells people and programs how it is doing: ~/status and /diagnostics."""

from __future__ import annotations

import os
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from aliked_msgs.msg import TrackerStatus as TrackerStatusMsg
from aliked_ros.io.messages.status_fields import TrackerState
from aliked_ros.ros import qos
from aliked_ros.ros.conversions import status_to_message
from aliked_ros.ros.finding import Finding, FindingSource
from aliked_ros.ros.memory import memory_values
from aliked_ros.ros.monitor import Interval, Monitor
from aliked_ros.ros.phase import Phase
from aliked_ros.ros.stage_times import as_texts
from aliked_ros.transport import examine_transport

if TYPE_CHECKING:
    from aliked_ros.engine.base import EngineInfo
    from aliked_ros.frontend.extractor import Extractor

PERIOD_S = 1.0
_OUT_OF_STEP_IMAGES = 3  # alone in an interval, and none together, before it is worth a warning


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
        self._engine_bytes = 0
        self._sources: list[FindingSource] = []
        self._status_lock = threading.Lock()  # so that what is published last is what was seen last
        topic = f"~/{camera}/status" if camera else "~/status"
        self._status = node.create_publisher(
            TrackerStatusMsg, topic, qos.status(), qos_overriding_options=qos.overridable()
        )
        self._diagnostics = node.create_publisher(
            DiagnosticArray, "/diagnostics", qos.diagnostics(), qos_overriding_options=qos.overridable()
        )
        # Simulated time may stand still or run fast; people watch in real time.
        self._timer = node.create_timer(PERIOD_S, self.report, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def set_engine(self, info: EngineInfo | None, warnings: tuple[str, ...] = ()) -> None:
        """What runs, and what people should know about it."""
        self._info = info
        self._warnings = warnings

    def set_engine_memory(self, num_bytes: int) -> None:
        """What the engine holds of its device's memory by itself."""
        self._engine_bytes = num_bytes

    def watch(self, source: FindingSource) -> None:
        """Has something more reported in every /diagnostics; it is asked in the executor's thread."""
        self._sources.append(source)

    def engine_is(self, info: EngineInfo) -> bool:
        """Whether this is what was last said to run."""
        return self._info is info

    def publish_status(self) -> None:
        """Publishes ~/status now; from any thread."""
        with self._status_lock:
            info, last = self._info, self._monitor.last
            status = self._monitor.status(
                device="" if info is None else info.device,
                backend="" if info is None else info.backend,
                precision="" if info is None else info.precision,
                model="" if info is None else info.model,
            )
            stamp_ns = self._node.get_clock().now().nanoseconds
            self._status.publish(status_to_message(status, stamp_ns, "" if last is None else last.frame_id))

    def report(self) -> None:
        """Publishes ~/status and /diagnostics now; the executor's thread does so every second."""
        self.publish_status()
        if self._node.get_clock().now().nanoseconds == 0:
            self._node.get_logger().warning(
                "use_sim_time is true, but no time has come on /clock: the stamps of ~/status and /diagnostics are "
                "zero; images are processed as ever",
                once=True,
            )
        message = DiagnosticArray(status=[self._diagnose(self._monitor.next_interval())])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._diagnostics.publish(message)

    def _diagnose(self, interval: Interval) -> DiagnosticStatus:
        findings = [source() for source in self._sources]
        level, text = self._verdict(interval, findings)
        values = {
            **self._counters(),
            "calibrations_refused": str(self._monitor.calibrations_refused),
            "without_depth": str(self._monitor.without_depth),
            "without_partner": str(self._monitor.without_partner),
            **_rates(interval),
            **self._engine(),
            **memory_values("" if self._info is None else self._info.device, self._engine_bytes),
            "last_refusal": self._monitor.last_refusal,
            **as_texts(interval.stages),
        }
        for finding in findings:
            values |= finding.values
        return DiagnosticStatus(
            level=level,
            name=f"{self._node.get_fully_qualified_name().lstrip('/')}: {self._camera or 'images'}",
            message=text,
            hardware_id="" if self._info is None else self._info.device,
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )

    def _verdict(self, interval: Interval, findings: Sequence[Finding]) -> tuple[bytes, str]:
        """The level and the one line that people read first: all that is wrong, the worst first."""
        phase = self._monitor.phase
        if error := self._error():
            return DiagnosticStatus.ERROR, error
        if phase is not Phase.ACTIVE:
            return DiagnosticStatus.OK, phase.value
        complaints = [*self._complaints(interval), *(finding.warning for finding in findings), *self._warnings]
        if any(complaints):
            return DiagnosticStatus.WARN, "; ".join(filter(None, complaints))
        if self._monitor.counts.received == 0:
            return DiagnosticStatus.OK, "waiting for images"
        dropped, received = interval.counts.dropped, interval.counts.received
        return DiagnosticStatus.OK, f"running, {received} images came, {dropped} were dropped" if dropped else "running"

    def _complaints(self, interval: Interval) -> Iterator[str]:
        counts = interval.counts
        if counts.refused:
            yield f"{counts.refused} images refused: {self._monitor.last_refusal}"
        if counts.processed and interval.without_depth >= counts.processed:
            yield "no image has depth: does it come, and do its stamps and size agree?"
        if self._monitor.calibration_error:
            yield f"camera_info refused: {self._monitor.calibration_error}"
        if interval.without_partner >= max(_OUT_OF_STEP_IMAGES, counts.processed):
            yield (
                "every image waits in vain for another camera's: none lies within sync_slop; synchronise the cameras, "
                "raise sync_slop, or run a node for each"
            )

    def _error(self) -> str:
        """What someone has to see to; empty when there is nothing."""
        if failure := self._monitor.failure:
            return f"{self._monitor.phase.value}: {failure}"
        if self._state() == TrackerState.ERROR:
            return f"processing fails: {self._monitor.last_refusal}"
        return "" if self._info is None else "; ".join(self._info.faults)

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
            "faults": "; ".join(info.faults),
        }


class Reports:
    """The monitors of all cameras of a node, and what is published of them.

    Args:
        node: publishes.
        cameras: their names; an empty one where there is but one without a name.
    """

    def __init__(self, node: Node, cameras: Sequence[str]) -> None:
        self._node = node
        self.monitors = tuple(Monitor() for _ in cameras)
        self._reporters = [Reporter(node, *pair) for pair in zip(self.monitors, cameras, strict=True)]

    @property
    def phase(self) -> Phase:
        """What the node is doing."""
        return self.monitors[0].phase

    def watch(self, source: FindingSource, camera: int | None = None) -> None:
        """Has something more reported, of one camera or with each; it is asked in the executor's thread."""
        for reporter in self._reporters if camera is None else (self._reporters[camera],):
            reporter.watch(source)

    def enter(self, phase: Phase, failure: str = "") -> None:
        """From now on the node does this; with why it came to that, where something failed."""
        for monitor in self.monitors:
            monitor.enter(phase, failure)

    def set_engine(self, extractor: Extractor | None) -> tuple[str, ...]:
        """Has the reports tell what runs; returns what people should know about it."""
        warnings = () if extractor is None else tuple(filter(None, (transport_warning(), *extractor.info.warnings)))
        for reporter in self._reporters:
            reporter.set_engine(None if extractor is None else extractor.info, warnings)
            reporter.set_engine_memory(0 if extractor is None else extractor.memory_bytes)
        return warnings

    def after_image(self, camera: int, extractor: Extractor) -> None:
        """Publishes a camera's status; the engine may be another one when a device has failed."""
        reporter = self._reporters[camera]
        if not reporter.engine_is(extractor.info):
            self.set_engine(extractor)
        reporter.set_engine_memory(extractor.memory_bytes)  # grows with the first image of a size
        reporter.publish_status()

    def publish_status(self) -> None:
        """Publishes every camera's status now; from any thread."""
        for reporter in self._reporters:
            reporter.publish_status()

    @contextmanager
    def going_on(self, is_abandoned: Callable[[], bool]) -> Iterator[None]:
        """Has a thread of its own report while the executor's is busy; not once the node is abandoned."""
        done = threading.Event()

        def report() -> None:
            while not (done.is_set() or is_abandoned()):
                try:
                    for reporter in self._reporters:
                        reporter.report()
                except Exception:  # noqa: BLE001  an abandoned node's publishers end while they are in use
                    if not is_abandoned():
                        self._node.get_logger().error(f"no report while the node is busy\n{traceback.format_exc()}")
                done.wait(PERIOD_S)

        thread = threading.Thread(target=report, name="reports", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def transport_warning() -> str:
    """What to say about a DDS transport that is unfit for images; empty when there is nothing to say."""
    transport = examine_transport(os.environ, Path.cwd())
    return f"{transport.problem}; {transport.remedy}" if transport is not None and transport.problem else ""


def _rates(interval: Interval) -> dict[str, str]:
    rates = {
        "input_rate_hz": interval.counts.received / interval.seconds,
        "output_rate_hz": interval.counts.processed / interval.seconds,
        "dropped_per_s": interval.counts.dropped / interval.seconds,
    }
    return {name: f"{value:.1f}" for name, value in rates.items()}
