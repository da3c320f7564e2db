# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The tracker node: images in; features, matches, tracks, status and diagnostics out."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from rclpy.node import Node
from std_srvs.srv import SetBool, Trigger

from aliked_ros.frontend.config import ExtractorConfig, TrackingConfig, VerificationConfig
from aliked_ros.io.messages.status_fields import TrackerState
from aliked_ros.ros.camera_stream import CameraStream
from aliked_ros.ros.monitor import Monitor
from aliked_ros.ros.node_config import TRACKER_GROUPS, TrackerNodeConfig
from aliked_ros.ros.parameters import NodeParameters
from aliked_ros.ros.process import SpinThread, run
from aliked_ros.ros.publishing import ResultPublisher
from aliked_ros.ros.reporting import Reporter, transport_warning

if TYPE_CHECKING:
    from aliked_ros.frontend.extractor import Extractor
    from aliked_ros.frontend.frontend import Frontend


class TrackerNode(Node):  # type: ignore[misc]  # rclpy may not be installed where types are checked
    """Runs the front-end on a camera's images.

    :meth:`configure` loads the network, :meth:`activate` starts to take images, :meth:`close` ends.

    Args:
        options: of rclpy's Node, such as ``parameter_overrides``.

    Raises:
        ConfigError: a parameter is unknown or out of range.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("tracker", **options)
        self._monitor = Monitor()
        self._stream: CameraStream | None = None
        self._extractor: Extractor | None = None
        self._settings = NodeParameters(self, TRACKER_GROUPS)
        self._settings.on_change(self._apply_parameters)
        self._reporter = Reporter(self, self._monitor)
        self._commands = [
            self.create_service(Trigger, "~/reset", self._on_reset),
            self.create_service(SetBool, "~/enable", self._on_enable),
        ]

    def configure(self) -> None:
        """Loads and verifies the network and runs it once.

        Raises:
            WeightsError: the weights are missing, corrupt or not the published ones.
            DeviceError: the device or precision is not available.
        """
        from aliked_ros.frontend.extractor import Extractor  # torch takes seconds, and signals come before
        from aliked_ros.frontend.frontend import Frontend

        self._reporter.publish_status()
        self.get_logger().debug("loading the network")
        extractor = Extractor.from_config(self._settings.get(ExtractorConfig))
        self._warm_up(extractor)
        frontend = Frontend(extractor, self._settings.get(TrackingConfig), self._settings.get(VerificationConfig))
        self._reporter.set_engine(extractor.info, self._warnings(extractor))
        self._reporter.publish_status()
        self._extractor = extractor
        self._stream = self._make_stream(extractor, frontend)

    def activate(self) -> None:
        """Starts to take images."""
        assert self._stream is not None, "configure() comes first"
        assert self._extractor is not None
        self._apply_parameters()
        self._stream.subscribe()
        self._monitor.set_state(TrackerState.IDLE)
        self._reporter.publish_status()
        info = self._extractor.info
        self.get_logger().info(f"ready: {info.model} on {info.device}, {info.precision}, {info.backend}")

    def close(self) -> None:
        """Finishes the image in hand, ends the threads and leaves the graph."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        self.destroy_node()

    def _make_stream(self, extractor: Extractor, frontend: Frontend) -> CameraStream:
        config = self._settings.get(TrackerNodeConfig)
        results = ResultPublisher(self, config.source_id, extractor.info)
        return CameraStream(self, config, frontend, self._monitor, results, self._reporter.publish_status)

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

    def _apply_parameters(self) -> None:
        """Has the worker take over every live parameter before its next image."""
        if self._stream is None:
            return
        limits = self._settings.get(ExtractorConfig)
        tracking, verification = self._settings.get(TrackingConfig), self._settings.get(VerificationConfig)

        def apply(frontend: Frontend) -> None:
            frontend.extractor.reconfigure(max_keypoints=limits.max_keypoints, score_threshold=limits.score_threshold)
            frontend.reconfigure(tracking, verification)

        self._stream.use(self._settings.get(TrackerNodeConfig))
        self._stream.before_next_image(apply)

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:  # noqa: ARG002
        if self._stream is None:
            response.success, response.message = False, "not ready yet"
            return response
        self._stream.before_next_image(lambda frontend: frontend.reset())
        response.success, response.message = True, "the next image starts a new epoch"
        return response

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        if self._stream is None:
            response.success, response.message = False, "not ready yet"
            return response
        response.success = True
        if request.data == self._stream.is_subscribed:
            response.message = "as it was"
        elif request.data:
            # What was tracked before the pause is out of sight, or somewhere else.
            self._stream.before_next_image(lambda frontend: frontend.reset())
            self._stream.subscribe()
            self._monitor.set_state(TrackerState.IDLE)
            response.message = "images are taken; the next one starts a new epoch"
        else:
            self._stream.unsubscribe()
            self._monitor.set_state(TrackerState.DISABLED)
            response.message = "images are no longer taken"
        self._reporter.publish_status()
        return response


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the tracker until a signal ends it and returns the exit code."""
    return run(_main, arguments)


def _main(stop: threading.Event) -> int:
    node = TrackerNode()
    try:
        with SpinThread([node], stop):
            node.configure()
            if not stop.is_set():
                node.activate()
                stop.wait()
    finally:
        node.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
