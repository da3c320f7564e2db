# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The backend behind the odometry node: what a tracker said of an image in, where the camera is out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from aliked_ros.camera import Camera
from aliked_ros.errors import MessageError
from aliked_ros.features import Float32Array, Matches
from aliked_ros.io.messages.message_fields import Coords, FeaturesMessage, FrameMeta, MatchesMessage, TracksMessage
from aliked_ros.ros.conversions import features_from_message, matches_from_message, tracks_from_message
from aliked_ros.slam.backend import Backend, Outcome, State
from aliked_ros.slam.config import BackendConfig
from aliked_ros.slam.geometry import FloatArray
from aliked_ros.slam.stereo import depth_of_matches

GENERATION = "generation"  # beside a frame's messages: how often the tracker had started anew
_EPOCHS = 2**32  # an epoch is 32 bits wide


@dataclass(frozen=True, eq=False)
class TrackedFrame:
    """What a tracker said of one image.

    Raises:
        MessageError: the messages contradict themselves or each other.
    """

    features: FeaturesMessage
    tracks: TracksMessage
    stereo: MatchesMessage | None = None  # to the simultaneous image of the right camera
    generation: int = 0  # of the tracker; ids of two generations are those of different tracks

    def __post_init__(self) -> None:
        if self.features.meta.stamp_ns != self.tracks.meta.stamp_ns:
            raise MessageError(
                f"features of {self.features.meta.stamp_ns} ns and tracks of {self.tracks.meta.stamp_ns} ns have one "
                "frame_seq; is there a second tracker of this name?"
            )

    @classmethod
    def from_messages(cls, messages: Mapping[str, Any]) -> TrackedFrame:
        """Of the messages features, tracks and, where there is one, matches, and the generation; raises as above."""
        features = features_from_message(messages["features"])
        count = len(features.features)
        tracks = tracks_from_message(messages["tracks"], num_features=count)
        matches = messages.get("matches")
        stereo = None if matches is None else matches_from_message(matches, num_features=count)
        return cls(features, tracks, stereo, messages.get(GENERATION, 0))


class Localiser:
    """Has the backend process frame after frame. Belongs to one thread.

    Args:
        config: of the backend.
        camera: the calibration of the images.
        baseline_m: from the left to the right camera, where the mode is stereo.
    """

    def __init__(self, config: BackendConfig, camera: Camera, baseline_m: float = 0.0) -> None:
        self.backend = Backend(camera, config)
        self.camera = camera
        self._config = config
        self._baseline_m = baseline_m
        self._has_depth = False  # has had some
        self._last: FrameMeta | None = None

    def interruption(self, frame: TrackedFrame) -> str:
        """Why the map has to begin anew with this frame; empty where it goes on."""
        if self._last is None:
            return ""
        meta = frame.features.meta
        if meta.stamp_ns <= self._last.stamp_ns:
            return "time jumped back"
        if (meta.model, meta.weights_sha256) != (self._last.model, self._last.weights_sha256):
            return f"features of {meta.model} cannot be found in a map of {self._last.model}'s"
        return ""

    def reset(self) -> None:
        """Forgets the map and the trajectory."""
        self.backend.reset()
        self._last = None

    def __call__(self, frame: TrackedFrame) -> Outcome:
        """Where the camera is; raises what :meth:`Backend.process` raises."""
        meta = frame.features.meta
        depth_m, depth_sigma_m = self._depth(frame)
        outcome = self.backend.process(
            meta.stamp_ns,
            frame.features.features,
            frame.tracks.tracks,
            depth_m,
            depth_sigma_m,
            epoch=frame.generation * _EPOCHS + meta.epoch,
        )
        self._last = meta
        return outcome

    def points(self) -> FloatArray:
        """The map's points (N, 3) in the backend's world."""
        return self.backend.map.points_xyz

    def keyframe_poses(self) -> list[tuple[int, FloatArray]]:
        """The stamp and the pose (4, 4) of every keyframe, as the map has them now."""
        return [(one.observation.stamp_ns, one.pose_world_from_camera) for one in self.backend.map.keyframes]

    def write_trajectory(self, path: Path) -> int:
        """Writes the poses so far in TUM's format and returns how many there are; none writes no file.

        Raises:
            SourceError: the file cannot be written.
        """
        trajectory = self.backend.trajectory()
        if len(trajectory):
            trajectory.write_tum(path)
        return len(trajectory)

    def _depth(self, frame: TrackedFrame) -> tuple[Float32Array | None, Float32Array | None]:
        mode, count = self._config.sensor.mode, len(frame.features.features)
        if mode == "mono":
            return None, None
        if mode == "rgbd" and count > 0:
            depth_m = frame.features.depth_m
            self._has_depth = self._has_depth or depth_m is not None
            # A camera that has had depth lacks it for one image; one that never had any is refused.
            return np.full(count, np.nan, np.float32) if depth_m is None and self._has_depth else depth_m, None
        if frame.stereo is None or count == 0:  # of no feature, an absent array and an empty one look alike
            nothing = np.full(count, np.nan, np.float32)
            return nothing, nothing
        return depth_of_matches(
            _to_left(frame.stereo.matches), count, self.camera, self._baseline_m, sigma_px=self._config.sensor.sigma_px
        )


def _to_left(matches: Matches) -> Matches:
    """A tracker matches the left image to the right one; the backend wants it the other way round."""
    return replace(
        matches,
        indices=matches.indices_ref,
        indices_ref=matches.indices,
        xy=matches.xy_ref,
        xy_ref=matches.xy,
        model=None,  # holds in one direction
    )


def is_tracking(outcome: Outcome) -> bool:
    """Whether the outcome has a pose."""
    return outcome.state is State.TRACKING and outcome.pose_world_from_camera is not None


def is_rectified(frame: TrackedFrame) -> bool:
    """Whether the frame's pixels are those of a rectified image."""
    return frame.features.meta.coords is Coords.RECTIFIED
