# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The tracker with compressed images and a calibration that is wrong before it is right."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from node_harness import TrackerBench, running_tracker, wait_until
from sensor_msgs.msg import CameraInfo

from aliked_ros import Camera, Extractor
from aliked_ros.ros.conversions import features_from_message, ns_from_time, tracks_from_message
from aliked_ros.ros.image_conversions import compressed_image_message, info_from_camera

pytestmark = pytest.mark.ros

CAMERA = Camera(320, 240, 260.0, 261.0, 159.5, 119.5, "plumb_bob", (0.1, -0.05, 0.001, 0.002, 0.0))


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackerBench]:
    with running_tracker(
        tmp_path_factory.mktemp("tracker"),
        image_transport="compressed",
        process_every_frame=True,
        descriptor_dtype="int8",
        max_keypoints=200,
        warmup_width=0,
    ) as bench:
        yield bench


def track(tracker: TrackerBench, image: np.ndarray, kind: str = "png") -> Any:
    message = tracker.send(compressed_image_message(image, tracker.next_stamp_ns(), "camera", kind))
    features = tracker.received("features", ns_from_time(message.header.stamp))
    tracker.status(lambda status: status.processed > features.frame_seq)
    return features


def info(**changes: Any) -> CameraInfo:
    message = info_from_camera(CAMERA, 0, "camera")
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def test_compressed_images_are_tracked(tracker: TrackerBench, textured_image: np.ndarray) -> None:
    extractor = Extractor.from_pretrained("aliked-t16", device="cpu", precision="fp32", max_keypoints=200)
    lossless = features_from_message(track(tracker, textured_image)).features
    np.testing.assert_array_equal(lossless.keypoints_xy, extractor(textured_image).keypoints_xy)
    _, jpeg = cv2.imencode(".jpg", textured_image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    decoded = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)[..., ::-1]
    lossy = features_from_message(track(tracker, textured_image, "jpeg")).features
    np.testing.assert_array_equal(lossy.keypoints_xy, extractor(decoded).keypoints_xy)


def test_int8_descriptors_are_as_exact_as_they_say(tracker: TrackerBench, textured_image: np.ndarray) -> None:
    exact = Extractor.from_pretrained("aliked-t16", device="cpu", precision="fp32", max_keypoints=200)(
        textured_image
    ).descriptors
    message = track(tracker, textured_image)
    assert message.descriptor_dtype == message.DESCRIPTOR_INT8
    assert len(message.descriptors) == message.num_features * message.descriptor_dim
    received = features_from_message(message).features.descriptors
    assert np.abs(received - exact).max() <= message.descriptor_scale / 2 * 1.001


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_jpeg_that_is_cut_off_is_refused(tracker: TrackerBench, textured_image: np.ndarray, share: float) -> None:
    track(tracker, textured_image)
    received, processed, dropped, refused = tracker.counters()
    message = compressed_image_message(textured_image, tracker.next_stamp_ns(), "camera", "jpeg")
    message.data = message.data[: int(len(message.data) * share)]
    tracker.send(message)
    tracker.status(lambda status: status.refused == refused + 1)
    assert tracker.counters() == (received + 1, processed, dropped, refused + 1)
    assert track(tracker, textured_image).num_features > 0


def test_wrong_calibrations_are_refused_and_a_right_one_is_used(
    tracker: TrackerBench, textured_image: np.ndarray
) -> None:
    wrong = {
        "zero": info(k=np.zeros(9)),
        "NaN": info(k=np.full(9, math.nan)),
        "NaN distortion": info(d=[math.nan] * 5),
        "model": info(distortion_model="made_up"),
    }
    tracker.station.wait_until_heard(tracker.name, tracker.camera_info)
    for count, message in enumerate(wrong.values(), 1):
        for _ in range(3):  # as a driver does, with every image
            tracker.camera_info.publish(message)
        wait_until(lambda: tracker.log_text().count("camera_info refused") == count, "a refusal")  # noqa: B023
    stamp_ns = ns_from_time(track(tracker, textured_image).header.stamp)
    assert tracks_from_message(tracker.received("tracks", stamp_ns)).tracks.xy_norm is None

    tracker.camera_info.publish(info())
    wait_until(lambda: "calibrated: plumb_bob" in tracker.log_text(), "the calibration")
    stamp_ns = ns_from_time(track(tracker, textured_image).header.stamp)
    tracks = tracks_from_message(tracker.received("tracks", stamp_ns)).tracks
    assert tracks.xy_norm is not None
    np.testing.assert_allclose(tracks.xy_norm, CAMERA.normalise(tracks.xy), atol=1e-6)
    # The image stands still, so what was seen before does too.
    assert tracks.velocity is not None
    stamp_ns = ns_from_time(track(tracker, textured_image).header.stamp)
    tracks = tracks_from_message(tracker.received("tracks", stamp_ns)).tracks
    assert tracks.velocity is not None
    assert np.nanmax(np.abs(tracks.velocity)) == 0.0

    tracker.camera_info.publish(info(k=np.zeros(9)))
    # Its line in the log is throttled; the diagnostics count it, once images that were refused are history.
    refused = KeyValue(key="calibrations_refused", value=str(len(wrong) + 1))

    def of_calibration(array: DiagnosticArray) -> bool:
        (status,) = array.status
        return refused in status.values and status.message.startswith("camera_info refused: ")

    report = tracker.station.wait_for("/diagnostics", of_calibration)
    assert report.status[0].level == DiagnosticStatus.WARN
    stamp_ns = ns_from_time(track(tracker, textured_image).header.stamp)
    assert tracks_from_message(tracker.received("tracks", stamp_ns)).tracks.xy_norm is not None, "the good one stays"
