# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Qualities of service that cameras and backends use, and how to talk over the unreliable ones."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from node_harness import TIMEOUT_S
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

BEST_EFFORT = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
RELIABLE = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
FEW_KEYPOINTS: dict[str, Any] = {"max_keypoints": 100, "warmup_width": 0}
_RESEND_S = 0.1


def repeat_until(send: Callable[[], None], condition: Callable[[], bool], what: str) -> None:
    """Best effort may lose a message, and one sent before the two know of each other: a camera goes on, too."""
    deadline_s = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline_s, f"waited in vain: {what}"
        send()
        time.sleep(_RESEND_S)
