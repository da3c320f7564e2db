# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Where in its life as a managed node the tracker is, in the words of /diagnostics."""

from __future__ import annotations

import enum

from aliked_ros.io.messages.status_fields import TrackerState


class Phase(enum.Enum):
    """What the node was last told to be; the values are what people read."""

    UNCONFIGURED = "not configured"
    LOADING = "loading the network"
    INACTIVE = "inactive"
    DISABLED = "disabled by ~/enable"
    ACTIVE = "active"
    SHUT_DOWN = "shut down"

    @property
    def state(self) -> TrackerState:
        """What ~/status says of it while nothing is wrong; its message has no states for a managed node's."""
        if self in (Phase.UNCONFIGURED, Phase.LOADING):
            return TrackerState.STARTING
        return TrackerState.IDLE if self is Phase.ACTIVE else TrackerState.DISABLED
