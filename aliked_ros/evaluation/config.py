# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What can be evaluated, by name; the only place where the limits that methods share are written."""

from __future__ import annotations

from dataclasses import dataclass

from aliked_ros.config import Config, option
from aliked_ros.frontend.config import MODEL_NAMES

PEERS = ("orb", "sift", "xfeat")
DETECTORS = (*MODEL_NAMES, *PEERS)
DEFAULT_DETECTORS = ("aliked-n16", *PEERS)
KLT = "klt"
REFINED = "+refinement"  # behind a detector's name
FOLLOWED = "+following"  # refined, and followed where it is not detected
OURS_REFINED = f"{DEFAULT_DETECTORS[0]}{REFINED}"
OURS_FOLLOWED = f"{DEFAULT_DETECTORS[0]}{FOLLOWED}"
CONDITIONS = ("sharp", "blurred", "fast")  # of the simulated sequences


@dataclass(frozen=True)
class DetectorConfig(Config):
    """What every method is run with."""

    max_keypoints: int = option(1000, "most features of an image, of each method", minimum=1, maximum=65536)
    threads: int = option(2, "threads of each method", minimum=1, maximum=1024)
