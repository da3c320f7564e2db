# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the tracker's threads do when the unforeseen happens, and what they leave undone when nobody looks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from node_harness import PERIOD_NS, START_NS, Station, wait_until
from sensor_msgs.msg import CameraInfo, Image

from aliked_ros import Extractor, Frontend
from aliked_ros.camera import TUM_CAMERAS
from aliked_ros.io.messages.status_fields import TrackerState
from aliked_ros.ros import camera_stream, debug_view
from aliked_ros.ros.camera_stream import CameraName, CameraStream
from aliked_ros.ros.conversions import header_of
from aliked_ros.ros.debug_view import DebugView
from aliked_ros.ros.image_conversions import image_message, info_from_camera
from aliked_ros.ros.intake import Intake
from aliked_ros.ros.monitor import Counts, Monitor
from aliked_ros.ros.node_config import CameraConfig, TrackerNodeConfig
from aliked_ros.ros.phase import Phase
from aliked_ros.ros.pipeline import Pipeline, intake_settings
from aliked_ros.ros.publishing import ResultPublisher

pytestmark = pytest.mark.ros


@pytest.fixture
def station() -> Iterator[Station]:
    station = Station()
    yield station
    station.close()


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    return Extractor.from_pretrained("aliked-t16", device="cpu", precision="fp32", max_keypoints=100)


class FailingFrontend(Frontend):
    """A front-end whose device is lost for its first images."""

    failures = 5

    def __call__(self, *args: Any, **options: Any) -> Any:
        if self.failures:
            self.failures -= 1
            raise RuntimeError("CUDA error: device lost")
        return super().__call__(*args, **options)


def started(
    station: Station, frontend: Frontend, monitor: Monitor, after_image: Callable[[int], None] = lambda _: None
) -> Pipeline:
    """A pipeline of one camera that takes every image."""
    config = TrackerNodeConfig(process_every_frame=True)
    intake = Intake(1, intake_settings(config), lambda _, count: monitor.dropped(count))
    pipeline = Pipeline(intake, after_image)
    results = ResultPublisher(station.node, "camera", frontend.extractor.info)
    stream = CameraStream(
        station.node,
        CameraName(),
        config,
        CameraConfig(),
        frontend,
        monitor,
        results,
        intake,
        pipeline.before_next_image,
    )
    pipeline.start([stream])
    pipeline.subscribe()
    return pipeline


def test_the_unforeseen_is_told_once_and_survived(
    station: Station, extractor: Extractor, textured_image: np.ndarray, capfd: pytest.CaptureFixture[str]
) -> None:
    monitor = Monitor()
    monitor.enter(Phase.ACTIVE)
    states: list[TrackerState] = []

    def after_image(_: int) -> None:
        states.append(monitor.status(device="", backend="", precision="", model="").state)

    pipeline = started(station, FailingFrontend(extractor), monitor, after_image)
    images = station.publisher(Image, "image")
    wait_until(lambda: images.get_subscription_count() > 0, "the stream's subscription")
    for index in range(7):
        images.publish(image_message(textured_image, START_NS + index * PERIOD_NS, "camera"))
    wait_until(lambda: len(states) == 7, "seven images")
    pipeline.close()
    assert monitor.counts == Counts(received=7, processed=2, refused=5)
    assert states == [TrackerState.ERROR] * 5 + [TrackerState.RUNNING] * 2
    assert monitor.last_refusal == "RuntimeError: CUDA error: device lost"
    errors = capfd.readouterr().err
    assert errors.count("Traceback") == 1
    assert 2 <= errors.count("CUDA error: device lost") < 5, "then throttled"


def test_whatever_a_calibration_does_it_is_a_refusal(
    station: Station, extractor: Extractor, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise FloatingPointError("unforeseen")

    monkeypatch.setattr(camera_stream, "camera_from_info", fail)
    monitor = Monitor()
    pipeline = started(station, Frontend(extractor), monitor)
    try:
        infos = station.publisher(CameraInfo, "camera_info")
        wait_until(lambda: infos.get_subscription_count() > 0, "the stream's subscription")
        infos.publish(info_from_camera(TUM_CAMERAS["fr2"], START_NS, "camera"))
        wait_until(lambda: monitor.calibrations_refused == 1, "the refusal")
        assert monitor.calibration_error == "FloatingPointError: unforeseen"
    finally:
        pipeline.close()
    assert "the calibration stays as it was: FloatingPointError: unforeseen" in capfd.readouterr().err


def test_a_closed_stream_counts_what_it_drops(
    station: Station, extractor: Extractor, textured_image: np.ndarray
) -> None:
    monitor = Monitor()
    pipeline = started(station, Frontend(extractor), monitor)
    images = station.publisher(Image, "image")
    wait_until(lambda: images.get_subscription_count() > 0, "the stream's subscription")
    for index in range(20):
        images.publish(image_message(textured_image, START_NS + index * PERIOD_NS, "camera"))
    wait_until(lambda: monitor.counts.received > 3, "images")
    pipeline.close()
    assert monitor.counts.in_flight == 0


def test_nothing_is_drawn_while_nobody_looks(
    station: Station, extractor: Extractor, textured_image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []
    draw = debug_view.draw_tracks

    def counted(*arguments: Any) -> Any:
        drawn.append(threading.current_thread().name)
        return draw(*arguments)

    monkeypatch.setattr(debug_view, "draw_tracks", counted)
    frontend, view = Frontend(extractor), DebugView(station.node, 5)
    result = frontend(textured_image, START_NS)
    for _ in range(10):
        view.offer(textured_image, result, header_of(START_NS, "camera"), lambda: pytest.fail("text for nobody"))
    topic = f"/{station.node.get_name()}/debug_image"
    station.subscribe(Image, topic)
    wait_until(lambda: view.is_watched, "the subscription")
    assert not drawn
    view.offer(textured_image, result, header_of(START_NS, "camera"), tuple)
    station.wait_for(topic)
    frontend.reset()
    view.offer(textured_image, frontend(textured_image, START_NS), header_of(START_NS, "camera"), tuple)
    wait_until(lambda: len(drawn) == 2, "a picture of the new epoch")
    view.close()
    assert set(drawn) == {"debug view"}, "never in the thread that has the next image to process"
