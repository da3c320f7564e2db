# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The tracker node: images in; features, matches, tracks, status and diagnostics out.

A managed node (ROS 2 design article "Managed nodes"): ``configure`` loads the network, ``activate`` starts to take
images, ``deactivate`` stops, ``cleanup`` releases everything. With ``autostart`` it does the first two by itself.
"""

from __future__ import annotations

import gc
import threading
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from std_srvs.srv import SetBool, Trigger

from aliked_ros.camera import Camera
from aliked_ros.errors import AlikedError, ConfigError
from aliked_ros.frontend.config import ExtractorConfig, TrackingConfig, VerificationConfig
from aliked_ros.io.calibration import camera_named
from aliked_ros.io.messages.message_fields import Coords
from aliked_ros.io.messages.status_fields import TrackerState
from aliked_ros.ros.camera_stream import CameraName, CameraStream
from aliked_ros.ros.intake import Intake
from aliked_ros.ros.monitor import Monitor
from aliked_ros.ros.node_config import TRACKER_GROUPS, CameraConfig, TrackerNodeConfig, camera_groups
from aliked_ros.ros.parameters import NodeParameters
from aliked_ros.ros.pipeline import Pipeline, intake_settings
from aliked_ros.ros.process import SpinThread, exit_in_time, one_line, run
from aliked_ros.ros.publishing import ResultPublisher
from aliked_ros.ros.reporting import Reporter, transport_warning
from aliked_ros.ros.stereo import StereoMatcher

if TYPE_CHECKING:
    from aliked_ros.frontend.extractor import Extractor
    from aliked_ros.frontend.frontend import Frontend

_EXIT_WITHIN_S = 1.5  # of a signal


class TrackerNode(LifecycleNode):  # type: ignore[misc]  # rclpy may not be installed where types are checked
    """Runs the front-end on the images of one camera or several.

    Args:
        options: of rclpy's Node, such as ``parameter_overrides``.

    Raises:
        ConfigError: a parameter is unknown or out of range.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("tracker", **options)
        self._lock = threading.RLock()  # transitions and services come from several threads
        self._is_configured = False  # from the beginning of configure to the end of cleanup
        self._is_active = False
        self._is_enabled = True
        self._is_starting = False
        self._failure: Exception | None = None
        self._extractor: Extractor | None = None
        self._pipeline: Pipeline | None = None
        self._stereo: StereoMatcher | None = None
        self._settings = NodeParameters(self, TRACKER_GROUPS, _groups_of_cameras, lambda: not self._is_configured)
        self._settings.on_change(self._apply_parameters)
        names = self._settings.get(TrackerNodeConfig).camera_names
        self._cameras = [CameraName(index, name) for index, name in enumerate(names)]
        self._monitors = [Monitor() for _ in names]
        self._reporters = [Reporter(self, *pair) for pair in zip(self._monitors, names, strict=True)]
        self._commands = [
            self.create_service(Trigger, "~/reset", self._on_reset),
            self.create_service(SetBool, "~/enable", self._on_enable),
        ]

    @property
    def autostart(self) -> bool:
        """Whether the node configures and activates itself."""
        return self._settings.get(TrackerNodeConfig).autostart

    def start(self) -> None:
        """Configures and activates.

        Raises:
            Exception: whatever made a transition fail, such as a WeightsError.
        """
        self._is_starting = True
        for transition in (self.trigger_configure, self.trigger_activate):
            if transition() != TransitionCallbackReturn.SUCCESS:
                assert self._failure is not None
                raise self._failure
        self._is_starting = False

    def close(self) -> None:
        """Finishes the images in hand, ends the threads and leaves the graph."""
        with self._lock:
            self._release()
        self.destroy_node()

    def on_configure(self, state: Any) -> TransitionCallbackReturn:  # noqa: ARG002
        """Loads and verifies the network, runs it once, and creates the topics."""
        return self._transition(self._configure)

    def on_activate(self, state: Any) -> TransitionCallbackReturn:  # noqa: ARG002
        """Starts to take images, unless they were disabled by ~/enable."""
        return self._transition(self._activate)

    def on_deactivate(self, state: Any) -> TransitionCallbackReturn:  # noqa: ARG002
        """Takes no more images."""
        return self._transition(self._deactivate)

    def on_cleanup(self, state: Any) -> TransitionCallbackReturn:  # noqa: ARG002
        """Releases the network and the topics."""
        return self._transition(self._release)

    def on_shutdown(self, state: Any) -> TransitionCallbackReturn:  # noqa: ARG002
        """Releases everything, for good."""
        return self._transition(self._release)

    def on_error(self, state: Any) -> TransitionCallbackReturn:  # noqa: ARG002
        """Releases everything, so that the node can be configured again."""
        return self._transition(self._release)

    def _transition(self, change: Any) -> TransitionCallbackReturn:
        """Makes a change.

        When it fails the node ends up unconfigured: after a failed configuration at once, after any other failed
        transition, and after a fault of ours, by way of :meth:`on_error`.
        """
        with self._lock:
            try:
                change()
            except AlikedError as error:
                self._failure = error
                self._release()
                if not self._is_starting:  # else whoever called start() says so
                    self.get_logger().error(one_line(error))
                # A failed activation would leave an inactive node, which has to have a network.
                return TransitionCallbackReturn.FAILURE if change == self._configure else TransitionCallbackReturn.ERROR
            except Exception as error:  # noqa: BLE001  rclpy would swallow it without a word
                self._failure = error
                self.get_logger().error(f"transition failed\n{traceback.format_exc()}")
                return TransitionCallbackReturn.ERROR
        self._publish_status()
        return TransitionCallbackReturn.SUCCESS

    def _configure(self) -> None:
        self._is_configured = True
        self._publish_status()
        self.get_logger().debug("loading the network")
        calibrations = [self._calibration_of(camera) for camera in self._cameras]  # before what takes long
        from aliked_ros.frontend.extractor import Extractor  # torch takes seconds, and signals come before

        extractor = Extractor.from_config(self._settings.get(ExtractorConfig))
        self._warm_up(extractor)
        warnings = self._warnings(extractor)
        for reporter in self._reporters:
            reporter.set_engine(extractor.info, warnings)
        self._extractor = extractor
        self._pipeline = self._make_pipeline(extractor, calibrations)
        # What was loaded stays: the collector need not look at torch's objects again and again, in mid-image.
        gc.collect()
        gc.freeze()

    def _activate(self) -> None:
        assert self._pipeline is not None
        assert self._extractor is not None
        self._is_active = True
        self._apply_parameters()
        self._take_images()
        info = self._extractor.info
        self.get_logger().info(f"ready: {info.model} on {info.device}, {info.precision}, {info.backend}")

    def _deactivate(self) -> None:
        self._is_active = False
        self._take_images()
        self.get_logger().info("inactive: images are no longer taken")

    def _release(self) -> None:
        self._is_active = False
        if self._pipeline is not None:
            self._pipeline.close()
        self._pipeline = self._extractor = self._stereo = None
        for reporter, monitor in zip(self._reporters, self._monitors, strict=True):
            reporter.set_engine(None)
            monitor.set_state(TrackerState.STARTING)
        gc.unfreeze()
        gc.collect()
        self._is_configured = False

    def _take_images(self) -> None:
        """Subscribes or unsubscribes, as activation and ~/enable have it."""
        assert self._pipeline is not None
        if not (self._is_active and self._is_enabled):
            self._pipeline.unsubscribe()
        elif not self._pipeline.is_subscribed:
            # What was tracked before a pause is out of sight, or somewhere else.
            self._pipeline.for_each_frontend(lambda frontend: frontend.reset())
            self._pipeline.subscribe()
        state = TrackerState.IDLE if self._pipeline.is_subscribed else TrackerState.DISABLED
        for monitor in self._monitors:
            monitor.set_state(state)

    def _settings_of(self, camera: CameraName) -> CameraConfig:
        return self._settings.get(CameraConfig, camera.name).filled_from(self._settings.get(CameraConfig, ""))

    def _calibration_of(self, camera: CameraName) -> Camera | None:
        """The calibration that the parameters name.

        Raises:
            SourceError: it cannot be read.
            CalibrationError: it is impossible.
            ConfigError: it contradicts other parameters.
        """
        settings = self._settings_of(camera)
        if not settings.calibration:
            return None
        calibration = camera_named(settings.calibration)
        if settings.rectified and calibration.distortion:
            raise ConfigError(
                f"calibration {settings.calibration} has distortion, but rectified images have none; "
                "leave one of them out"
            )
        return calibration

    def _make_pipeline(self, extractor: Extractor, calibrations: Sequence[Camera | None]) -> Pipeline:
        config = self._settings.get(TrackerNodeConfig)
        intake = Intake(
            len(self._cameras), intake_settings(config), lambda camera, count: self._monitors[camera].dropped(count)
        )
        pipeline = Pipeline(intake, lambda camera: self._reporters[camera].publish_status())
        streams = [
            self._make_stream(camera, self._make_frontend(extractor, calibration), intake, pipeline)
            for camera, calibration in zip(self._cameras, calibrations, strict=True)
        ]
        if len(streams) > 1:
            self._stereo = StereoMatcher(self, self._settings.get(TrackingConfig).min_similarity)
        pipeline.start(streams, self._stereo)
        return pipeline

    def _make_frontend(self, extractor: Extractor, calibration: Camera | None) -> Frontend:
        from aliked_ros.frontend.frontend import Frontend

        tracking, verification = self._settings.get(TrackingConfig), self._settings.get(VerificationConfig)
        return Frontend(extractor, tracking, verification, calibration)

    def _make_stream(self, camera: CameraName, frontend: Frontend, intake: Intake, pipeline: Pipeline) -> CameraStream:
        config, settings = self._settings.get(TrackerNodeConfig), self._settings_of(camera)
        info = frontend.extractor.info
        coords = Coords.RECTIFIED if settings.rectified else Coords.RAW
        return CameraStream(
            self,
            camera,
            config,
            settings,
            frontend,
            self._monitors[camera.index],
            ResultPublisher(self, camera.name or config.source_id, info, camera.output, coords),
            intake,
            pipeline.before_next_image,
        )

    def _warm_up(self, extractor: Extractor) -> None:
        """Has the first image pay for nothing that can be prepared: noise has keypoints, so every part runs."""
        config = self._settings.get(TrackerNodeConfig)
        if config.warmup_width and config.warmup_height:
            shape = (config.warmup_height, config.warmup_width, 3)
            extractor(np.random.default_rng(0).integers(0, 256, shape, np.uint8))

    def _warnings(self, extractor: Extractor) -> tuple[str, ...]:
        warnings = tuple(filter(None, (transport_warning(), *extractor.info.warnings)))
        for warning in warnings:
            self.get_logger().warning(warning)
        return warnings

    def _publish_status(self) -> None:
        for reporter in self._reporters:
            reporter.publish_status()

    def _apply_parameters(self) -> None:
        """Has the worker take over every live parameter before its next image."""
        pipeline, stereo = self._pipeline, self._stereo
        if pipeline is None:
            return
        limits = self._settings.get(ExtractorConfig)
        tracking, verification = self._settings.get(TrackingConfig), self._settings.get(VerificationConfig)

        def apply(frontend: Frontend) -> None:
            frontend.extractor.reconfigure(max_keypoints=limits.max_keypoints, score_threshold=limits.score_threshold)
            frontend.reconfigure(tracking, verification)
            if stereo is not None:
                stereo.min_similarity = tracking.min_similarity

        pipeline.use(self._settings.get(TrackerNodeConfig))
        pipeline.for_each_frontend(apply)

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:  # noqa: ARG002
        pipeline = self._pipeline
        if pipeline is None:
            response.success, response.message = False, "not ready yet"
            return response
        pipeline.for_each_frontend(lambda frontend: frontend.reset())
        response.success, response.message = True, "the next image starts a new epoch"
        return response

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        response.success = True
        if request.data == self._is_enabled:
            response.message = "as it was"
            return response
        self._is_enabled = request.data  # a transition that is under way will find it
        if not self._is_active:
            response.message = f"images will {'' if request.data else 'not '}be taken when the node is active"
            return response
        with self._lock:
            if self._pipeline is not None:
                self._take_images()
        response.message = (
            "images are taken; the next one starts a new epoch" if request.data else "images are no longer taken"
        )
        self._publish_status()
        return response


def _groups_of_cameras(node: Any) -> Any:
    names = node.get_parameter("cameras").value
    return camera_groups(names if isinstance(names, list) else ())


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the tracker until a signal ends it and returns the exit code."""
    return run(_main, arguments)


def _main(stop: threading.Event) -> int:
    node = TrackerNode()
    spin = SpinThread([node], stop)
    with exit_in_time(stop, _EXIT_WITHIN_S, lambda: int(spin.has_failed)):
        try:
            with spin:
                if node.autostart:
                    node.start()
                stop.wait()
        finally:
            node.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
