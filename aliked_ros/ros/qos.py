# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Quality of service of every topic: sensor data in, reliable out.

Each function makes a new profile, because rclpy writes a user's ``qos_overrides`` into the one it is given.
"""

from __future__ import annotations

from rcl_interfaces.msg import SetParametersResult
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions

_RESULTS_DEPTH = 5
_DIAGNOSTICS_DEPTH = 10  # as diagnostic_updater has it
_PLAYER_DEPTH = 10
_EVERY_RESULT_DEPTH = 1000
_OVERRIDABLE = (QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY, QoSPolicyKind.DURABILITY)


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


def every_result() -> QoSProfile:
    """For a reader that must miss nothing while it is busy, in a replay."""
    return _keep_last(_EVERY_RESULT_DEPTH, ReliabilityPolicy.RELIABLE)


def status() -> QoSProfile:
    """Who comes late gets the last state at once."""
    return _keep_last(1, ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)


def diagnostics() -> QoSProfile:
    """As the aggregators and monitors of /diagnostics expect it."""
    return _keep_last(_DIAGNOSTICS_DEPTH, ReliabilityPolicy.RELIABLE)


def replayed() -> QoSProfile:
    """For what the player sends; fits readers of sensor data and reliable ones."""
    return _keep_last(_PLAYER_DEPTH, ReliabilityPolicy.RELIABLE)


def joined(depth: int) -> QoSProfile:
    """Any publisher fits; some messages may wait until what belongs to them has come."""
    return _keep_last(depth, ReliabilityPolicy.BEST_EFFORT)


def overridable() -> QoSOverridingOptions:
    """Lets users override history, depth, reliability and durability by ``qos_overrides`` parameters."""
    return QoSOverridingOptions(_OVERRIDABLE, callback=_require_depth)


def _require_depth(profile: QoSProfile) -> SetParametersResult:
    keeps_last = profile.history == HistoryPolicy.KEEP_LAST
    if keeps_last and profile.depth < 1:
        return SetParametersResult(successful=False, reason=f"depth must be at least 1, got {profile.depth}")
    return SetParametersResult(successful=True)


def _keep_last(
    depth: int, reliability: ReliabilityPolicy, durability: DurabilityPolicy = DurabilityPolicy.VOLATILE
) -> QoSProfile:
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability, durability=durability)
