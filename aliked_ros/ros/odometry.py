# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The odometry node: a tracker's features in; odometry, TF, path and map of the reference backend out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from rclpy.clock import Clock, ClockType
from sensor_msgs.msg import CameraInfo
from std_srvs.srv import Trigger

from aliked_msgs.msg import Features, Matches, Tracks
from aliked_ros.camera import Camera
from aliked_ros.errors import AlikedError, CalibrationError
from aliked_ros.io.calibration import camera_named
from aliked_ros.io.folders import expanded
from aliked_ros.rectified import pair_baseline_m
from aliked_ros.ros import qos
from aliked_ros.ros.frame_joiner import FrameJoiner
from aliked_ros.ros.image_conversions import calibration_values, camera_from_info
from aliked_ros.ros.localiser import GENERATION, Localiser, TrackedFrame, is_rectified
from aliked_ros.ros.mailbox import Mailbox, Worker
from aliked_ros.ros.odometry_config import ODOMETRY_GROUPS, OdometryConfig
from aliked_ros.ros.odometry_frames import OdometryFrames
from aliked_ros.ros.odometry_publishing import OdometryPublisher
from aliked_ros.ros.odometry_report import OdometryReport, OdometryReporter
from aliked_ros.ros.parameters import NodeParameters
from aliked_ros.ros.process import one_line, run_callbacks
from aliked_ros.ros.silence import SilenceWatch
from aliked_ros.ros.throttle import ThrottledLog
from aliked_ros.ros.transforms import Transforms
from aliked_ros.ros.usage import Usage
from aliked_ros.ros.watched_node import WatchedNode
from aliked_ros.slam.backend import State, needs_of_a_map
from aliked_ros.slam.config import (
    AdjustmentConfig,
    AssociationConfig,
    BackendConfig,
    InitialisationConfig,
    KeyframeConfig,
    PlaceConfig,
    SensorConfig,
)

SUMMARY = (
    "Visual odometry and a map by the reference backend: takes what a tracker publishes, and camera_info; publishes "
    "~/odometry, ~/path, ~/map_points, ~/state, /tf and /diagnostics."
)
_TRACKER = "tracker"  # a remapping changes the names below it
_WAITING_LIVE, _WAITING_REPLAY = 3, 1000
_REPORT_PERIOD_S = 1.0


class OdometryNode(WatchedNode):
    """Runs the backend on what a tracker publishes. It never sees an image.

    A pose is published while the camera is tracked, and none otherwise; ``~/state`` and /diagnostics say why.

    Args:
        options: of rclpy's Node, such as ``parameter_overrides``.

    Raises:
        ConfigError: a parameter is unknown or out of range, or needs what is not installed.
        SourceError: the calibration cannot be read.
        CalibrationError: it is impossible.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("odometry", **options)
        settings = NodeParameters(self, ODOMETRY_GROUPS)
        self._config = settings.get(OdometryConfig)
        self._backend_config = _backend_config(settings)
        log = self.get_logger()
        # Lambdas: rclpy refuses a call site that logs with two severities, and ThrottledLog's would be one.
        self._log_error = ThrottledLog(lambda line: log.error(line))
        self._log_warning = ThrottledLog(lambda line: log.warning(line))
        if self._config.calibration:  # whether it is one, and of rectified images where they must be
            camera_named(self._config.calibration, rectified=self._mode == "stereo")
        self._infos: dict[str, CameraInfo] = {}  # by "left", which is the only one unless it is stereo, and "right"
        self._infos_in_use: dict[str, CameraInfo] = {}
        self._localiser: Localiser | None = None
        self._frames: OdometryFrames | None = None
        self._num_saved = 0  # trajectories
        self._must_reset = threading.Event()
        transforms = Transforms(self, is_published=self._config.publish_tf, base_frame=self._config.base_frame)
        self._transforms = transforms
        self._report = OdometryReport(_needs(self._backend_config))
        self._reporter = OdometryReporter(self, self._report, is_metric=self._mode != "mono")
        self._reporter.watch(self.qos_finding)
        self._publisher = OdometryPublisher(self, self._config, transforms)
        parts = ("features", "tracks")
        self._joiner = FrameJoiner(parts, ("matches",) if self._mode == "stereo" else ())
        capacity = _WAITING_REPLAY if self._config.process_every_frame else _WAITING_LIVE
        self._waiting: Mailbox[Mapping[str, Any]] = Mailbox(capacity)
        self._worker = Worker("odometry", self._waiting, self._handle)
        self._subscribe()
        self.warn_of_unused_overrides()
        self.create_service(Trigger, "~/reset", self._on_reset)
        self.create_timer(_REPORT_PERIOD_S, self._on_timer, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._worker.start()

    def close(self) -> None:
        """Finishes the frame in hand, writes the trajectory where one is wanted, and leaves the graph."""
        lost = self._waiting.close()
        self._report.dropped(lost)
        if lost:
            self.get_logger().warning(f"{lost} frames were still waiting and are not in the trajectory")
        self._worker.join()
        self._save()
        self.destroy_node()

    @property
    def _mode(self) -> str:
        return self._backend_config.sensor.mode

    @property
    def _right_info(self) -> str:
        return f"{self._config.right_camera}/camera_info"

    def _subscribe(self) -> None:
        camera = f"{self._config.camera}/" if self._config.camera else ""
        if not self._config.calibration:
            self._listen(CameraInfo, f"{camera}camera_info", partial(self._on_info, "left"), qos.camera_info())
        if self._mode == "stereo" and not self._config.baseline:
            self._listen(CameraInfo, self._right_info, partial(self._on_info, "right"), qos.camera_info())
        topics: list[tuple[Any, str, str]] = [(Tracks, "tracks", f"{_TRACKER}/{camera}tracks")]
        if self._mode == "stereo":
            topics.append((Matches, "matches", f"{_TRACKER}/matches"))
        # The last: who sees that features are read, as the player does that waits for it, knows the others.
        topics.append((Features, "features", f"{_TRACKER}/{camera}features"))
        profile = qos.every_result if self._config.process_every_frame else qos.results
        for kind, name, topic in topics:
            subscription = self._listen(kind, topic, partial(self._on_part, name), profile())
            if kind is Features:
                silence = SilenceWatch(self, subscription.topic_name, name, self._report.seconds_without_features)
                self._reporter.watch(silence)

    def _listen(self, kind: Any, topic: str, callback: Callable[[Any], None], profile: Any) -> Any:
        return self.create_subscription(kind, topic, callback, profile, qos_overriding_options=qos.overridable())

    def _on_part(self, name: str, message: Any) -> None:
        self._report.received(name)
        if name == "matches" and not self._is_of_the_pair(message):
            return
        generation = self._joiner.generation
        for frame in self._joiner.add(message.epoch, message.frame_seq, name, message):
            self._report.dropped(self._waiting.put({**frame, GENERATION: self._joiner.generation}))
        if self._joiner.generation != generation:
            self._log_warning("the tracker has started anew: its tracks are other ones")
        self._report.set_incomplete(self._joiner.num_given_up)

    def _is_of_the_pair(self, message: Matches) -> bool:
        """Whether these matches are of the left image to the right one, and not to a third or the one before."""
        is_of_left = self._config.camera in ("", message.source_id)
        return is_of_left and message.source_id != message.source_id_ref == self._config.right_camera

    def _on_info(self, side: str, message: CameraInfo) -> None:
        self._infos[side] = message

    def _handle(self, messages: Mapping[str, Any]) -> None:
        """One frame; what is wrong with it is told and counted, and the next gets its turn."""
        try:
            self._process(TrackedFrame.from_messages(messages))
        except AlikedError as error:
            self._report.refused(one_line(error))
            self._log_error(f"frame refused: {one_line(error)}")
        except Exception as error:  # noqa: BLE001  a node on a robot outlives what it did not foresee
            self._report.refused(f"{type(error).__name__}: {one_line(error)}")
            self.get_logger().error(f"frame could not be processed: {type(error).__name__}: {one_line(error)}")
            self._begin_anew("after a fault the map is not trusted")

    def _process(self, frame: TrackedFrame) -> None:
        if self._must_reset.is_set():
            self._must_reset.clear()
            self._begin_anew("reset")
        localiser = self._localiser_for(frame)
        if interruption := localiser.interruption(frame):
            self._begin_anew(interruption)
        frames = self._frames_for(frame)
        with self._report.timed():
            outcome = localiser(frame)
        placed = frames.place(outcome)
        self._tell(outcome, localiser)
        frame_id = frame.features.meta.frame_id
        self._publisher.publish(placed, outcome, localiser, frames, frame_id)

    def _tell(self, outcome: Any, localiser: Localiser) -> None:
        before = self._report.state
        self._report.processed(outcome, localiser.backend)
        if reason := self._report.why_no_map():
            self._log_warning(reason)
        if before is not outcome.state:
            self._reporter.publish_state()
            change = f"{before.value} → {outcome.state.value}"
            if outcome.state is State.LOST:
                self.get_logger().warning(change)
            else:
                self.get_logger().info(change)
        if outcome.loop is not None:
            self.get_logger().info(
                f"loop closed: keyframe {outcome.loop.keyframe_id} sees {outcome.loop.matched_keyframe_id} again, "
                f"corrected by {outcome.loop.correction:.3f} and {outcome.loop.correction_deg:.2f}°"
            )

    def _localiser_for(self, frame: TrackedFrame) -> Localiser:
        """The backend, made when the calibration is known and anew when it changes."""
        infos = dict(self._infos)
        if self._localiser is not None and all(
            calibration_values(infos[side]) == calibration_values(used) for side, used in self._infos_in_use.items()
        ):
            return self._localiser
        camera = self._camera_from(infos, rectified=is_rectified(frame))
        baseline_m = self._baseline(infos, camera)
        if self._localiser is not None:
            self._begin_anew("the calibration changed")
        self._infos_in_use = infos
        self._localiser = Localiser(self._backend_config, camera, baseline_m)
        return self._localiser

    def _camera_from(self, infos: Mapping[str, CameraInfo], *, rectified: bool) -> Camera:
        if self._config.calibration:
            return camera_named(self._config.calibration, rectified=rectified)
        if "left" not in infos:
            raise CalibrationError("no camera_info has come; connect it, or set the parameter calibration")
        return camera_from_info(infos["left"], rectified=rectified)

    def _baseline(self, infos: Mapping[str, CameraInfo], camera: Camera) -> float:
        if self._mode != "stereo" or self._config.baseline:
            return self._config.baseline
        if "right" not in infos:
            raise CalibrationError(f"{self._right_info} has not come; connect it, or set the parameter baseline")
        right = camera_from_info(infos["right"], rectified=True)
        return pair_baseline_m(camera, right, (infos["right"].p[3], infos["right"].p[7]), self._right_info)

    def _frames_for(self, frame: TrackedFrame) -> OdometryFrames:
        if self._frames is None:
            base = self._config.base_frame
            self._frames = OdometryFrames(
                self._transforms.base_from_camera(frame.features.meta.frame_id) if base else None
            )
        return self._frames

    def _begin_anew(self, reason: str) -> None:
        self._log_warning(f"the map begins anew: {reason}")
        self._save()
        if self._localiser is not None:
            self._localiser.reset()
        if self._frames is not None:
            self._frames.reset()
        self._publisher.reset()
        self._report.began_anew()

    def _save(self) -> None:
        if not self._config.trajectory or self._localiser is None:
            return
        path = expanded(self._config.trajectory, "trajectory")
        if self._num_saved:  # each map has a world of its own
            path = path.with_stem(f"{path.stem}-{self._num_saved + 1}")
        try:
            count = self._localiser.write_trajectory(path)
        except AlikedError as error:
            self.get_logger().error(f"the trajectory is lost: {one_line(error)}")
            return
        if count:
            self._num_saved += 1
            self.get_logger().info(f"{count} poses written to {path}")

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:  # noqa: ARG002
        self._must_reset.set()
        response.success, response.message = True, "the next frame begins a new map"
        return response

    def _on_timer(self) -> None:
        self._reporter.publish_diagnostics()


def _needs(config: BackendConfig) -> str:
    """What a map begins with, and what to look at."""
    needs = needs_of_a_map(config)
    if config.sensor.mode == "stereo":
        return f"{needs}; does {_TRACKER}/matches come, and are the images rectified?"
    return needs


def _backend_config(settings: NodeParameters) -> BackendConfig:
    return BackendConfig(
        sensor=settings.get(SensorConfig),
        association=settings.get(AssociationConfig),
        keyframe=settings.get(KeyframeConfig),
        adjustment=settings.get(AdjustmentConfig),
        initialisation=settings.get(InitialisationConfig),
        place=settings.get(PlaceConfig),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the node until a signal ends it and returns the exit code."""
    usage = Usage("odometry", SUMMARY, ODOMETRY_GROUPS)
    return run_callbacks(OdometryNode, arguments, OdometryNode.close, usage)


if __name__ == "__main__":
    raise SystemExit(main())
