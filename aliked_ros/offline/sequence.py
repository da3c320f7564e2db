# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""A sequence through the front-end and the backend, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from aliked_ros.camera import Camera
from aliked_ros.errors import AlikedError, CalibrationError, SourceError
from aliked_ros.frontend.config import TrackingConfig
from aliked_ros.frontend.extractor import Extractor
from aliked_ros.frontend.frontend import Frontend
from aliked_ros.io.frames import Frame, FrameSource, Pose
from aliked_ros.offline.stereo import StereoDepth
from aliked_ros.slam.backend import Backend, Outcome, State
from aliked_ros.slam.config import BackendConfig
from aliked_ros.slam.geometry import FloatArray, make_pose
from aliked_ros.slam.trajectory import Trajectory

_FRAMES_UNTIL_DEPTH = 30  # so late a depth camera may begin


@dataclass(eq=False)
class SequenceRun:
    """What a sequence gave."""

    mode: str  # rgbd, stereo or mono
    backend: Backend
    truth: Trajectory  # of the frames whose pose the source knows; may be empty
    outcomes: list[Outcome] = field(default_factory=list)
    error: AlikedError | None = None  # what ended it before the sequence's end
    frontend_s: float = 0.0
    backend_s: float = 0.0
    rectified_from_camera: FloatArray | None = None  # (4, 4), where the images were turned to rectify them

    def trajectory(self) -> Trajectory:
        """The camera's poses. The backend's are those of the images, which rectification turns."""
        return self.backend.trajectory(self.rectified_from_camera)

    @property
    def num_frames(self) -> int:
        """How many frames there were."""
        return len(self.outcomes)

    @property
    def num_lost(self) -> int:
        """Frames in which the camera was lost."""
        return sum(outcome.state is State.LOST for outcome in self.outcomes)

    @property
    def num_relocalised(self) -> int:
        """How often it was found again."""
        return sum(outcome.relocalised for outcome in self.outcomes)


def run_sequence(
    source: FrameSource,
    extractor: Extractor,
    config: BackendConfig,
    *,
    mode: str = "auto",
    tracking: TrackingConfig | None = None,
    progress: Callable[[str], object] | None = None,
) -> SequenceRun:
    """Tracks and maps a whole sequence.

    Args:
        source: its frames.
        extractor: finds the features.
        config: of the backend; its mode is replaced by the one below.
        mode: ``rgbd`` takes depth images, ``stereo`` the second camera, ``mono`` neither; ``auto`` the first of them
            that one of the first frames has.
        tracking: how features become tracks.
        progress: is called after each frame with a line about it.

    Raises:
        CalibrationError: the source has no calibration, or one for images of another size.
        SourceError: the first frames cannot be read, or depth is missing. What goes wrong after the first frame is
            the run's ``error``, and what was found before it remains.
    """
    camera = _camera_of(source)
    frames = iter(source)
    begin = _begin(frames, mode)
    if not begin:
        raise SourceError(f"{source.name}: has no frame")
    mode = _mode_of(mode, begin, source)
    sensor = config.sensor.replace(mode=mode)
    backend = Backend(camera, BackendConfig(**{**vars(config), "sensor": sensor}))
    run = SequenceRun(mode, backend, Trajectory.from_poses([], []), rectified_from_camera=_turn_of(source))
    frontend = Frontend(extractor, tracking, camera=camera)
    depth = _depth_source(mode, extractor, tracking or TrackingConfig(), source, sensor.sigma_px)
    stamps: list[int] = []
    poses: list[FloatArray] = []
    try:
        for frame in chain(begin, frames):
            run.outcomes.append(_step(frame, frontend, depth, run))
            if frame.pose_world_from_camera is not None:
                stamps.append(frame.stamp_ns)
                poses.append(_matrix(frame.pose_world_from_camera))
            if progress is not None:
                progress(_line(run))
    except AlikedError as error:
        if not run.outcomes:
            raise
        run.error = error
    run.truth = Trajectory.from_poses(stamps, poses)
    return run


def _step(frame: Frame, frontend: Frontend, stereo: StereoDepth | None, run: SequenceRun) -> Outcome:
    started = time.perf_counter()
    found = frontend(frame.image, frame.stamp_ns, _depth_of(frame, run.mode))
    depth_m, sigma_m = (found.depth_m, None) if stereo is None else stereo(found.features, frame.right_image)
    extracted = time.perf_counter()
    outcome = run.backend.process(frame.stamp_ns, found.features, found.tracks, depth_m, sigma_m, epoch=found.epoch)
    run.frontend_s += extracted - started
    run.backend_s += time.perf_counter() - extracted
    return outcome


def _depth_of(frame: Frame, mode: str) -> NDArray[np.float32] | None:
    """The depth image; all unknown where a sequence with depth lacks it for one frame."""
    if mode != "rgbd":
        return None
    if frame.depth_m is not None:
        return frame.depth_m
    return np.full(frame.image.shape[:2], np.nan, np.float32)


def _camera_of(source: FrameSource) -> Camera:
    if source.camera is None:
        raise CalibrationError(
            f"{source.name}: no calibration is known, and without one there is no geometry; "
            "give one with --calibration (fr1, fr2, fr3 or a camera_info YAML file)"
        )
    return source.camera


def _turn_of(source: FrameSource) -> FloatArray | None:
    turn = source.rectified_from_camera
    return None if turn is None else make_pose(turn, np.zeros(3))


def _begin(frames: Iterator[Frame], mode: str) -> list[Frame]:
    """The first frames up to one that has depth, where that is asked for."""
    begin: list[Frame] = []
    for frame in islice(frames, 1 if mode == "mono" else _FRAMES_UNTIL_DEPTH):
        begin.append(frame)
        has_right = frame.right_image is not None and mode != "rgbd"
        if has_right or (frame.depth_m is not None and mode != "stereo"):
            break
    return begin


def _mode_of(mode: str, begin: list[Frame], source: FrameSource) -> str:
    has_depth = begin[-1].depth_m is not None
    has_right = source.baseline_m > 0 and any(frame.right_image is not None for frame in begin)
    if mode == "auto":
        return "rgbd" if has_depth else "stereo" if has_right else "mono"
    if mode == "rgbd" and not has_depth:
        raise SourceError(
            f"{source.name}: mode rgbd needs depth, and the first {len(begin)} frames have none; use --mode mono"
        )
    if mode == "stereo" and not has_right:
        raise SourceError(
            f"{source.name}: mode stereo needs a second camera beside the first, as image_1 of KITTI odometry or cam1 "
            "of EuRoC, and the calibration of both; use --mode mono, --baseline_m where it is simulated, or "
            "slam.launch.py mode:=stereo for topics"
        )
    return mode


def _depth_source(
    mode: str, extractor: Extractor, tracking: TrackingConfig, source: FrameSource, sigma_px: float
) -> StereoDepth | None:
    if mode != "stereo":
        return None
    return StereoDepth(extractor, tracking, _camera_of(source), source.baseline_m, sigma_px)


def _matrix(pose: Pose) -> FloatArray:
    return make_pose(pose.rotation, pose.position_xyz)


def _line(run: SequenceRun) -> str:
    last = run.outcomes[-1]
    keyframes, loops = len(run.backend.map.keyframes), len(run.backend.loops)
    return f"{last.state.value}, {last.num_inliers} landmarks, {keyframes} keyframes, {loops} loops"
