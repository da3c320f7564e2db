# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Simulated RGB-D sequences: images with a camera's faults, exact depth and exact poses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aliked_ros.camera import Camera
from aliked_ros.io.frames import Frame, FrameSource, Pose
from aliked_ros.io.outputs import written_whole
from aliked_ros.io.sources.window import NS_PER_S
from aliked_ros.io.tum_writer import TumWriter
from aliked_ros.sim.config import SimulationConfig
from aliked_ros.sim.corridor import corridor
from aliked_ros.sim.desk import desk
from aliked_ros.sim.loop import loop
from aliked_ros.sim.render import Renderer
from aliked_ros.sim.scene import Scene

SCENES: dict[str, Callable[[int], Scene]] = {
    "desk": desk,
    "corridor": corridor,
    "loop": loop,
}  # what makes the scene of a seed

# A time of the usual size: ROS takes a stamp of 0 for no time at all.
START_NS = 1_000_000_000 * NS_PER_S
_FOCAL_LENGTH = 0.82  # image widths; a field of view of 63 degrees, as a Kinect's
_BLUR_SAMPLES = 8
_SPREAD = np.array([0.7548776662, 0.5698402910])  # steps that fill the unit square evenly (the R2 sequence)
_EXPOSURE_PERIOD_S = 4.0
_DEPTH_STREAM, _RIGHT_STREAM = 1, 2  # of random numbers, apart from the image's


class SimulatedSource(FrameSource):
    """The frames of a simulated sequence; a frame is rendered when it is asked for, the same each time."""

    def __init__(self, config: SimulationConfig) -> None:
        self.config = config
        self.name = f"simulated {config.scene}"
        self.camera: Camera = _camera(config)
        self.num_frames: int = config.frames
        self.baseline_m = config.baseline_m
        self.scene = SCENES[config.scene](config.seed)
        self.renderer = Renderer(self.scene, self.camera)

    def __iter__(self) -> Iterator[Frame]:
        return map(self.frame, range(self.config.frames))

    def close(self) -> None:
        """Nothing is open."""

    def frame(self, index: int) -> Frame:
        """The frame of this index, whatever was rendered before."""
        elapsed_s = index / self.config.rate_hz
        pose = self.scene.trajectory(elapsed_s)
        stamp_ns = START_NS + round(index * NS_PER_S / self.config.rate_hz)
        if 0 <= elapsed_s - self.config.blackout_start_s < self.config.blackout_s:
            return self._black(stamp_ns, pose)
        image = self._image(elapsed_s, (self.config.seed, index))
        right = None
        if self.baseline_m > 0:
            right = self._image(elapsed_s, (self.config.seed, index, _RIGHT_STREAM), self.baseline_m)
        return Frame(stamp_ns, image, self._measured(self.renderer.depth(pose), index), pose, right)

    def _image(self, elapsed_s: float, stream: tuple[int, ...], x_m: float = 0.0) -> NDArray[np.uint8]:
        """What a camera so far to the right delivers, with noise of this stream of random numbers."""
        light = self._exposed(elapsed_s, x_m)
        if self.config.noise_sigma > 0:
            rng = np.random.default_rng(stream)
            light += np.float32(self.config.noise_sigma) * rng.standard_normal(light.shape, np.float32)
        return np.clip(np.rint(light), 0, 255).astype(np.uint8)

    def _pose(self, elapsed_s: float, x_m: float) -> Pose:
        """Where a camera is then that is so far to the right."""
        pose = self.scene.trajectory(elapsed_s)
        return pose if x_m == 0 else Pose.from_rotation(pose.rotation, pose.to_world(np.array([[x_m, 0.0, 0.0]]))[0])

    def _black(self, stamp_ns: int, pose: Pose) -> Frame:
        """What covered cameras deliver."""
        size = (self.camera.height, self.camera.width)
        black = np.zeros((*size, 3), np.uint8)
        return Frame(stamp_ns, black, np.full(size, np.nan, np.float32), pose, black if self.baseline_m > 0 else None)

    def _measured(self, depth_m: NDArray[np.float32], index: int) -> NDArray[np.float32]:
        """Depth as a sensor gives it: the error of triangulated depth grows with the square of the distance."""
        if self.config.depth_noise_m == 0:
            return depth_m
        rng = np.random.default_rng((self.config.seed, index, _DEPTH_STREAM))
        sigma_m = np.float32(self.config.depth_noise_m) * depth_m**2
        return np.asarray(depth_m + sigma_m * rng.standard_normal(depth_m.shape, np.float32), np.float32)

    def _exposed(self, elapsed_s: float, x_m: float) -> NDArray[np.float32]:
        """The light the sensor gathers, (H, W, 3) in grey levels, while the shutter is open around that time."""
        if self.config.shutter_s > 0:
            light = np.zeros((self.camera.height, self.camera.width, 3), np.float32)
            for number in range(_BLUR_SAMPLES):
                late_s = ((number + 0.5) / _BLUR_SAMPLES - 0.5) * self.config.shutter_s
                # Each moment samples another place of the pixel, which smooths edges as well as motion does.
                x, y = (float(share) for share in (number + 0.5) * _SPREAD % 1.0 - 0.5)
                light += self.renderer.sample(self._pose(elapsed_s + late_s, x_m), (x, y))
            light /= _BLUR_SAMPLES
        else:
            light = self.renderer.image(self._pose(elapsed_s, x_m)).astype(np.float32)
        if self.config.exposure_swing > 0:
            swing = np.sin(2 * np.pi * elapsed_s / _EXPOSURE_PERIOD_S)
            light *= np.float32(1.0 + self.config.exposure_swing * swing)
        return light


def simulate(config: SimulationConfig | None = None) -> SimulatedSource:
    """A simulated sequence: iterate over it for its frames; ``camera`` is its calibration.

    Raises:
        SourceError: the photographs the scene is made of are not installed.
    """
    return SimulatedSource(config or SimulationConfig())


def write_sequence(
    config: SimulationConfig,
    directory: Path,
    progress: Callable[[int], object] | None = None,
    *,
    force: bool = False,
) -> None:
    """Writes a simulated sequence as a TUM RGB-D directory, which is there whole or not at all.

    Args:
        config: what is simulated.
        directory: the directory to make.
        progress: is called with 1 after each frame, as tqdm's ``update`` wants it.
        force: replaces what is there.

    Raises:
        SourceError: the directory exists or cannot be written, or the photographs are not installed.
    """
    source = simulate(config)
    with written_whole(directory, force=force) as partial, TumWriter(partial, source.camera) as writer:
        for frame in source:
            writer.write(frame)
            if progress is not None:
                progress(1)


def _camera(config: SimulationConfig) -> Camera:
    focal_length = _FOCAL_LENGTH * config.width
    centre_xy = ((config.width - 1) / 2, (config.height - 1) / 2)
    return Camera(config.width, config.height, focal_length, focal_length, *centre_xy)
