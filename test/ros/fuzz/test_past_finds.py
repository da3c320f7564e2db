# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The corpus of past finds: the smallest message that shows each fault which fuzzing, or its making, found."""

from __future__ import annotations

import array
import logging
import math
import threading
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from builtin_interfaces.msg import Time
from message_samples import META, REFERENCE, as_message, make_features, make_matches, make_tracks
from node_harness import TrackerBench, running_tracker, wait_until
from sensor_msgs.msg import CameraInfo, CompressedImage

from aliked_ros import Frontend
from aliked_ros.camera import Camera
from aliked_ros.errors import CalibrationError, ImageError, MessageError, SourceError
from aliked_ros.io.messages.compressed import decode_compressed
from aliked_ros.io.messages.descriptors import DescriptorDtype
from aliked_ros.io.messages.message_fields import (
    features_fields,
    features_from_fields,
    matches_fields,
    matches_from_fields,
    tracks_fields,
    tracks_from_fields,
)
from aliked_ros.io.messages.status_fields import TrackerState, TrackerStatus, status_fields, status_from_fields
from aliked_ros.io.sources.opening import open_source
from aliked_ros.io.sources.window import stamp_ns_of
from aliked_ros.ros.image_conversions import compressed_image_view, image_message
from aliked_ros.ros.intake import Intake, IntakeSettings
from aliked_ros.ros.pipeline import Pipeline
from aliked_ros.ros.process import one_line
from tools.fuzz.outcome import kills_fast_cdr
from tools.fuzz.pictures import jpeg_with_size, png_of, whole_pictures
from tools.fuzz.rig import Rig, cheap_extractor

pytestmark = pytest.mark.ros


def read(fields: dict[str, Any], reader: Any, **changes: Any) -> Any:
    return reader(as_message({**fields, **changes}))


# A compressed image of a few hundred bytes took seven gigabytes and more than 20 s.
@pytest.mark.parametrize(
    ("bomb", "complaint"),
    [
        (png_of(30_000, 30_000, zlib.compress(bytes(1000))), "67 million pixels"),
        (png_of(2**31 - 1, 2**31 - 1, b""), "67 million pixels"),
        (png_of(8000, 8000, zlib.compress(bytes(1000))), "too short"),
        (jpeg_with_size(whole_pictures()[0], 65_500, 65_500), "67 million pixels"),
        (jpeg_with_size(whole_pictures()[0], 8000, 8000), "too short"),
        (jpeg_with_size(whole_pictures()[1], 4000, 3000), "too short"),
    ],
    ids=["png", "png of the largest size", "png below the limit", "jpeg", "jpeg below the limit", "progressive jpeg"],
)
def test_a_decompression_bomb_is_refused_before_it_goes_off(bomb: bytes, complaint: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ImageError, match=complaint):
            compressed_image_view(CompressedImage(data=array.array("B", bomb)))
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()


def test_a_jpeg_with_a_thousand_scans_is_refused() -> None:
    data = whole_pictures()[1]
    start = data.rfind(b"\xff\xda")
    with pytest.raises(ImageError, match="more than 100 scans"):
        decode_compressed(data[:start] + data[start:-2] * 1000 + b"\xff\xd9")


def test_images_that_compress_best_are_no_bombs() -> None:
    """The limits are those of the formats: one colour, in the fewest bytes that OpenCV can make of it."""
    import cv2

    image = np.full((2048, 2048, 3), 127, np.uint8)
    options = {
        ".png": [cv2.IMWRITE_PNG_COMPRESSION, 9],
        ".jpg": [cv2.IMWRITE_JPEG_QUALITY, 1, cv2.IMWRITE_JPEG_OPTIMIZE, 1, cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
    }
    for suffix, option in options.items():
        for pixels in (image, image[..., 0]):
            done, encoded = cv2.imencode(suffix, np.ascontiguousarray(pixels), option)
            assert done
            assert decode_compressed(encoded.reshape(-1)).shape == pixels.shape


# Messages of another version's definitions, as bags hold them, raised TypeError, ValueError or AttributeError.
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_features", None), ("num_features", "seven"), ("num_features", []), ("num_features", np.zeros(3)),
        ("num_features", 1.5), ("descriptor_scale", b"abc"), ("descriptor_normalized", np.zeros(3)),
        ("source_id", 5), ("header", None), ("header", "seven"), ("coords", "RAW"), ("frame_seq", -1),
    ],
)  # fmt: skip
def test_features_of_other_definitions_are_refused(name: str, value: Any) -> None:
    fields = features_fields(make_features(), META)
    read(fields, features_from_fields)
    with pytest.raises(MessageError, match=f"Features.{name}"):
        read(fields, features_from_fields, **{name: value})


@pytest.mark.parametrize(
    ("name", "value"), [("stamp_ref", 5), ("stamp_ref", "now"), ("matcher", None), ("num_matches", [])]
)
def test_matches_of_other_definitions_are_refused(name: str, value: Any) -> None:
    fields = matches_fields(make_matches(), META, **REFERENCE)
    read(fields, matches_from_fields)
    with pytest.raises(MessageError, match=f"Matches.{name}"):
        read(fields, matches_from_fields, **{name: value})


@pytest.mark.parametrize(("name", "value"), [("keyframe_hint", "yes"), ("median_parallax_px", None), ("epoch", 0.5)])
def test_tracks_of_other_definitions_are_refused(name: str, value: Any) -> None:
    fields = tracks_fields(make_tracks(), META, image_width=640, image_height=480)
    read(fields, tracks_from_fields)
    with pytest.raises(MessageError, match=f"Tracks.{name}"):
        read(fields, tracks_from_fields, **{name: value})


@pytest.mark.parametrize(("name", "value"), [("device", 5), ("received", "many"), ("latency_ms", None)])
def test_a_status_of_other_definitions_is_refused(name: str, value: Any) -> None:
    fields = status_fields(TrackerStatus(TrackerState.IDLE), 0, "")
    read(fields, status_from_fields)
    with pytest.raises(MessageError, match=f"TrackerStatus.{name}"):
        read(fields, status_from_fields, **{name: value})


@pytest.mark.parametrize("scale", [1e37, math.inf, math.nan, 0.0, -1.0])
def test_descriptors_do_not_become_infinite(scale: float) -> None:
    fields = features_fields(make_features(), META, descriptor_dtype=DescriptorDtype.INT8)
    with pytest.raises(MessageError, match="descriptor_scale"):
        read(fields, features_from_fields, descriptor_scale=scale)


@pytest.mark.parametrize("dtype", [DescriptorDtype.FLOAT32, DescriptorDtype.INT8])
def test_descriptors_of_no_feature_do_not_have_any_dimension(dtype: DescriptorDtype) -> None:
    """NumPy's own error."""
    fields = features_fields(make_features(0), META, descriptor_dtype=dtype)
    for dim in (2**32 - 1, 2**70):
        with pytest.raises(MessageError, match="descriptor_dim must be at most"):
            read(fields, features_from_fields, descriptor_dim=dim)


@pytest.mark.parametrize(
    "text", ["99999999999.0", "-99999999999", "1e999999", "1e9999999999", "-1e30", "nan", "inf", "x"]
)
def test_stamps_in_lists_that_fit_into_no_integer_are_refused(text: str, tmp_path: Path) -> None:
    """NumPy's OverflowError; numbers of a million digits would have taken minutes."""
    with pytest.raises(ValueError, match="is no number of seconds"):
        stamp_ns_of(text)
    (tmp_path / "rgb.txt").write_text(f"{text} a.png\n")
    with pytest.raises(SourceError, match=r"rgb\.txt"):
        open_source(str(tmp_path))


@pytest.fixture
def rig() -> Any:
    import rclpy

    rclpy.init(args=[])
    rig = Rig("past_finds", cheap_extractor(), "essential", "raw", 20.0)
    yield rig
    rig.close()
    rclpy.shutdown()


def calibration(focal: float = 50.0, width: int = 64, **fields: Any) -> CameraInfo:
    matrix = np.array([focal, 0, 32, 0, focal, 24, 0, 0, 1], np.float64)
    return CameraInfo(width=width, height=48, distortion_model="plumb_bob", k=matrix, **fields)


def test_a_stamp_with_too_many_nanoseconds_is_refused_before_the_tracks_are_touched(rig: Rig) -> None:
    """It used a frame number and changed the tracks, and then could not be published."""
    for stamp in (Time(sec=1), Time(sec=2**31 - 1, nanosec=2**32 - 1), Time(sec=2, nanosec=10**9), Time(sec=2)):
        message = image_message(np.full((48, 64), 7, np.uint8), 0, "camera")
        message.header.stamp = stamp
        rig.hand_over("image", message)
        rig.wait()
    assert (rig.monitor.counts.processed, rig.monitor.counts.refused) == (2, 2)
    assert "nanosec" in rig.monitor.last_refusal
    assert rig.frontend(np.full((48, 64), 7, np.uint8), 3 * 10**9).frame_seq == 2


def test_calibrations_are_told_and_refused_by_one_process(rig: Rig) -> None:
    """rclpy refuses a call site that logs with several severities, and the error ended the executor."""
    rig.hand_over("camera_info", calibration(focal=0.0))
    rig.hand_over("camera_info", calibration())
    for size in (48, 64, 48):
        rig.hand_over("image", image_message(np.full((size, 64), 9, np.uint8), 10**9, "camera"))
        rig.wait()
    assert rig.monitor.failures == []
    assert rig.monitor.calibrations_refused == 1
    assert rig.monitor.counts.processed == 3


def test_calibrations_do_not_pile_up_while_no_image_comes(rig: Rig) -> None:
    for index in range(200):
        rig.hand_over("camera_info", calibration(focal=50.0 + index))
    wait_until(lambda: rig.frontend.camera is not None and rig.frontend.camera.fx == 249.0, "the last calibration")


def test_commands_are_done_although_no_image_comes() -> None:
    pipeline = Pipeline(Intake(1, IntakeSettings(), lambda *_: None), lambda _: None)
    pipeline.start([])
    try:
        done = threading.Event()
        pipeline.before_next_image(done.set)
        assert done.wait(20.0)
    finally:
        pipeline.close()


def test_sizes_that_change_all_the_time_fill_neither_memory_nor_log(caplog: pytest.LogCaptureFixture) -> None:
    frontend = Frontend(cheap_extractor(), camera=Camera(640, 480, 500.0, 500.0, 320.0, 240.0))
    with caplog.at_level(logging.WARNING):
        for index in range(100):
            frontend(np.zeros((32, 32 + index), np.uint8), index)
    assert 1 <= len(caplog.records) <= 16


def test_a_hostile_message_does_not_write_long_lines() -> None:
    with pytest.raises(CalibrationError) as caught:
        Camera(64, 48, 50.0, 50.0, 32.0, 24.0, "m" * 100_000)
    assert len(one_line(caught.value)) < 1100
    with pytest.raises(CalibrationError, match="got 1000000"):
        Camera(64, 48, 50.0, 50.0, 32.0, 24.0, "plumb_bob", (math.nan,) * 1_000_000)


# Fast CDR 2.2 reads beyond a message that says it has more padding than bytes; given to deserialize_message it ends the
# process by SIGSEGV, and no Python code can guard that. What comes over DDS does not.
@pytest.mark.parametrize("wire", ["00010001", "00010003", "00010102"])
def test_the_guard_knows_what_kills_fast_cdr(wire: str) -> None:
    assert kills_fast_cdr(bytes.fromhex(wire))
    assert not kills_fast_cdr(bytes.fromhex(wire) + bytes(4))


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with running_tracker(tmp_path_factory.mktemp("past_finds"), max_keypoints=50) as bench:
        yield bench


def test_a_node_outlives_broken_bytes_on_its_topics(tracker: TrackerBench, textured_image: np.ndarray) -> None:
    broken = ("", "00", "00010000", "00010001", "00010003", "00000000", "00010000ffffffff", "0001000000000000ffffffff")
    for publisher in (tracker.image, tracker.camera_info):
        for wire in broken:
            publisher.publish(bytes.fromhex(wire))
    assert tracker.track(textured_image).num_features > 0
    received, processed, dropped, refused = tracker.counters()
    assert received == processed + dropped + refused
    assert processed == 1
    assert Path(tracker.log).read_text().count("Traceback") == 0
