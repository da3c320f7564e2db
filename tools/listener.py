# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Prints a line of JSON for every message of some topics: what a backend on another host gets.

``python -m tools.listener --ros-args -p topics:="['/tracker/features:aliked_msgs/Features']"``. Each type must begin
with a std_msgs/Header; a line has ``topic``, ``stamp_ns`` and ``size_bytes`` of the message. Ctrl-C ends it.
"""

from __future__ import annotations

import importlib
import json
import struct
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy

from aliked_ros.errors import ConfigError
from aliked_ros.ros.process import SpinThread, run
from aliked_ros.ros.signals import exit_in_time

_DEPTH = 30  # a listener that is held up for a moment loses nothing
_STAMP = struct.Struct("<iI")  # seconds, nanoseconds
_CDR_HEADER_BYTES = 4


@dataclass(frozen=True)
class Heard:
    """A message that came."""

    topic: str
    stamp_ns: int
    size_bytes: int  # serialised


def read_heard(log: Path) -> list[Heard]:
    """What a listener has printed so far, in order; the last line may not be whole yet."""
    lines = log.read_text(encoding="utf-8").split("\n")[:-1]
    return [Heard(**json.loads(line)) for line in lines if line.startswith("{")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Listens until a signal ends it and returns the exit code."""
    return run(_main, arguments)


def _main(stop: threading.Event) -> int:
    node = Node("listener")
    try:
        topics = node.declare_parameter("topics", [""]).value
        best_effort = node.declare_parameter("best_effort", False).value
        reliability = ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE
        for topic in topics:
            _listen(node, topic, QoSProfile(depth=_DEPTH, reliability=reliability))
        spin = SpinThread([node], stop)
        with exit_in_time(stop, lambda: int(spin.has_failed), node.destroy_node), spin:
            stop.wait()
    finally:
        node.destroy_node()
    return 0


def _listen(node: Node, given: str, profile: QoSProfile) -> None:
    name, _, kind = given.partition(":")
    package, _, message = kind.partition("/")
    try:
        type_ = getattr(importlib.import_module(f"{package}.msg"), message)
    except (ImportError, ValueError, AttributeError) as error:
        raise ConfigError(f"topics must be given as /tracker/features:aliked_msgs/Features, got {given!r}") from error
    node.create_subscription(type_, name, _printer(name), profile, raw=True)


def _printer(topic: str) -> Callable[[bytes], Any]:
    def show(message: bytes) -> None:
        seconds, nanoseconds = _STAMP.unpack_from(message, _CDR_HEADER_BYTES)
        line = {"topic": topic, "stamp_ns": seconds * 10**9 + nanoseconds, "size_bytes": len(message)}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()

    return show


if __name__ == "__main__":
    raise SystemExit(main())
