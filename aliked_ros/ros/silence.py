# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Says of a topic on which nothing comes what it is called and whether anybody publishes it.

A name that is misspelt, or a driver that was not started, looks from the inside like a camera that is about to send.
"""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node

from aliked_ros.ros.finding import Finding

_SILENT_AFTER_S = 5.0


class SilenceWatch:
    """What /diagnostics and, once, the log say of an input that is silent. For one thread.

    Args:
        node: subscribes.
        topic: full name.
        what: comes on the topic, such as ``image``; the beginning of the keys, too.
        seconds: since the last one came, or since one may.
    """

    def __init__(self, node: Node, topic: str, what: str, seconds: Callable[[], float]) -> None:
        self._node = node
        self._topic = topic
        self._what = what
        self._seconds = seconds
        self._is_told = False

    def __call__(self) -> Finding:
        """The topic, its number of publishers, and a warning after five seconds of silence."""
        count = self._node.count_publishers(self._topic)
        values = {f"{self._what}_topic": self._topic, f"{self._what}_publishers": str(count)}
        seconds = self._seconds()
        if seconds <= _SILENT_AFTER_S:
            self._is_told = False
            return Finding(values)
        whose = f"{count} publish" if count > 1 else "one node publishes" if count else "nobody publishes"
        warning = f"no {self._what} for {seconds:.0f} s on {self._topic}, which {whose}"
        if not self._is_told:
            self._is_told = True
            self._node.get_logger().warning(warning if count else f"{warning}; `ros2 topic list` shows the known ones")
        return Finding(values, warning)
