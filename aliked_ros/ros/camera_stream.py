# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""One camera's way through the node: from its topics to the front-end and on to the publishers."""

from __future__ import annotations

import queue
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from aliked_ros.errors import AlikedError
from aliked_ros.io.messages.descriptors import DescriptorDtype
from aliked_ros.ros import qos
from aliked_ros.ros.conversions import ns_from_time
from aliked_ros.ros.debug_view import DebugView
from aliked_ros.ros.image_conversions import camera_from_info, compressed_image_view, image_view
from aliked_ros.ros.mailbox import Mailbox, Worker
from aliked_ros.ros.monitor import LastImage, Monitor
from aliked_ros.ros.node_config import TrackerNodeConfig
from aliked_ros.ros.process import one_line
from aliked_ros.ros.publishing import ResultPublisher
from aliked_ros.ros.throttle import ThrottledLog

if TYPE_CHECKING:
    from aliked_ros.frontend.frontend import FrameResult, Frontend


@dataclass(frozen=True, eq=False)
class _Arrival:
    message: Any  # Image or CompressedImage
    received_at_s: float  # time.monotonic


class CameraStream:
    """Takes a camera's images, has them processed by one thread, and publishes the results.

    The executor's thread only stores messages. All else happens in the worker's thread, which alone uses the
    front-end: whatever changes it is handed over as a command and done before the next image.

    Args:
        node: subscribes and publishes.
        config: how images are taken.
        frontend: belongs to the worker from now on.
        monitor: counts.
        results: publishes what was found.
        after_image: is called by the worker after each image.
    """

    def __init__(
        self,
        node: Node,
        config: TrackerNodeConfig,
        frontend: Frontend,
        monitor: Monitor,
        results: ResultPublisher,
        after_image: Callable[[], None],
    ) -> None:
        self._node = node
        self._config = config
        self._frontend = frontend
        self._monitor = monitor
        self._results = results
        self._after_image = after_image
        self._log = node.get_logger()
        self._log_refusal = ThrottledLog(self._log.error)
        self._log_calibration = ThrottledLog(self._log.error)  # the executor's; the others are the worker's
        self._log_failure = ThrottledLog(self._log.error)
        self._failures_told: set[str] = set()
        self._subscriptions: list[Any] = []
        self._last_calibration: tuple[Any, ...] = ()
        self._last_result: FrameResult | None = None
        self._commands: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._debug_view = DebugView(node, config.trail_length)
        self._mailbox: Mailbox[_Arrival] = Mailbox(config.queue_size if config.process_every_frame else 1)
        self._worker = Worker("tracker", self._mailbox, self._handle)
        self._worker.start()

    @property
    def is_subscribed(self) -> bool:
        """Whether images are taken."""
        return bool(self._subscriptions)

    def subscribe(self) -> None:
        """Starts to take images and calibrations; does nothing when it does already."""
        if self._subscriptions:
            return
        config = self._config
        profile = qos.every_image(config.queue_size) if config.process_every_frame else qos.newest_image()
        # Remapping applies to the base name, as with image_transport.
        topic, kind = self._node.resolve_topic_name("image"), Image
        if config.image_transport == "compressed":
            topic, kind = f"{topic}/compressed", CompressedImage
        self._subscriptions = [
            self._node.create_subscription(
                kind, topic, self._on_image, profile, qos_overriding_options=qos.overridable()
            ),
            self._node.create_subscription(CameraInfo, "camera_info", self._on_camera_info, qos.camera_info()),
        ]

    def unsubscribe(self) -> None:
        """Takes no more images and drops those that wait."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions = []
        self._monitor.dropped(self._mailbox.clear())

    def before_next_image(self, command: Callable[[Frontend], None]) -> None:
        """Has the worker do something to the front-end before it takes the next image."""
        self._commands.put(lambda: command(self._frontend))

    def use(self, config: TrackerNodeConfig) -> None:
        """Other live settings from the next image on."""
        self._config = config

    def close(self) -> None:
        """Finishes the image in hand and ends the threads."""
        self.unsubscribe()
        self._monitor.dropped(self._mailbox.close())
        self._worker.join()
        self._debug_view.close()

    def _on_image(self, message: Any) -> None:
        self._monitor.received()
        dropped = self._mailbox.put(_Arrival(message, time.monotonic()))
        if dropped:
            self._monitor.dropped(dropped)

    def _on_camera_info(self, message: CameraInfo) -> None:
        calibration = _values_of(message)
        if calibration == self._last_calibration:
            return
        self._last_calibration = calibration
        try:
            camera = camera_from_info(message)
        except AlikedError as error:
            self._monitor.calibration_refused(one_line(error))
            self._log_calibration(f"camera_info refused, the calibration stays as it was: {one_line(error)}")
            return
        self._monitor.calibration_accepted()
        self._log.info(f"calibrated: {camera.distortion_model}, fx {camera.fx:.1f}, fy {camera.fy:.1f}")
        self.before_next_image(lambda frontend: frontend.set_camera(camera))

    def _handle(self, arrival: _Arrival) -> None:
        """Processes an image; whatever is wrong with it, the next one gets its turn."""
        try:
            self._run_commands()
            self._process(arrival)
        except AlikedError as error:
            self._monitor.refused(one_line(error))
            self._log_refusal(f"image refused: {one_line(error)}")
        except Exception as error:  # noqa: BLE001  a node on a robot outlives what it did not foresee
            self._fail(error)
        self._after_image()

    def _run_commands(self) -> None:
        while not self._commands.empty():
            self._commands.get()()

    def _process(self, arrival: _Arrival) -> None:
        header = arrival.message.header
        convert = compressed_image_view if isinstance(arrival.message, CompressedImage) else image_view
        started_at_s = time.monotonic()
        image = convert(arrival.message)
        convert_ms = 1e3 * (time.monotonic() - started_at_s)
        result = self._frontend(image, ns_from_time(header.stamp))
        self._tell_epoch(result)
        found_at_s = time.monotonic()
        self._results.publish(result, header, DescriptorDtype[self._config.descriptor_dtype.upper()])
        published_at_s = time.monotonic()
        latency_ms = 1e3 * (published_at_s - arrival.received_at_s)
        publish_ms = 1e3 * (published_at_s - found_at_s)
        self._monitor.processed(LastImage.of(result, header.frame_id, convert_ms, latency_ms, publish_ms))
        self._debug_view.offer(image, result, header, latency_ms)

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
        self._log.warning(f"tracks start anew in epoch {result.epoch}: {reason}")

    def _fail(self, error: Exception) -> None:
        text = f"{type(error).__name__}: {one_line(error)}"
        self._monitor.refused(text, failed=True)
        if type(error).__name__ not in self._failures_told:
            self._failures_told.add(type(error).__name__)
            self._log.error(f"image could not be processed\n{traceback.format_exc()}")
        else:
            self._log_failure(f"image could not be processed: {text}")


def _size(result: FrameResult) -> str:
    return f"{result.features.image_width}×{result.features.image_height}"


def _values_of(info: CameraInfo) -> tuple[Any, ...]:
    """What a calibration depends on, comparable even where it is NaN."""
    roi = info.roi
    return (
        info.width,
        info.height,
        info.distortion_model,
        info.k.tobytes(),
        info.d.tobytes(),
        info.binning_x,
        info.binning_y,
        (roi.x_offset, roi.y_offset, roi.width, roi.height),
    )
