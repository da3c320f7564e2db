# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""One camera's way through the node: from its topics to the front-end and on to the publishers."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from aliked_ros.errors import AlikedError, DeviceError
from aliked_ros.io.messages.descriptors import DescriptorDtype
from aliked_ros.io.messages.stamps import join_stamp
from aliked_ros.io.messages.status_fields import TrackerStatus
from aliked_ros.ros import qos
from aliked_ros.ros.camera_watch import CameraWatch
from aliked_ros.ros.conversions import ns_from_time
from aliked_ros.ros.debug_view import DebugView
from aliked_ros.ros.finding import Finding
from aliked_ros.ros.frame_log import FrameLog
from aliked_ros.ros.image_conversions import calibration_values, camera_from_info
from aliked_ros.ros.intake import Arrival, Intake
from aliked_ros.ros.log_files import FrameEntry
from aliked_ros.ros.monitor import LastImage, Monitor
from aliked_ros.ros.node_config import CameraConfig, TrackerNodeConfig
from aliked_ros.ros.prepared_image import PreparedImage, prepare
from aliked_ros.ros.process import one_line
from aliked_ros.ros.publishing import ResultPublisher
from aliked_ros.ros.throttle import ThrottledLog

if TYPE_CHECKING:
    from aliked_ros.features import Features
    from aliked_ros.frontend.frontend import FrameResult, Frontend

_T = TypeVar("_T")


@dataclass(frozen=True)
class CameraName:
    """A camera of the node.

    Attributes:
        index: its number in the intake.
        name: its name; empty for the only one of a node.
    """

    index: int = 0
    name: str = ""

    def input(self, topic: str) -> str:
        """The topic of this camera that the node subscribes to."""
        return f"{self.name}/{topic}" if self.name else topic

    @property
    def output(self) -> str:
        """What this camera's results are published below."""
        return f"~/{self.name}" if self.name else "~"


class CameraStream:
    """Takes a camera's images, has its front-end process them, and publishes the results.

    :meth:`subscribe`, :meth:`unsubscribe` and the callbacks belong to the executor's thread and only store messages;
    :meth:`process` belongs to the thread that owns the front-end.

    Args:
        node: subscribes and publishes.
        camera: which one of the node's.
        config: how images are taken.
        settings: what was said of this camera.
        frontend: has the calibration that the settings name; belongs to the caller of :meth:`process` from now on.
        monitor: counts.
        results: publishes what was found.
        intake: gets the images.
        before_next_image: has something done to the front-end by the thread that owns it.
        frame_log: gets what was found; ``None`` for none.
    """

    def __init__(
        self,
        node: Node,
        camera: CameraName,
        config: TrackerNodeConfig,
        settings: CameraConfig,
        frontend: Frontend,
        monitor: Monitor,
        results: ResultPublisher,
        intake: Intake,
        before_next_image: Callable[[Callable[[], None]], None],
        frame_log: FrameLog | None = None,
    ) -> None:
        self._node = node
        self._camera = camera
        self._config = config
        self._settings = settings
        self.frontend = frontend
        self.monitor = monitor
        self.results = results
        self._intake = intake
        self._before_next_image = before_next_image
        self._frame_log = frame_log
        # Remapping applies to the base name, as with image_transport.
        topic = node.resolve_topic_name(camera.input("image"))
        self._image_topic = f"{topic}/compressed" if config.image_transport == "compressed" else topic
        depth_topic = node.resolve_topic_name(camera.input("depth"))
        self._watch = CameraWatch(node, self._image_topic, depth_topic, config, monitor)
        self._topics = {**results.topics, "status": node.resolve_topic_name(f"{camera.output}/status")}
        self._log = node.get_logger()
        self._log_refusal = ThrottledLog(self._log.error)
        self._log_depth = ThrottledLog(self._log.error)
        self._log_calibration = ThrottledLog(self._log.error)  # the executor's; the others are the worker's
        self._log_failure = ThrottledLog(self._log.error)
        # Call sites of their own: rclpy refuses one that logs with several severities.
        self._log_calibrated = ThrottledLog(lambda line: self._log.info(line))  # the executor's
        self._log_epoch = ThrottledLog(lambda line: self._log.warning(line))
        self._failures_told: set[str] = set()
        self._subscriptions: list[Any] = []
        self._last_calibration: tuple[Any, ...] = ()
        self._last_result: FrameResult | None = None
        self._debug_view = DebugView(node, config.trail_length, camera.output)

    def finding(self) -> Finding:
        """What is to be said of the inputs, for /diagnostics; in the executor's thread."""
        return self._watch.finding(self.frontend.camera, self._settings.calibration or "camera_info")

    @property
    def is_subscribed(self) -> bool:
        """Whether images are taken."""
        return bool(self._subscriptions)

    def subscribe(self) -> None:
        """Starts to take images, depth and calibrations; does nothing when it does already."""
        if self._subscriptions:
            return
        config = self._config
        kind = CompressedImage if config.image_transport == "compressed" else Image
        self._subscriptions = [self._subscription(kind, self._image_topic, self._on_image, self._image_profile())]
        if config.depth:
            depth = self._camera.input("depth")
            self._subscriptions.append(self._subscription(Image, depth, self._on_depth, self._image_profile()))
        if not self._settings.calibration:
            info = self._camera.input("camera_info")
            self._subscriptions.append(self._subscription(CameraInfo, info, self._on_camera_info, qos.camera_info()))

    def unsubscribe(self) -> None:
        """Takes no more images."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions = []

    def use(self, config: TrackerNodeConfig) -> None:
        """Other live settings from the next image on."""
        self._config = config
        self._watch.use(config)
        self._debug_view.use(config.trail_length)

    def close(self) -> None:
        """Ends the threads and topics; nothing may be in process."""
        self.unsubscribe()
        self._debug_view.close()
        self.results.close()

    def prepare(self, arrival: Arrival) -> PreparedImage | None:
        """An image that :meth:`process` takes; ``None`` for one that was refused."""
        return self._attempt(lambda: self._prepare(arrival))

    def process(self, prepared: PreparedImage, features: Features | None = None) -> FrameResult | None:
        """What was found in an image, which has been published; ``None`` for an image that was refused.

        Args:
            prepared: the image.
            features: what was extracted for the front-end's request; by default they are extracted now.
        """
        return self._attempt(lambda: self._process(prepared, features))

    def _attempt(self, call: Callable[[], _T]) -> _T | None:
        """What the call returns; an image that it fails for is counted and told of."""
        try:
            return call()
        except DeviceError as error:  # no fault of the image's
            self.monitor.refused(one_line(error), failed=True)
            self._log_failure(f"image could not be processed: {one_line(error)}")
        except AlikedError as error:
            self.monitor.refused(one_line(error))
            self._log_refusal(f"image refused: {one_line(error)}")
        except Exception as error:  # noqa: BLE001  a node on a robot outlives what it did not foresee
            self._fail(error)
        return None

    def _image_profile(self) -> Any:
        config = self._config
        return qos.every_image(config.queue_size) if config.process_every_frame else qos.newest_image()

    def _subscription(self, kind: Any, topic: str, callback: Callable[[Any], None], profile: Any) -> Any:
        return self._node.create_subscription(kind, topic, callback, profile, qos_overriding_options=qos.overridable())

    def _on_image(self, message: Any) -> None:
        self.monitor.received()
        self._watch.image_came(len(message.data))
        # The stamp as it came, to order images by; whether it is valid is judged where the image is processed.
        self._intake.put(self._camera.index, message, join_stamp(message.header.stamp))

    def _on_depth(self, message: Image) -> None:
        self.monitor.depth_received()
        self._intake.put_depth(self._camera.index, message, join_stamp(message.header.stamp))

    def _on_camera_info(self, message: CameraInfo) -> None:
        calibration = calibration_values(message)
        if calibration == self._last_calibration:
            return
        self._last_calibration = calibration
        try:
            camera = camera_from_info(message, rectified=self._settings.rectified)
        except Exception as error:  # noqa: BLE001  whatever comes, it must not end the executor
            reason = one_line(error) if isinstance(error, AlikedError) else f"{type(error).__name__}: {one_line(error)}"
            self.monitor.calibration_refused(reason)
            self._log_calibration(f"camera_info refused, the calibration stays as it was: {reason}")
            return
        self.monitor.calibration_accepted()
        self._log_calibrated(f"calibrated: {camera.distortion_model}, fx {camera.fx:.1f}, fy {camera.fy:.1f}")
        self._before_next_image(lambda: self.frontend.set_camera(camera))

    def _prepare(self, arrival: Arrival) -> PreparedImage:
        return prepare(arrival, with_depth=self._config.depth, tell=self._log_depth)

    def _process(self, prepared: PreparedImage, features: Features | None) -> FrameResult:
        header = prepared.header
        result = self.frontend(prepared.image, ns_from_time(header.stamp), prepared.depth_m, features)
        self._tell_epoch(result)
        self._watch.image_processed(result)
        found_at_s = time.monotonic()
        dtype = DescriptorDtype[self._config.descriptor_dtype.upper()]
        self.results.publish(result, header, dtype)
        published_at_s = time.monotonic()
        latency_ms = 1e3 * (published_at_s - prepared.received_at_s)
        publish_ms = 1e3 * (published_at_s - found_at_s)
        self.monitor.processed(
            LastImage.of(
                result,
                header.frame_id,
                wait_ms=prepared.wait_ms,
                convert_ms=prepared.convert_ms,
                latency_ms=latency_ms,
                publish_ms=publish_ms,
            ),
            lacks_depth=self._config.depth and prepared.depth_m is None,
            lacks_partner=prepared.is_unpaired,
        )
        if self._frame_log is not None:
            self._frame_log.offer(lambda: self._log_entry(result, header, dtype, prepared.wait_ms))
        self._debug_view.offer(prepared.image, result, header, lambda: self._caption(latency_ms))
        return result

    def _status(self) -> TrackerStatus:
        info = self.frontend.extractor.info
        return self.monitor.status(device=info.device, backend=info.backend, precision=info.precision, model=info.model)

    def _caption(self, latency_ms: float) -> tuple[str, ...]:
        status = self._status()
        rate = (f"{self.monitor.rate_hz:.1f} Hz",) if math.isfinite(self.monitor.rate_hz) else ()
        state = status.state.name.lower()
        return (f"{latency_ms:.0f} ms", *rate, f"{status.dropped} dropped", state, f"{status.model} on {status.device}")

    def _log_entry(self, result: FrameResult, header: Header, dtype: DescriptorDtype, wait_ms: float) -> FrameEntry:
        meta = self.results.meta(result, header)
        return FrameEntry(time.time_ns(), self._topics, result, meta, dtype, self._status(), wait_ms)

    def _tell_epoch(self, result: FrameResult) -> None:
        before, self._last_result = self._last_result, result
        if before is None or before.epoch == result.epoch:
            return
        size, old_size = _size(result), _size(before)
        if size != old_size:
            reason = f"the image size changed from {old_size} to {size}"
        elif result.stamp_ns < before.stamp_ns:
            reason = f"time jumped back by {(before.stamp_ns - result.stamp_ns) / 1e9:.3f} s"
        else:
            reason = "reset"
        camera = f"{self._camera.name}: " if self._camera.name else ""
        self._log_epoch(f"{camera}tracks start anew in epoch {result.epoch}: {reason}")

    def _fail(self, error: Exception) -> None:
        text = f"{type(error).__name__}: {one_line(error)}"
        self.monitor.refused(text, failed=True)
        if type(error).__name__ not in self._failures_told:
            self._failures_told.add(type(error).__name__)
            self._log.error(f"image could not be processed\n{traceback.format_exc()}")
        else:
            self._log_failure(f"image could not be processed: {text}")


def _size(result: FrameResult) -> str:
    return f"{result.features.image_width}×{result.features.image_height}"
