# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Everything about a simulation that can be chosen; the only place where its defaults are written."""

from __future__ import annotations

from dataclasses import dataclass

from aliked_ros.config import Config, option

SCENE_NAMES = ("desk", "corridor", "loop")


@dataclass(frozen=True)
class SimulationConfig(Config):
    """What is simulated."""

    scene: str = option("desk", "what is to be seen", choices=SCENE_NAMES)
    frames: int = option(150, "length of the sequence", unit="frames", minimum=1, maximum=1000000)
    rate_hz: float = option(30.0, "frame rate", unit="Hz", minimum=0.1, maximum=1000.0)
    width: int = option(640, "width of the images", unit="pixels", minimum=32, maximum=8192)
    height: int = option(480, "height of the images", unit="pixels", minimum=32, maximum=8192)
    seed: int = option(0, "another seed gives other noise, light and camera path", minimum=0, maximum=2**31 - 1)
    noise_sigma: float = option(
        1.5, "standard deviation of the sensor's noise", unit="grey levels", minimum=0.0, maximum=100.0
    )
    shutter_s: float = option(0.0, "time the shutter is open, which blurs motion", unit="s", minimum=0.0, maximum=1.0)
    exposure_swing: float = option(0.0, "share by which the brightness rises and falls", minimum=0.0, maximum=0.9)
    depth_noise_m: float = option(
        0.0,
        "standard deviation of depth at one metre, growing with the square of the distance; a Kinect's is 0.0015",
        unit="m",
        minimum=0.0,
        maximum=1.0,
    )
    baseline_m: float = option(
        0.0,
        "how far to the right a second camera is, for `aliked-ros slam --mode stereo`; 0 for none",
        unit="m",
        minimum=0.0,
        maximum=10.0,
    )
    blackout_start_s: float = option(
        0.0, "when the camera begins to see nothing", unit="s", minimum=0.0, maximum=1000000.0
    )
    blackout_s: float = option(0.0, "how long it sees nothing", unit="s", minimum=0.0, maximum=1000000.0)
