# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Quality of service of every topic: sensor data in, reliable out.

Each function makes a new profile, because rclpy writes a user's ``qos_overrides`` into the one it is given.
"""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions

_RESULTS_DEPTH = 5
_PLAYER_DEPTH = 10


def newest_image() -> QoSProfile:
    """Any publisher fits; of images that come while nobody takes them only the newest stays."""
    return _keep_last(1, ReliabilityPolicy.BEST_EFFORT)


def every_image(depth: int) -> QoSProfile:
    """Lost images are sent again; the publisher must be reliable, or no image comes."""
    return _keep_last(depth, ReliabilityPolicy.RELIABLE)


def camera_info() -> QoSProfile:
    """Any publisher fits; only the newest calibration matters."""
    return _keep_last(1, ReliabilityPolicy.BEST_EFFORT)


def results() -> QoSProfile:
    """For what is made of an image.

    The depth is the sender's: what it can send again to a reader that missed it. How stale a message may become is
    the reader's choice, so this makes none.
    """
    return _keep_last(_RESULTS_DEPTH, ReliabilityPolicy.RELIABLE)


def status() -> QoSProfile:
    """Who comes late gets the last state at once."""
    return _keep_last(1, ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)


def replayed() -> QoSProfile:
    """For what the player sends; fits readers of sensor data and reliable ones."""
    return _keep_last(_PLAYER_DEPTH, ReliabilityPolicy.RELIABLE)


def overridable() -> QoSOverridingOptions:
    """Lets users override history, depth and reliability by ``qos_overrides`` parameters."""
    return QoSOverridingOptions.with_default_policies()


def _keep_last(
    depth: int, reliability: ReliabilityPolicy, durability: DurabilityPolicy = DurabilityPolicy.VOLATILE
) -> QoSProfile:
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability, durability=durability)
