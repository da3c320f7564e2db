# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The thread of all cameras: what fails between them is told once in a while, counted, and costs no image."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any, cast

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from node_harness import wait_until

from aliked_ros.errors import DeviceMemoryError
from aliked_ros.ros.intake import Intake, IntakeSettings
from aliked_ros.ros.pipeline import Pipeline


class Together:
    """An extractor; each image's features are its request."""

    def __init__(self, *, gains: bool) -> None:
        self.info = SimpleNamespace(gains_from_batches=gains)
        self.batches: list[list[Any]] = []
        self.error: Exception | None = None

    def extract_batch(self, requests: list[Any]) -> list[Any]:
        self.batches.append(requests)
        if self.error is not None:
            raise self.error
        return list(requests)


class Stream:
    """A camera whose images all have a result, unless their message is nothing."""

    results = None

    def __init__(self, extractor: Together | None = None) -> None:
        self.frontend = SimpleNamespace(extractor=extractor or Together(gains=False), request=lambda image: image)
        self.processed: list[tuple[Any, Any]] = []

    def prepare(self, arrival: Any) -> Any:
        if arrival.message is None:
            return None
        return SimpleNamespace(header=arrival.message.header, image=(arrival.camera, arrival.stamp_ns))

    def process(self, prepared: Any, features: Any = None) -> Any:
        self.processed.append((prepared.image, features))
        return prepared.image

    def unsubscribe(self) -> None:
        pass

    close = unsubscribe


class Stereo:
    """What matches, as long as nothing is to be raised."""

    error: Exception | None = None

    def publish(self, found: Any) -> None:
        assert len(found) == 2
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("error", "text", "tracebacks"),
    [
        (RuntimeError("CUDA error: device lost"), "RuntimeError: CUDA error: device lost", 1),
        (DeviceMemoryError("no memory is left"), "no memory is left", 0),
    ],
    ids=["unforeseen", "foreseen"],
)
def test_matches_between_cameras_may_fail(
    caplog: pytest.LogCaptureFixture, error: Exception, text: str, tracebacks: int
) -> None:
    intake = Intake(2, IntakeSettings(in_order=True, capacity=100, sync_timeout_s=60.0), lambda *_: None)
    pipeline, stereo = Pipeline(intake, lambda _: None), Stereo()
    message, stamp_ns = SimpleNamespace(header=None), 0

    def send(moments: int) -> None:
        nonlocal stamp_ns
        for _ in range(moments):
            before, stamp_ns = pipeline.flow().handled, stamp_ns + 1
            intake.put(0, message, stamp_ns)
            intake.put(1, message, stamp_ns)
            wait_until(lambda before=before: pipeline.flow().handled == before + 2, "both images")

    intake.put(1, message, stamp_ns)  # both cameras are alive, so that each waits for the other
    intake.put(0, message, stamp_ns)
    pipeline.start(cast("Any", [Stream(), Stream()]), cast("Any", stereo))
    try:
        wait_until(lambda: pipeline.flow().handled == 2, "the first moment")
        stereo.error = error
        send(20)
        finding = pipeline.stereo_finding()
        assert finding.values == {"stereo_failures": "20"}
        assert finding.warning == f"matches between cameras fail: {text}"
        assert pipeline.flow().busy_s > 0
        errors = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
        assert 1 <= len(errors) < 10
        assert errors[0].startswith(f"matches between cameras failed: {text}")
        assert sum("Traceback" in line for line in errors) == tracebacks
        stereo.error = None
        send(1)
        assert pipeline.stereo_finding().warning == ""
    finally:
        pipeline.close()


def test_one_camera_has_nothing_to_tell_of_matches() -> None:
    assert not Pipeline(Intake(1, IntakeSettings(), lambda *_: None), lambda _: None).stereo_finding().values


MESSAGE = SimpleNamespace(header=None)


class TwoCameras:
    """A pipeline whose cameras share an extractor."""

    def __init__(self, *, gains: bool) -> None:
        self.intake = Intake(2, IntakeSettings(in_order=True, capacity=100, sync_timeout_s=60.0), lambda *_: None)
        self.extractor, self.done = Together(gains=gains), list[int]()
        self.streams = [Stream(self.extractor), Stream(self.extractor)]
        self.pipeline = Pipeline(self.intake, self.done.append)

    def run(self, *moments: tuple[Any, Any]) -> None:
        """Sends two messages each moment and waits until they have been dealt with."""
        for stamp_ns, (left, right) in enumerate(moments):
            self.intake.put(1, right, stamp_ns)
            self.intake.put(0, left, stamp_ns)
        self.pipeline.start(cast("Any", self.streams))
        wait_until(lambda: self.pipeline.flow().handled == 2 * len(moments), "all images")
        self.pipeline.close()


def test_simultaneous_images_are_extracted_together_where_that_pays() -> None:
    cameras = TwoCameras(gains=True)
    cameras.run((MESSAGE, MESSAGE), (MESSAGE, None), (MESSAGE, MESSAGE))
    assert cameras.extractor.batches == [[(0, 0), (1, 0)], [(0, 1)], [(0, 2), (1, 2)]]
    assert cameras.streams[0].processed == [((0, stamp), (0, stamp)) for stamp in range(3)]
    assert cameras.streams[1].processed == [((1, stamp), (1, stamp)) for stamp in (0, 2)]
    assert sorted(cameras.done) == [0, 0, 0, 1, 1, 1], "also after the image that was refused"


def test_an_engine_that_gains_nothing_gets_one_image_after_another() -> None:
    cameras = TwoCameras(gains=False)
    cameras.run((MESSAGE, MESSAGE))
    assert cameras.extractor.batches == []
    assert [stream.processed for stream in cameras.streams] == [[((camera, 0), None)] for camera in (0, 1)]


def test_images_that_fail_together_have_their_turn_alone() -> None:
    cameras = TwoCameras(gains=True)
    cameras.extractor.error = RuntimeError("no")
    cameras.run((MESSAGE, MESSAGE))
    assert [stream.processed for stream in cameras.streams] == [[((camera, 0), None)] for camera in (0, 1)]
