# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Lowers the budget of an overloaded tracker, where it was asked to, and says so."""

from __future__ import annotations

import threading
from collections.abc import Callable

from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from aliked_ros.frontend.config import ExtractorConfig
from aliked_ros.ros.finding import Finding
from aliked_ros.ros.node_config import OverloadConfig, TrackerNodeConfig
from aliked_ros.ros.overload import Flow, Load, OverloadGuard

_PERIOD_S = 0.25


class LoadControl:
    """Watches the flow of images, and changes what is asked of the machine.

    Args:
        node: has the timer and the log.
        settings: the configurations in force.
        apply: has the worker take over :meth:`limited` configurations.
    """

    def __init__(
        self,
        node: Node,
        settings: Callable[[], tuple[OverloadConfig, ExtractorConfig, TrackerNodeConfig]],
        apply: Callable[[], None],
    ) -> None:
        self._log = node.get_logger()
        self._settings = settings
        self._apply = apply
        self._flow: Callable[[], Flow] | None = None
        self._lock = threading.Lock()  # the timer is the executor's, transitions may be another thread's
        self._guard = OverloadGuard(settings()[0])
        # Simulated time may stand still; the machine's load does not.
        self._timer = node.create_timer(_PERIOD_S, self._on_timer, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def watch(self, flow: Callable[[], Flow] | None) -> None:
        """Begins with what is counted from now on, or, with ``None``, stops."""
        with self._lock:
            self._flow = flow
            self._guard.reset()

    def limited(self) -> tuple[ExtractorConfig, TrackerNodeConfig]:
        """The configurations in force, with less of what the policy lowers while the machine is overloaded."""
        overload, extractor, node = self._settings()
        with self._lock:
            self._guard.use(overload)
            is_overloaded = self._guard.is_overloaded
        return _lowered(overload, extractor, node) if is_overloaded else (extractor, node)

    def finding(self) -> Finding:
        """What is lowered, for /diagnostics."""
        overload, extractor, node = self._settings()
        with self._lock:
            load, is_overloaded = self._guard.load, self._guard.is_overloaded
        if overload.policy == "none":
            return Finding({"overload_policy": overload.policy})
        values = {
            "overload_policy": overload.policy,
            "overloaded": str(is_overloaded).lower(),
            "load": f"{load.share:.2f}",
        }
        return Finding(values, f"overloaded: {_change(overload, extractor, node)}" if is_overloaded else "")

    def _on_timer(self) -> None:
        overload, extractor, node = self._settings()
        with self._lock:
            if self._flow is None or not self._guard.update(self._flow(), node.max_rate * len(node.camera_names)):
                return
            is_overloaded, load = self._guard.is_overloaded, self._guard.load
        self._apply()
        if is_overloaded:
            reason = _reason(load, overload.window)
            self._log.warning(f"overloaded: {_change(overload, extractor, node)} ({reason})")
        else:
            self._log.info(f"no longer overloaded: {_restored(overload, extractor, node)} (load {load.share:.0%})")


def _lowered(
    overload: OverloadConfig, extractor: ExtractorConfig, node: TrackerNodeConfig
) -> tuple[ExtractorConfig, TrackerNodeConfig]:
    if overload.policy == "fewer_keypoints":
        return extractor.replace(max_keypoints=min(extractor.max_keypoints, overload.max_keypoints)), node
    if overload.policy == "lower_rate":
        rate = min(node.max_rate, overload.max_rate) if node.max_rate > 0 else overload.max_rate
        return extractor, node.replace(max_rate=rate)
    return extractor, node


def _change(overload: OverloadConfig, extractor: ExtractorConfig, node: TrackerNodeConfig) -> str:
    """What is lowered, for people."""
    lowered = _lowered(overload, extractor, node)
    if lowered == (extractor, node):
        return f"nothing is lowered, because overload.{_name(overload)} is not below {_name(overload)}"
    if overload.policy == "fewer_keypoints":
        return f"{lowered[0].max_keypoints} keypoints instead of {extractor.max_keypoints}"
    return f"at most {lowered[1].max_rate:g} images per second instead of {_rate(node)}"


def _restored(overload: OverloadConfig, extractor: ExtractorConfig, node: TrackerNodeConfig) -> str:
    if overload.policy == "fewer_keypoints":
        return f"{extractor.max_keypoints} keypoints again"
    return f"{_rate(node)} images per second again" if node.max_rate > 0 else "all images again"


def _reason(load: Load, window_s: float) -> str:
    return f"{load.dropped:.0%} of the images dropped and {1e3 * load.latency_s:.0f} ms latency in {window_s:g} s"


def _rate(node: TrackerNodeConfig) -> str:
    return f"{node.max_rate:g}" if node.max_rate > 0 else "all"


def _name(overload: OverloadConfig) -> str:
    return "max_keypoints" if overload.policy == "fewer_keypoints" else "max_rate"
