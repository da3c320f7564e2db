# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""How the odometry node tells people and programs how it is doing: ~/state and /diagnostics."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node
from std_msgs.msg import String

from aliked_ros.ros import qos
from aliked_ros.ros.finding import FindingSource
from aliked_ros.slam.backend import Backend, Outcome, State

_WINDOW = 100  # frames that percentiles are of
_PATIENCE = 30  # frames without a map before it is worth a warning


class OdometryReport:
    """Counts frames and remembers how the last one went. Safe for several threads.

    At any moment the frames that came complete = processed + dropped + refused + waiting.

    Args:
        needs: what a map begins with, for people.
    """

    def __init__(self, needs: str = "") -> None:
        self._needs = needs
        self._without_map = 0  # frames in a row
        self._lock = threading.Lock()
        self.state = State.NOT_INITIALISED
        self._counts = dict.fromkeys(
            ("processed", "dropped", "refused", "incomplete", "relocalisations", "loop_closures", "resets"), 0
        )
        self._map = {"keyframes": 0, "landmarks": 0, "inliers": 0}
        self._last_refusal = ""
        self._refused_since_report = 0
        self._has_received = False
        self._received_at_s = time.monotonic()  # or since when it may
        self._backend_ms: deque[float] = deque(maxlen=_WINDOW)

    def received(self, name: str) -> None:
        """A message came."""
        if name == "features":
            self._received_at_s, self._has_received = time.monotonic(), True

    def seconds_without_features(self) -> float:
        """Time since the last features came, or since the start."""
        return time.monotonic() - self._received_at_s

    def dropped(self, count: int) -> None:
        """Frames gave way to newer ones."""
        self._add(dropped=count)

    def set_incomplete(self, count: int) -> None:
        """How many frames lacked features or tracks so far."""
        with self._lock:
            self._counts["incomplete"] = count

    def refused(self, reason: str) -> None:
        """A frame could not be used."""
        self._add(refused=1)
        with self._lock:
            self._last_refusal = reason
            self._refused_since_report += 1

    def began_anew(self) -> None:
        """The map was given up."""
        self._add(resets=1)
        with self._lock:
            self.state = State.NOT_INITIALISED

    def processed(self, outcome: Outcome, backend: Backend) -> None:
        """The backend has processed a frame."""
        self._add(processed=1, relocalisations=int(outcome.relocalised), loop_closures=int(outcome.loop is not None))
        with self._lock:
            self._without_map = self._without_map + 1 if outcome.state is State.NOT_INITIALISED else 0
            self.state = outcome.state
            self._map = {
                "keyframes": len(backend.map.keyframes),
                "landmarks": int(backend.map.landmarks.alive.sum()),
                "inliers": outcome.num_inliers,
            }

    def why_no_map(self) -> str:
        """Why there is none after many frames; empty before, and where there is one."""
        if self._without_map < _PATIENCE:
            return ""
        return f"no map after {self._without_map} frames: it begins with {self._needs}"

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Measures what the backend takes for a frame."""
        started_s = time.perf_counter()
        yield
        with self._lock:
            self._backend_ms.append(1e3 * (time.perf_counter() - started_s))

    def verdict(self) -> tuple[bytes, str]:
        """The level and the one line that people read first; ends the interval that refusals are counted in."""
        with self._lock:
            refused, self._refused_since_report = self._refused_since_report, 0
            if refused:
                return DiagnosticStatus.WARN, f"{refused} frames refused: {self._last_refusal}"
            if not self._has_received:
                return DiagnosticStatus.OK, "waiting for features"
            if reason := self.why_no_map():
                return DiagnosticStatus.WARN, reason
            level = DiagnosticStatus.WARN if self.state is State.LOST else DiagnosticStatus.OK
            return level, self.state.value

    def values(self) -> dict[str, str]:
        """Everything by its name."""
        with self._lock:
            values: dict[str, object] = {"state": self.state.value, **self._counts, **self._map}
            if self._backend_ms:
                p50, p95 = np.percentile(self._backend_ms, (50, 95))
                values |= {"backend_ms_p50": f"{p50:.1f}", "backend_ms_p95": f"{p95:.1f}"}
            values["last_refusal"] = self._last_refusal
            return {name: str(value) for name, value in values.items()}

    def _add(self, **counts: int) -> None:
        with self._lock:
            for name, count in counts.items():
                self._counts[name] += count


class OdometryReporter:
    """Publishes ``~/state``, which who comes late gets at once, and /diagnostics.

    Args:
        node: publishes.
        report: what is told.
        is_metric: whether positions are metres.
    """

    def __init__(self, node: Node, report: OdometryReport, *, is_metric: bool) -> None:
        self._node = node
        self._report = report
        self._units = "metres" if is_metric else "up to scale"
        self._sources: list[FindingSource] = []
        self._state = node.create_publisher(String, "~/state", qos.status())
        self._diagnostics = node.create_publisher(
            DiagnosticArray, "/diagnostics", qos.diagnostics(), qos_overriding_options=qos.overridable()
        )
        self.publish_state()

    def watch(self, source: FindingSource) -> None:
        """Has something more reported in every /diagnostics; it is asked in the thread that publishes them."""
        self._sources.append(source)

    def publish_state(self) -> None:
        """Publishes the state: not initialised, tracking or lost."""
        self._state.publish(String(data=self._report.state.value))

    def publish_diagnostics(self) -> None:
        """Publishes how it is going."""
        level, text = self._report.verdict()
        findings = [source() for source in self._sources]
        values = {**self._report.values(), "units": self._units}
        for finding in findings:
            values |= finding.values
        if warnings := [finding.warning for finding in findings if finding.warning]:
            known = [] if level == DiagnosticStatus.OK else [text]
            level, text = DiagnosticStatus.WARN, "; ".join([*known, *warnings])
        status = DiagnosticStatus(
            level=level,
            name=f"{self._node.get_fully_qualified_name().lstrip('/')}: backend",
            message=text,
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )
        message = DiagnosticArray(status=[status])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._diagnostics.publish(message)
