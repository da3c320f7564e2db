# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What can be chosen for a run over a sequence; the only place where its defaults are written."""

from __future__ import annotations

from dataclasses import dataclass

from aliked_ros.config import Config, option

MODES = ("auto", "rgbd", "stereo", "mono")
FEATURES = ("aliked", "orb")
REFINEMENTS = ("auto", "none", "photometric")


@dataclass(frozen=True)
class SequenceConfig(Config):
    """How a sequence is processed."""

    mode: str = option(
        "auto",
        "where depth comes from: a depth image, the second camera of KITTI's or EuRoC's directories, or nowhere, and "
        "poses are up to scale; auto takes the first of them that one of the first frames has",
        choices=MODES,
    )
    features: str = option("aliked", "what is tracked; orb is OpenCV's, a baseline", choices=FEATURES)
    refinement: str = option(
        "auto",
        "photometric moves tracked points to sub-pixel positions; auto does so with aliked and leaves orb as it is",
        choices=REFINEMENTS,
    )
