# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the relays to other systems' nodes can be told; the only place where these defaults are written."""

from __future__ import annotations

from dataclasses import dataclass

from aliked_ros.config import Config, option


@dataclass(frozen=True)
class VinsRelayConfig(Config):
    """What VINS-Fusion gets."""

    max_features: int = option(
        150, "tracks sent of an image, the oldest; VINS's own front-end sends 150, and its estimator holds 1000",
        minimum=1, maximum=1000, live=True,
    )  # fmt: skip
    max_rate: float = option(
        10.0, "most images per second that are sent, by their stamps; 0 sends all",
        unit="Hz", minimum=0.0, maximum=10000.0, live=True,
    )  # fmt: skip
    restart: bool = option(True, "tell VINS to start anew, on vins_restart, when time jumps back", live=True)


@dataclass(frozen=True)
class RtabmapRelayConfig(Config):
    """How images and features are joined for rtabmap."""

    depth: bool = option(True, "join with depth; false sends colour and features alone")
    depth_slop: float = option(
        0.02, "how far the stamps of an image and its depth may lie apart", unit="seconds", minimum=0.0, maximum=10.0
    )
    rectified: bool = option(
        False, "the images are rectified, as rtabmap expects: camera_info's P describes them, no distortion is left"
    )
    queue_size: int = option(
        30, "images and depth images that may wait for their features; the oldest is dropped beyond",
        unit="images", minimum=1, maximum=10000,
    )  # fmt: skip


VINS_RELAY_GROUPS: tuple[tuple[str, type[Config]], ...] = (("", VinsRelayConfig),)
RTABMAP_RELAY_GROUPS: tuple[tuple[str, type[Config]], ...] = (("", RtabmapRelayConfig),)
