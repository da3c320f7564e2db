# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The backend: frames in their order in, poses and a map out."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np

from aliked_ros.camera import Camera
from aliked_ros.errors import SourceError
from aliked_ros.features import Features, Float32Array, Tracks
from aliked_ros.slam.adjustment import adjust, choose_window
from aliked_ros.slam.config import BackendConfig
from aliked_ros.slam.geometry import FloatArray, inverse
from aliked_ros.slam.initialisation import TwoViewInitialiser, TwoViews
from aliked_ros.slam.loop_closure import LoopCloser, LoopClosure
from aliked_ros.slam.map import NO_LANDMARK, Keyframe, Map
from aliked_ros.slam.mapping import insert_keyframe, wants_keyframe
from aliked_ros.slam.observation import Observation, observe
from aliked_ros.slam.relocalisation import recognise
from aliked_ros.slam.retrieval import PlaceIndex
from aliked_ros.slam.tracking import Located, PoseTracker
from aliked_ros.slam.trajectory import Trajectory

_MAX_PENDING = 200  # frames before the first map that get their pose afterwards


class State(enum.Enum):
    """What the backend knows of the camera."""

    NOT_INITIALISED = "not initialised"
    TRACKING = "tracking"
    LOST = "lost"


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of one frame."""

    frame_index: int  # frames processed before this one
    stamp_ns: int
    state: State
    pose_world_from_camera: FloatArray | None  # (4, 4); None unless the state is TRACKING
    covariance: FloatArray | None  # (6, 6) of (rotation, translation) of the camera's frame
    num_inliers: int  # landmarks that agree with the pose
    is_keyframe: bool = False
    relocalised: bool = False  # it was lost before this frame
    loop: LoopClosure | None = None


@dataclass(frozen=True, eq=False)
class _Placed:
    """A frame's pose, kept in the frame of a keyframe, which may still move."""

    stamp_ns: int
    keyframe: Keyframe
    keyframe_from_camera: FloatArray  # (4, 4)


class Backend:
    """Visual odometry and mapping with relocalisation and loop closure.

    The same frames give the same trajectory bit for bit, on one machine with one set of libraries.

    Args:
        camera: the calibration of the images that features come from.
        config: everything that can be chosen.
    """

    def __init__(self, camera: Camera, config: BackendConfig | None = None) -> None:
        self._camera = camera
        self._config = config or BackendConfig()
        self.reset()

    def reset(self) -> None:
        """Forgets the map and the trajectory."""
        config = self._config
        self.map = Map()
        self.state = State.NOT_INITIALISED
        self.loops: list[LoopClosure] = []
        self._tracker = PoseTracker(self.map, config.association)
        self._initialiser = TwoViewInitialiser(config.initialisation)
        self._index = PlaceIndex(config.place)
        self._closer = LoopCloser(self.map, self._index, config)
        self._pending: list[Observation] = []
        self._placed: list[_Placed] = []
        self._num_frames = 0
        self._last_ns: int | None = None
        self._epoch: int | None = None
        self._poses: list[FloatArray] = []  # of the last two frames, while tracking
        self._since_keyframe = 0

    @property
    def is_metric(self) -> bool:
        """Whether positions are metres; a single camera's are not."""
        return self._config.sensor.mode != "mono"

    def process(
        self,
        stamp_ns: int,
        features: Features,
        tracks: Tracks,
        depth_m: Float32Array | None = None,
        depth_sigma_m: Float32Array | None = None,
        epoch: int = 0,
    ) -> Outcome:
        """The next frame.

        Args:
            stamp_ns: when the image was taken; later than the one before.
            features: of the image, N of them.
            tracks: which features carry an identity.
            depth_m: (N,) of the features, NaN where unknown; needed unless the mode is mono.
            depth_sigma_m: (N,) their 1-sigma errors; the sensor's model where not given.
            epoch: of the tracks; in another one, ids mean other tracks.

        Raises:
            SourceError: frames are out of order, or depth is missing.
            CalibrationError: the calibration is for images of another size.
            ShapeError: arrays that belong together disagree.
        """
        if self._last_ns is not None and stamp_ns <= self._last_ns:
            raise SourceError(
                f"frame of {stamp_ns} ns after one of {self._last_ns} ns; give frames in the order of their stamps, "
                "or reset the backend"
            )
        observation = observe(stamp_ns, features, tracks, self._camera, self._config.sensor, depth_m, depth_sigma_m)
        if epoch != self._epoch:
            self._tracker.forget_tracks()
            self._initialiser.reset()
            self._pending = []
            self._epoch = epoch
        self._last_ns = stamp_ns
        started = self.state is not State.NOT_INITIALISED
        outcome = self._localise(observation) if started else self._initialise(observation)
        self._tracker.drop_tracks(tracks.lost_ids)
        self._num_frames += 1
        return outcome

    def trajectory(self, camera_from_other: FloatArray | None = None) -> Trajectory:
        """The poses of all frames that were localised, as the map knows them by now.

        Args:
            camera_from_other: (4, 4) of what else is fixed to the camera and whose poses are wanted instead.
        """
        placed = sorted(self._placed, key=lambda one: one.stamp_ns)
        other = np.eye(4) if camera_from_other is None else camera_from_other
        poses = [one.keyframe.pose_world_from_camera @ one.keyframe_from_camera @ other for one in placed]
        return Trajectory.from_poses([one.stamp_ns for one in placed], poses)

    def _initialise(self, observation: Observation) -> Outcome:
        if self.is_metric:
            measured = int(np.isfinite(observation.depth_m).sum())
            if measured >= 2 * self._config.association.min_inliers:
                return self._start(observation)
            return self._nothing(observation)
        self._pending = [*self._pending[1 - _MAX_PENDING :], observation]
        views = self._initialiser.add(observation)
        if views is None:
            return self._nothing(observation)
        return self._start_from_two(views)

    def _start(self, observation: Observation) -> Outcome:
        """The first keyframe, whose camera's frame is the world's."""
        nothing = np.full(len(observation), NO_LANDMARK, np.int64)
        keyframe = insert_keyframe(self.map, observation, nothing, np.eye(4))
        self._index.add(observation.descriptors)
        self._settle(keyframe)
        self.state = State.TRACKING
        return self._place(observation, keyframe.pose_world_from_camera, None, len(keyframe.rows()), is_keyframe=True)

    def _start_from_two(self, views: TwoViews) -> Outcome:
        """The first two keyframes, and poses for the frames before the second."""
        nothing = np.full(len(views.first), NO_LANDMARK, np.int64)
        first = self.map.add_keyframe(views.first, nothing, np.eye(4))
        rough = np.broadcast_to(0.01 * np.eye(3), (len(views.points), 3, 3))
        ids = self.map.add_landmarks(first, views.rows_first, views.points, rough)
        seen = np.full(len(views.second), NO_LANDMARK, np.int64)
        seen[views.rows_second] = ids
        second = self.map.add_keyframe(views.second, seen, views.pose_first_from_second)
        self._index.add(views.first.descriptors)
        self._index.add(views.second.descriptors)
        adjust(
            self.map, choose_window(self.map, second, self._config.adjustment), self._config.adjustment, metric=False
        )
        self._settle(second)
        self.state = State.TRACKING
        self._place_pending(first, second)
        return self._place(views.second, second.pose_world_from_camera, None, len(second.rows()), is_keyframe=True)

    def _place_pending(self, first: Keyframe, second: Keyframe) -> None:
        """Resects the frames that came before there was a map."""
        for observation in self._pending:
            if observation is first.observation:
                self._placed.append(_Placed(observation.stamp_ns, first, np.eye(4)))
            elif observation is not second.observation:
                located = self._tracker.locate(observation, None)
                if located is not None:
                    relative = inverse(first.pose_world_from_camera) @ located.pose_world_from_camera
                    self._placed.append(_Placed(observation.stamp_ns, first, relative))
        self._tracker.learn(second.observation, second.landmark_ids)
        self._pending = []

    def _localise(self, observation: Observation) -> Outcome:
        located, relocalised = self._find(observation)
        if located is None:
            self.state = State.LOST
            self._poses = []
            self._tracker.forget_tracks()
            return self._nothing(observation)
        self.state = State.TRACKING
        self._tracker.learn(observation, located.landmark_ids)
        self._since_keyframe += 1
        last, loop = self.map.keyframes[-1], None
        is_keyframe = wants_keyframe(located, last, self._since_keyframe, self.map, self._config)
        pose = located.pose_world_from_camera
        if is_keyframe:
            keyframe, loop = self._extend(observation, located)
            pose = keyframe.pose_world_from_camera
        return self._place(
            observation,
            pose,
            located.covariance,
            located.num_inliers,
            is_keyframe=is_keyframe,
            relocalised=relocalised,
            loop=loop,
        )

    def _find(self, observation: Observation) -> tuple[Located | None, bool]:
        """The frame's place, and whether it had to be recognised."""
        if self.state is State.TRACKING:
            located = self._tracker.locate(observation, self._expected())
            if located is not None:
                return located, False
        candidates = dict.fromkeys([len(self.map.keyframes) - 1, *self._index.most_alike(observation.descriptors)])
        found = recognise(self.map, observation, candidates, self._config.place, self._config.association)
        if found is None:
            return None, False
        self._tracker.look_around(found.keyframe)
        return self._tracker.complete(
            observation, found.rows, found.landmark_ids, found.estimate.pose_world_from_camera
        ), True

    def _expected(self) -> FloatArray | None:
        """The pose if the camera moves on as it did."""
        if not self._poses:
            return None
        if len(self._poses) < 2:
            return self._poses[-1]
        before, last = self._poses
        return last @ inverse(before) @ last

    def _extend(self, observation: Observation, located: Located) -> tuple[Keyframe, LoopClosure | None]:
        """A new keyframe, adjusted with its neighbours; closes a loop where it ends one."""
        config = self._config
        keyframe = insert_keyframe(self.map, observation, located.landmark_ids, located.pose_world_from_camera)
        window = choose_window(self.map, keyframe, config.adjustment)
        adjust(self.map, window, config.adjustment, metric=self.is_metric)
        loop = self._closer.close(keyframe) if config.place.loop_closure else None
        self._index.add(observation.descriptors)
        if loop is not None:
            self.loops.append(loop)
            self._poses = []
            window = choose_window(self.map, keyframe, config.adjustment)
            adjust(self.map, window, config.adjustment, metric=self.is_metric)
        self._settle(keyframe)
        return keyframe, loop

    def _settle(self, keyframe: Keyframe) -> None:
        self._tracker.learn(keyframe.observation, keyframe.landmark_ids)
        self._tracker.look_around(keyframe)
        self._since_keyframe = 0

    def _place(
        self,
        observation: Observation,
        pose: FloatArray,
        covariance: FloatArray | None,
        num_inliers: int,
        *,
        is_keyframe: bool = False,
        relocalised: bool = False,
        loop: LoopClosure | None = None,
    ) -> Outcome:
        """Remembers the frame's pose and tells it."""
        keyframe = self.map.keyframes[-1]
        self._placed.append(_Placed(observation.stamp_ns, keyframe, inverse(keyframe.pose_world_from_camera) @ pose))
        self._poses = [*self._poses[-1:], pose]
        return Outcome(
            frame_index=self._num_frames,
            stamp_ns=observation.stamp_ns,
            state=self.state,
            pose_world_from_camera=pose.copy(),
            covariance=covariance,
            num_inliers=num_inliers,
            is_keyframe=is_keyframe,
            relocalised=relocalised,
            loop=loop,
        )

    def _nothing(self, observation: Observation) -> Outcome:
        return Outcome(self._num_frames, observation.stamp_ns, self.state, None, None, 0)


def needs_of_a_map(config: BackendConfig) -> str:
    """What a map begins with, in words."""
    sensor = config.sensor
    if sensor.mode == "mono":
        return "two views with enough parallax that share enough tracks (initialisation.*)"
    least = 2 * config.association.min_inliers
    if sensor.mode == "stereo":
        return (
            f"{least} matches between the two cameras' images of one moment, farther than {sensor.min_depth_m:g} m and "
            f"with an error of at most {100 * sensor.max_depth_error:g} % of the distance (sensor.*)"
        )
    return f"{least} features with depth between {sensor.min_depth_m:g} and {sensor.max_depth_m:g} m (sensor.*)"
