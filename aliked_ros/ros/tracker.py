# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The tracker node: images in; features, matches, tracks, status and diagnostics out.

A managed node (ROS 2 design article "Managed nodes"): ``configure`` loads the network, ``activate`` starts to take
images, ``deactivate`` stops, ``cleanup`` releases everything. With ``autostart`` it does the first two by itself.
"""

from __future__ import annotations

import functools
import sys
import threading
import traceback
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.logging import LoggingSeverity, set_logger_level
from std_srvs.srv import SetBool, Trigger

from aliked_ros.errors import AlikedError
from aliked_ros.frontend.config import ExtractorConfig, SelectionConfig, TrackingConfig, VerificationConfig
from aliked_ros.ros.camera_stream import CameraName
from aliked_ros.ros.finding import Finding
from aliked_ros.ros.frame_log import FrameLog
from aliked_ros.ros.load_control import LoadControl
from aliked_ros.ros.memory import release_memory
from aliked_ros.ros.node_config import (
    TRACKER_GROUPS,
    LogConfig,
    OverloadConfig,
    TrackerNodeConfig,
    camera_groups,
)
from aliked_ros.ros.parameters import NodeParameters
from aliked_ros.ros.phase import Phase
from aliked_ros.ros.pipeline import Pipeline
from aliked_ros.ros.pipeline_builder import PipelineBuilder
from aliked_ros.ros.process import SpinThread, one_line, run
from aliked_ros.ros.reporting import Reports
from aliked_ros.ros.signals import end_process, exit_in_time
from aliked_ros.ros.stereo import StereoMatcher
from aliked_ros.ros.usage import Usage
from aliked_ros.ros.watched_node import WatchedLifecycleNode

if TYPE_CHECKING:
    from aliked_ros.frontend.extractor import Extractor
    from aliked_ros.frontend.frontend import FrameNumber, Frontend


# Python's own is 5 ms, for which an image might wait while the executor looks for more work.
_SWITCH_INTERVAL_S = 1e-4
SUMMARY = (
    "A learned visual front-end: takes image, and camera_info and depth where they are wanted; publishes ~/features, "
    "~/matches, ~/tracks, ~/status, ~/debug_image and /diagnostics. A managed node, which configures and activates "
    "itself (autostart). With cameras:=[left, right] these topics lie below the names, and the parameters from "
    "calibration on exist for each as well: left.calibration."
)


class TrackerNode(WatchedLifecycleNode):
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
        self._starter: int | None = None  # the thread that is in start()
        self._is_configuring = False
        self._is_abandoned = False
        self._has_left = False
        self._failure: Exception | None = None
        self._extractor: Extractor | None = None
        self._pipeline: Pipeline | None = None
        self._stereo: StereoMatcher | None = None
        self._settings = NodeParameters(self, TRACKER_GROUPS, _groups_of_cameras, lambda: not self._is_configured)
        self._settings.on_change(self._apply_parameters)
        names = self._settings.get(TrackerNodeConfig).camera_names
        self._cameras = [CameraName(index, name) for index, name in enumerate(names)]
        self._next_numbers: list[FrameNumber] = []  # by camera, once there have been some
        self._reports = Reports(self, names)
        self._frame_log = FrameLog(self.get_logger())
        self._load = LoadControl(self, self._load_settings, self._apply_parameters)
        for camera in range(len(names)):
            self._reports.watch(functools.partial(self._images_finding, camera), camera)
        for source in (self.qos_finding, self._load.finding, self._frame_log.finding, self._stereo_finding):
            self._reports.watch(source)
        self._commands = [
            self.create_service(Trigger, "~/reset", self._on_reset),
            self.create_service(SetBool, "~/enable", self._on_enable),
        ]

    @property
    def autostart(self) -> bool:
        """Whether the node configures and activates itself."""
        return self._settings.get(TrackerNodeConfig).autostart

    @property
    def is_configuring(self) -> bool:
        """Whether the network is being loaded."""
        return self._is_configuring

    def start(self) -> None:
        """Configures and activates.

        Raises:
            Exception: whatever made a transition fail, such as a WeightsError.
        """
        self._starter = threading.get_ident()
        try:
            for transition in (self.trigger_configure, self.trigger_activate):
                if transition() == TransitionCallbackReturn.SUCCESS:
                    continue
                if self._failure is not None:
                    raise self._failure
                self.get_logger().warning("autostart is over: somebody else manages this node; set autostart to false")
                break
        finally:
            self._starter = None

    def close(self) -> None:
        """Finishes the images in hand, ends the threads and leaves the graph."""
        with self._lock:
            self._release()
        self.destroy_node()

    def destroy_node(self) -> None:
        """Leaves the graph; rclpy alone keeps a managed node in it until its state machine is collected."""
        if self._has_left:
            return
        self._has_left = True
        super().destroy_node()
        self._state_machine.destroy_when_not_in_use()

    def abandon(self, spin: SpinThread) -> None:
        """Leaves the graph, if that can be, while other threads are at work on the node; the process must end now."""
        self._is_abandoned = True
        set_logger_level(self.get_logger().name, LoggingSeverity.FATAL)  # they may find what they use destroyed
        # rclpy uses the state machine when a transition's callback has returned. A configuration will not return.
        if self._is_configuring or not spin.is_spinning:
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
        return self._transition(self._shut_down)

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
                self._is_configuring = change == self._configure
                change()
            except AlikedError as error:
                self._failure = error
                self._release()
                self._reports.publish_status()
                if not self._is_in_start:  # else whoever called start() says so
                    self.get_logger().error(one_line(error))
                # A failed activation would leave an inactive node, which has to have a network.
                return TransitionCallbackReturn.FAILURE if change == self._configure else TransitionCallbackReturn.ERROR
            except Exception as error:  # noqa: BLE001  rclpy would swallow it without a word
                self._failure = error
                self.get_logger().error(f"transition failed\n{traceback.format_exc()}")
                return TransitionCallbackReturn.ERROR
            finally:
                self._is_configuring = False  # before the question, so that abandon() is not wrong about the answer
                if self._is_abandoned:
                    threading.Event().wait()
        self._reports.publish_status()
        return TransitionCallbackReturn.SUCCESS

    @property
    def _is_in_start(self) -> bool:
        return threading.get_ident() == self._starter

    def _configure(self) -> None:
        self._is_configured, self._failure = True, None
        self._reports.enter(Phase.LOADING)
        self._reports.publish_status()
        self.get_logger().debug("loading the network")
        builder = PipelineBuilder(self, self._settings, self._cameras, self._reports.monitors, self._frame_log)
        # Somebody else's request to configure keeps the executor's thread busy.
        is_executor_busy = not self._is_in_start
        with self._reports.going_on(lambda: self._is_abandoned) if is_executor_busy else nullcontext():
            loaded = builder.load()
        extractor = loaded.extractor
        for warning in self._reports.set_engine(extractor):
            self.get_logger().warning(warning)
        self._extractor = extractor
        self._pipeline, self._stereo = builder.build(
            loaded, lambda camera: self._reports.after_image(camera, extractor), self._next_numbers
        )
        self._load.watch(self._pipeline.flow)
        self._reports.enter(Phase.INACTIVE)

    def _activate(self) -> None:
        assert self._pipeline is not None
        assert self._extractor is not None
        self._is_active = True
        self._apply_parameters()
        self._take_images()
        if self._pipeline.is_subscribed:
            self.warn_of_unused_overrides()
        info = self._extractor.info
        self.get_logger().info(f"ready: {info.model} on {info.device}, {info.precision}, {info.backend}")

    def _deactivate(self) -> None:
        self._is_active = False
        self._take_images()
        self._frame_log.stop()
        self.get_logger().info("inactive: images are no longer taken")

    def _release(self) -> None:
        self._is_active = False
        self._load.watch(None)
        if self._pipeline is not None:
            self._pipeline.close()
            self._next_numbers = self._pipeline.next_numbers
        self._frame_log.stop()
        self._pipeline = self._extractor = self._stereo = None
        self._reports.set_engine(None)
        failure = self._failure
        self._reports.enter(Phase.UNCONFIGURED, "" if failure is None else one_line(failure) or type(failure).__name__)
        self._is_configured = False
        release_memory()  # what the network held, now and not some time later

    def _shut_down(self) -> None:
        self._release()
        self._reports.enter(Phase.SHUT_DOWN)

    def _take_images(self) -> None:
        """Subscribes or unsubscribes, as activation and ~/enable have it."""
        assert self._pipeline is not None
        if not (self._is_active and self._is_enabled):
            self._pipeline.unsubscribe()
        elif not self._pipeline.is_subscribed:
            # What was tracked before a pause is out of sight, or somewhere else.
            self._pipeline.for_each_frontend(lambda frontend: frontend.reset())
            self._pipeline.subscribe()
        if self._is_active:
            self._reports.enter(Phase.ACTIVE if self._is_enabled else Phase.DISABLED)
        else:
            self._reports.enter(Phase.INACTIVE)

    def _images_finding(self, camera: int) -> Finding:
        pipeline = self._pipeline
        return Finding() if pipeline is None else pipeline.images_finding(camera)

    def _stereo_finding(self) -> Finding:
        pipeline = self._pipeline
        return Finding() if pipeline is None else pipeline.stereo_finding()

    def _apply_parameters(self) -> None:
        """Has the worker take over every live parameter before its next image."""
        pipeline, stereo = self._pipeline, self._stereo
        if pipeline is None:
            return
        limits, config = self._load.limited()
        selection = self._settings.get(SelectionConfig)
        tracking, verification = self._settings.get(TrackingConfig), self._settings.get(VerificationConfig)

        def apply(frontend: Frontend) -> None:
            frontend.extractor.reconfigure(
                max_keypoints=limits.max_keypoints, score_threshold=limits.score_threshold, selection=selection
            )
            frontend.reconfigure(tracking, verification)
            if stereo is not None:
                stereo.config, stereo.verification = tracking, verification

        if self._is_active:
            self._frame_log.use(self._settings.get(LogConfig))
        pipeline.use(config)
        pipeline.for_each_frontend(apply)

    def _load_settings(self) -> tuple[OverloadConfig, ExtractorConfig, TrackerNodeConfig]:
        get = self._settings.get
        return get(OverloadConfig), get(ExtractorConfig), get(TrackerNodeConfig)

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
        if self._reports.phase is Phase.SHUT_DOWN:
            response.success, response.message = False, "the node is shut down and takes no images any more"
            return response
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
        self._reports.publish_status()
        return response


def _groups_of_cameras(node: Any) -> Any:
    names = node.get_parameter("cameras").value
    return camera_groups(names if isinstance(names, list) else ())


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the tracker until a signal ends it and returns the exit code."""
    return run(_main, arguments, Usage("tracker", SUMMARY, (*TRACKER_GROUPS, *camera_groups(()))))


def _main(stop: threading.Event) -> int:
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    node = TrackerNode()
    spin = SpinThread([node], stop)
    with exit_in_time(
        stop,
        code=lambda: int(spin.has_failed),
        leave=lambda: node.abandon(spin),
        is_worth_waiting=lambda: not node.is_configuring,
    ):
        try:
            with spin:
                if node.autostart and not stop.is_set():
                    node.start()
                stop.wait()
        finally:
            node.close()
    return 0


if __name__ == "__main__":
    end_process(main())
