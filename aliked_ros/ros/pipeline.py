# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""All cameras of a node and the one thread that processes their images."""

from __future__ import annotations

import functools
import logging
import queue
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from aliked_ros.errors import AlikedError
from aliked_ros.ros.finding import Finding
from aliked_ros.ros.intake import Arrival, Intake, IntakeSettings
from aliked_ros.ros.mailbox import Worker
from aliked_ros.ros.node_config import TrackerNodeConfig
from aliked_ros.ros.overload import Flow
from aliked_ros.ros.process import one_line
from aliked_ros.ros.throttle import ThrottledLog

if TYPE_CHECKING:
    from aliked_ros.features import Features
    from aliked_ros.frontend.frontend import FrameNumber, Frontend
    from aliked_ros.ros.camera_stream import CameraStream
    from aliked_ros.ros.prepared_image import PreparedImage
    from aliked_ros.ros.stereo import Found, StereoMatcher

_NS = 1_000_000_000
_JOINED_CAPACITY = 3  # images that wait for another camera's or for depth, and newer ones
_logger = logging.getLogger(__name__)
Command = Callable[[], None]


class Pipeline:
    """Has the images of all cameras processed by one thread, which alone uses the front-ends.

    Whatever changes a front-end is handed over as a command and done before the next images.

    Args:
        intake: where the images wait.
        after_image: is called with a camera's number after each of its images.
    """

    def __init__(self, intake: Intake, after_image: Callable[[int], None]) -> None:
        self._intake = intake
        self._after_image = after_image
        self._streams: list[CameraStream] = []
        self._stereo: StereoMatcher | None = None
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._work = Flow()  # of the worker; replaced as a whole, so that other threads see it of one moment
        self._stereo_failures = 0
        self._stereo_error = ""  # of the last moment; empty when it had none
        self._log_stereo = ThrottledLog(lambda line: _logger.error(line))
        self._worker = Worker("tracker", intake, self._handle)

    def start(self, streams: Sequence[CameraStream], stereo: StereoMatcher | None = None) -> None:
        """Begins to process; the cameras in the order of their numbers, and what matches simultaneous images."""
        self._streams = list(streams)
        self._stereo = stereo
        self._worker.start()

    def flow(self) -> Flow:
        """What became of all images until now."""
        intake, work = self._intake.flow, self._work
        return replace(intake, handled=work.handled, busy_s=work.busy_s, latency_s=work.latency_s)

    def images_finding(self, camera: int) -> Finding:
        """Where a camera's images come from, and whether they do, for /diagnostics."""
        return self._streams[camera].finding()

    def stereo_finding(self) -> Finding:
        """How the matches between cameras are doing, for /diagnostics."""
        if self._stereo is None:
            return Finding()
        error = self._stereo_error
        values = {"stereo_failures": str(self._stereo_failures)}
        return Finding(values, f"matches between cameras fail: {error}" if error else "")

    @property
    def is_subscribed(self) -> bool:
        """Whether images are taken."""
        return any(stream.is_subscribed for stream in self._streams)

    @property
    def next_numbers(self) -> list[FrameNumber]:
        """The first of each camera that have not been used; once the pipeline is closed."""
        return [stream.frontend.next_number for stream in self._streams]

    def subscribe(self) -> None:
        """Starts to take images of all cameras."""
        for stream in self._streams:
            stream.subscribe()

    def unsubscribe(self) -> None:
        """Takes no more images and drops those that wait."""
        for stream in self._streams:
            stream.unsubscribe()
        self._intake.clear()

    def before_next_image(self, command: Command) -> None:
        """Has the worker do something before it takes the next images.

        At once where it waits: without images, calibrations and resets would pile up.
        """
        self._commands.put(command)
        self._intake.wake()

    def for_each_frontend(self, command: Callable[[Frontend], None]) -> None:
        """Has the worker do something to every camera's front-end before it takes the next images."""
        for stream in self._streams:
            self.before_next_image(functools.partial(command, stream.frontend))

    def use(self, config: TrackerNodeConfig) -> None:
        """Other live settings from the next images on."""
        self._intake.use(intake_settings(config))
        for stream in self._streams:
            stream.use(config)

    def close(self) -> None:
        """Finishes the images in hand and ends the threads and topics."""
        for stream in self._streams:
            stream.unsubscribe()
        self._intake.close()
        self._worker.join()
        for stream in self._streams:
            stream.close()
        if self._stereo is not None:
            self._stereo.close()

    def _handle(self, batch: list[Arrival]) -> None:
        """Processes simultaneous images; whatever is wrong with one, the others and the next get their turn."""
        started_at_s = time.monotonic()
        try:
            self._run_commands()
            found = []
            for camera, prepared, features in self._extracted(batch):
                stream = self._streams[camera]
                result = None if prepared is None else stream.process(prepared, features)
                self._after_image(camera)
                if result is not None and prepared is not None:
                    found.append((stream.results, result, prepared.header))
            self._match_cameras(found)
        finally:
            now, work = time.monotonic(), self._work
            self._work = Flow(
                handled=work.handled + len(batch),
                busy_s=work.busy_s + now - started_at_s,
                latency_s=work.latency_s + sum(now - arrival.received_at_s for arrival in batch),
            )

    def _extracted(self, batch: Sequence[Arrival]) -> Iterator[tuple[int, PreparedImage | None, Features | None]]:
        """By camera: the image, unless it was refused, and its features where they were extracted together."""
        extractor = self._streams[0].frontend.extractor  # all cameras' own
        prepared = ((arrival.camera, self._streams[arrival.camera].prepare(arrival)) for arrival in batch)
        if len(batch) == 1 or not extractor.info.gains_from_batches:
            for camera, image in prepared:  # each is done with before the next is converted
                yield camera, image, None
            return
        images = dict(prepared)
        features: dict[int, Features] = {}
        try:
            requests = {
                camera: self._streams[camera].frontend.request(image.image)
                for camera, image in images.items()
                if image is not None
            }
            features = dict(zip(requests, extractor.extract_batch(list(requests.values())), strict=True))
        except Exception as error:  # noqa: BLE001  what is wrong with one image tells itself when it is alone
            _logger.debug("simultaneous images are processed one after another: %s", error)
        for camera, image in images.items():
            yield camera, image, features.get(camera)

    def _match_cameras(self, found: Sequence[Found]) -> None:
        """Matches simultaneous images; they are published already, whatever becomes of this."""
        if self._stereo is None:
            return
        try:
            self._stereo.publish(found)
        except Exception as error:  # noqa: BLE001  a node on a robot outlives what it did not foresee
            is_foreseen = isinstance(error, AlikedError)
            self._stereo_error = one_line(error) if is_foreseen else f"{type(error).__name__}: {one_line(error)}"
            trace = "" if is_foreseen or self._stereo_failures else f"\n{traceback.format_exc()}"  # once
            self._stereo_failures += 1
            self._log_stereo(f"matches between cameras failed: {self._stereo_error}{trace}")
        else:
            self._stereo_error = ""

    def _run_commands(self) -> None:
        while not self._commands.empty():
            try:
                self._commands.get()()
            except Exception:  # noqa: PERF203  commands are few; the images behind one must not be lost with it
                _logger.exception("a change could not be made")


def intake_settings(config: TrackerNodeConfig) -> IntakeSettings:
    """How a node so configured chooses images."""
    newest = 1 if len(config.camera_names) == 1 and not config.depth else _JOINED_CAPACITY
    return IntakeSettings(
        in_order=config.process_every_frame,
        capacity=config.queue_size if config.process_every_frame else newest,
        sync_slop_ns=round(config.sync_slop * _NS),
        sync_timeout_s=config.sync_timeout,
        depth=config.depth,
        depth_slop_ns=round(config.depth_slop * _NS),
        depth_timeout_s=config.depth_timeout,
        max_rate_hz=config.max_rate,
    )
