# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Sequences with exact ground truth: depth and poses of every frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from aliked_ros.camera import Camera
from aliked_ros.errors import ConfigError, SourceError
from aliked_ros.evaluation.config import CONDITIONS
from aliked_ros.io.frames import Frame
from aliked_ros.io.sources.opening import open_source
from aliked_ros.sim.config import SimulationConfig
from aliked_ros.sim.simulation import simulate


@dataclass(frozen=True, eq=False)
class Sequence:
    """Frames in memory, all with depth and pose."""

    name: str
    camera: Camera
    frames: tuple[Frame, ...]


def simulated(condition: str, num_frames: int, done: Callable[[], object] = lambda: None) -> Sequence:
    """The simulated desk under one condition.

    ``sharp`` has 30 Hz and little noise; ``blurred`` a slow shutter, more noise and changing exposure; ``fast`` all
    that at 5 Hz, so that the view changes six times as much from image to image.

    Raises:
        ConfigError: there is no such condition.
        SourceError: the photographs of the simulation are not installed.
    """
    if condition not in CONDITIONS:
        raise ConfigError(f"a condition is one of {', '.join(CONDITIONS)}, got {condition!r}")
    config = SimulationConfig(frames=num_frames)
    if condition != "sharp":
        config = config.replace(shutter_s=0.03, noise_sigma=3.0, exposure_swing=0.3)
    if condition == "fast":
        config = config.replace(rate_hz=5.0)
    source = simulate(config)
    frames = []
    for frame in source:
        frames.append(frame)
        done()
    return Sequence(f"simulated desk, {condition}", source.camera, tuple(frames))


def read(path: Path, num_frames: int) -> Sequence:
    """The first frames of a TUM RGB-D directory or bag with exact depth and poses.

    Raises:
        SourceError: it cannot be read, has no calibration, or a frame lacks depth or pose.
    """
    with open_source(str(path)) as source:
        frames = tuple(islice(source, num_frames))
        camera = source.camera
    if camera is None:
        raise SourceError(f"{path}: has no calibration; put a camera.yaml into it")
    for number, frame in enumerate(frames):
        if frame.depth_m is None or frame.pose_world_from_camera is None:
            missing = "depth" if frame.depth_m is None else "pose"
            raise SourceError(f"{path}: frame {number} has no {missing}; ground truth needs both in every frame")
        if not (np.isfinite(frame.depth_m) & (frame.depth_m > 0)).any():
            raise SourceError(
                f"{path}: frame {number} has no pixel whose depth is known; nothing can be compared with it"
            )
    if len(frames) < 2:
        raise SourceError(f"{path}: holds {len(frames)} frames, two are needed")
    return Sequence(path.resolve().name, camera, frames)
