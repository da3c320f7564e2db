# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""rclpy's messages: filled, serialised and read back exactly; the bytes are those that rosbags writes."""

from __future__ import annotations

import array
import dataclasses
import math
import sys
import types
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
# The source folder aliked_msgs/msg is a namespace package; only the built one has modules in it.
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped
from message_samples import META, REFERENCE, assert_same, make_features, make_matches, make_tracks
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from aliked_msgs import msg as aliked_msg
from aliked_ros.camera import TUM_CAMERAS, Camera
from aliked_ros.errors import CalibrationError, ImageError, MessageError
from aliked_ros.features import ModelType
from aliked_ros.io.frames import Pose
from aliked_ros.io.messages import ros_types, sensor_fields
from aliked_ros.io.messages.descriptors import DescriptorDtype
from aliked_ros.io.messages.fields import header_fields
from aliked_ros.io.messages.message_fields import features_fields, matches_fields, tracks_fields
from aliked_ros.io.messages.status_fields import TrackerState, TrackerStatus, status_fields
from aliked_ros.ros import conversions, image_conversions

pytestmark = pytest.mark.ros

RGB = np.random.default_rng(0).integers(0, 256, (36, 44, 3), np.uint8)
STAMP_NS = 1311868169_163498001


def assert_same_bytes(message: Any, fields: dict[str, Any], message_type: str) -> None:
    """rclpy leaves padding undefined and appends up to four unused bytes; nothing else may differ."""
    store = ros_types.typestore()
    ours = bytes(ros_types.serialize(fields, message_type))
    theirs = serialize_message(message)
    assert 0 <= len(theirs) - len(ours) <= 4
    assert bytes(store.serialize_cdr(ros_types.deserialize(theirs, message_type, store), message_type)) == ours
    # And rclpy reads what rosbags wrote as the message that was meant.
    again = serialize_message(deserialize_message(ours, type(message)))
    assert bytes(store.serialize_cdr(ros_types.deserialize(again, message_type, store), message_type)) == ours


def through_cdr(message: Any) -> Any:
    return deserialize_message(serialize_message(message), type(message))


@pytest.mark.parametrize("count", [0, 1, 7, 500])
@pytest.mark.parametrize("dtype", list(DescriptorDtype))
def test_features_round_trip(count: int, dtype: DescriptorDtype) -> None:
    features = make_features(count, sigma=count > 0)
    track_ids = np.arange(-1, count - 1, dtype=np.int64)
    depth_m = np.linspace(0.5, np.nan, count, dtype=np.float32)
    options: dict[str, Any] = {"track_ids": track_ids, "depth_m": depth_m, "descriptor_dtype": dtype}
    message = conversions.features_to_message(features, META, **options)
    assert_same_bytes(message, features_fields(features, META, **options), ros_types.FEATURES_TYPE)
    back = conversions.features_from_message(through_cdr(message))
    exact = dtype is DescriptorDtype.FLOAT32
    assert_same(back.features, features, ignore=() if exact else ("descriptors",))
    assert back.meta == META
    if count:
        np.testing.assert_array_equal(back.track_ids, track_ids)
        np.testing.assert_array_equal(back.depth_m, depth_m)


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("model", list(ModelType))
def test_matches_round_trip(count: int, model: ModelType) -> None:
    matches = make_matches(count, model=model)
    message = conversions.matches_to_message(matches, META, **REFERENCE)
    assert_same_bytes(message, matches_fields(matches, META, **REFERENCE), ros_types.MATCHES_TYPE)
    back = conversions.matches_from_message(through_cdr(message), num_features=count)
    assert_same(back.matches, matches)
    assert (back.frame_seq_ref, back.stamp_ref_ns, back.source_id_ref) == tuple(REFERENCE.values())


@pytest.mark.parametrize("full", [True, False])
def test_tracks_round_trip(full: bool) -> None:
    tracks = make_tracks(full=full)
    message = conversions.tracks_to_message(tracks, META, image_width=640, image_height=480)
    assert_same_bytes(message, tracks_fields(tracks, META, image_width=640, image_height=480), ros_types.TRACKS_TYPE)
    back = conversions.tracks_from_message(through_cdr(message))
    assert_same(back.tracks, tracks)
    assert (back.image_width, back.image_height) == (640, 480)


def test_status_round_trip() -> None:
    status = TrackerStatus(TrackerState.RUNNING, "cpu", "torch", "fp32", "aliked-n16", 9, 7, 1, 1, 10, 8, 2.5, 12.5)
    message = conversions.status_to_message(status, STAMP_NS, "camera")
    assert_same_bytes(message, status_fields(status, STAMP_NS, "camera"), ros_types.STATUS_TYPE)
    back, stamp_ns, frame_id = conversions.status_from_message(through_cdr(message))
    for field in dataclasses.fields(status):
        ours, theirs = getattr(back, field.name), getattr(status, field.name)
        assert ours == theirs or (math.isnan(ours) and math.isnan(theirs)), field.name
    assert (stamp_ns, frame_id) == (STAMP_NS, "camera")


def test_the_header_is_passed_on_verbatim() -> None:
    header = Header(stamp=Time(sec=-5, nanosec=999_999_999), frame_id="another")
    messages = [
        conversions.features_to_message(make_features(), META, header=header),
        conversions.matches_to_message(make_matches(), META, **REFERENCE, header=header),
        conversions.tracks_to_message(make_tracks(), META, image_width=1, image_height=1, header=header),
    ]
    for message in messages:
        assert message.header == header
    assert conversions.features_from_message(messages[0]).meta.stamp_ns == -4_000_000_001


def test_reading_copies_nothing() -> None:
    message = conversions.features_to_message(make_features(), META)
    back = conversions.features_from_message(message)
    assert np.shares_memory(back.features.descriptors, np.frombuffer(message.descriptors, np.uint8))
    assert np.shares_memory(back.features.keypoints_xy, np.frombuffer(message.xy, np.float32))


def test_writing_changes_nothing_and_keeps_no_link() -> None:
    features = make_features()
    before = features.descriptors.copy()
    message = conversions.features_to_message(features, META)
    message.descriptors[0] ^= 255
    np.testing.assert_array_equal(features.descriptors, before)


def test_lengths_that_disagree_are_refused() -> None:
    message = conversions.features_to_message(make_features(), META)
    message.scores = array.array("f", [0.5])
    with pytest.raises(MessageError, match=r"Features.scores has 1 values, expected 7 or 0 \(absent\)"):
        conversions.features_from_message(message)


def test_arrays_of_another_type_are_not_reinterpreted() -> None:
    message = aliked_msg.Features()
    with pytest.raises(MessageError, match=r"Features.xy takes a flat array of float32, got float64 \(2,\)"):
        conversions.fill_message(message, {"xy": np.zeros(2)})
    with pytest.raises(MessageError, match="takes 9 values, got 8"):
        conversions.fill_message(aliked_msg.Matches(), {"model_matrix": np.zeros(8)})


@pytest.mark.parametrize("stamp_ns", [0, 1, -1, 10**9 - 1, STAMP_NS, -(2**31) * 10**9, 2**31 * 10**9 - 1])
def test_times_are_exact(stamp_ns: int) -> None:
    assert conversions.ns_from_time(conversions.time_from_ns(stamp_ns)) == stamp_ns
    assert conversions.ns_from_time(conversions.header_of(stamp_ns, "x").stamp) == stamp_ns


@pytest.mark.parametrize("image", [RGB, RGB[..., 1], RGB[:, ::-1], RGB[..., ::-1]], ids=["rgb", "grey", "flip", "bgr"])
def test_images_round_trip(image: np.ndarray) -> None:
    message = image_conversions.image_message(image, STAMP_NS, "camera")
    assert_same_bytes(message, sensor_fields.image_fields(image, STAMP_NS, "camera"), sensor_fields.IMAGE_TYPE)
    message = through_cdr(message)
    view = image_conversions.image_view(message)
    np.testing.assert_array_equal(view, image)
    assert np.shares_memory(view, np.frombuffer(message.data, np.uint8))
    assert message.encoding == ("rgb8" if image.ndim == 3 else "mono8")
    assert conversions.ns_from_time(message.header.stamp) == STAMP_NS


def test_a_bgr_image_is_a_reversed_view() -> None:
    message = image_conversions.image_message(RGB, STAMP_NS, "camera")
    message.encoding = "bgr8"
    view = image_conversions.image_view(message)
    np.testing.assert_array_equal(view, RGB[..., ::-1])
    assert np.shares_memory(view, np.frombuffer(message.data, np.uint8))


def test_the_big_endian_flag_means_nothing_to_bytes() -> None:
    message = image_conversions.image_message(RGB, STAMP_NS, "camera")
    message.is_bigendian = 1
    np.testing.assert_array_equal(image_conversions.image_view(message), RGB)


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_compressed_images_round_trip(kind: str) -> None:
    smooth = np.broadcast_to(np.arange(64, dtype=np.uint8)[:, None, None] * 3, (64, 64, 3))
    message = through_cdr(image_conversions.compressed_image_message(smooth, STAMP_NS, "camera", kind))
    assert isinstance(message, CompressedImage)
    decoded = image_conversions.compressed_image_view(message)
    assert np.abs(decoded.astype(int) - smooth).max() <= (0 if kind == "png" else 3)
    message.data = message.data[:-10]
    with pytest.raises(ImageError, match="cut off"):
        image_conversions.compressed_image_view(message)


def test_depth_round_trips() -> None:
    depth_m = np.array([[0.5, np.nan], [13.1070004, 70.0]], np.float32)
    message = through_cdr(image_conversions.depth_message(depth_m, STAMP_NS, "camera"))
    np.testing.assert_array_equal(image_conversions.depth_metres(message), depth_m)
    message = through_cdr(image_conversions.depth_message(depth_m, STAMP_NS, "camera", "16UC1"))
    expected = np.array([[0.5, np.nan], [13.107, np.nan]], np.float32)
    np.testing.assert_array_equal(image_conversions.depth_metres(message), expected)
    with pytest.raises(ImageError, match="32FC1 or 16UC1, got '64FC1'"):
        image_conversions.depth_message(depth_m, STAMP_NS, "camera", "64FC1")


def test_big_endian_depth_is_turned_round() -> None:
    message = image_conversions.depth_message(np.array([[1.0, 2.0]], np.float32), STAMP_NS, "camera", "16UC1")
    message.is_bigendian = 1
    message.data = array.array("B", np.array([1000, 2000], ">u2").tobytes())
    np.testing.assert_array_equal(image_conversions.depth_metres(message), [[1.0, 2.0]])


@pytest.mark.parametrize(
    ("encoding", "message"),
    [("mono16", "wider than 8 bits"), ("32FC1", "wider than 8 bits"), ("nv24", "unknown encoding 'nv24'")],
)
def test_unusable_encodings_are_refused(encoding: str, message: str, use_cv_bridge: Any) -> None:
    use_cv_bridge(None)
    image = image_conversions.image_message(RGB, STAMP_NS, "camera")
    image.encoding = encoding
    with pytest.raises(ImageError, match=message):
        image_conversions.image_view(image)


@pytest.fixture
def use_cv_bridge(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts a module, or its absence, in the place of cv_bridge."""

    def use(module: types.ModuleType | None) -> None:
        monkeypatch.setitem(sys.modules, "cv_bridge", module)
        image_conversions._cv_bridge.cache_clear()

    yield use
    image_conversions._cv_bridge.cache_clear()


@pytest.fixture
def cv_bridge(use_cv_bridge: Any) -> types.ModuleType:
    """A stand-in with the interface of ROS's package, which the wheels lack."""

    class CvBridge:
        def imgmsg_to_cv2(self, message: Image, desired_encoding: str) -> np.ndarray:
            assert desired_encoding == "rgb8"
            if len(message.data) < message.step * message.height:
                raise ValueError("buffer is too small")
            return np.full((message.height, message.width, 3), 7, np.uint8)

    module = types.ModuleType("cv_bridge")
    module.CvBridge = CvBridge  # type: ignore[attr-defined]
    use_cv_bridge(module)
    return module


def test_other_encodings_go_through_cv_bridge(cv_bridge: Any) -> None:
    message = image_conversions.image_message(RGB, STAMP_NS, "camera")
    message.encoding = "nv24"
    assert (image_conversions.image_view(message) == 7).all()
    message.data = message.data[:-1]
    with pytest.raises(ImageError, match="cv_bridge cannot convert 'nv24' to rgb8: buffer is too small"):
        image_conversions.image_view(message)
    message.height = 1
    with pytest.raises(ImageError, match="at least 32×32"):
        image_conversions.image_view(message)


def test_a_cv_bridge_that_makes_something_else_is_refused(cv_bridge: Any) -> None:
    cv_bridge.CvBridge.imgmsg_to_cv2 = lambda *_: np.zeros((36, 44), np.uint16)
    message = image_conversions.image_message(RGB, STAMP_NS, "camera")
    message.encoding = "nv24"
    with pytest.raises(ImageError, match="made no rgb8 image"):
        image_conversions.image_view(message)


@pytest.mark.parametrize("name", ["fr1", "fr2", "fr3"])
def test_calibrations_round_trip(name: str) -> None:
    camera = TUM_CAMERAS[name]
    message = image_conversions.info_from_camera(camera, STAMP_NS, "camera")
    fields = sensor_fields.camera_info_fields(camera, STAMP_NS, "camera")
    assert_same_bytes(message, fields, sensor_fields.CAMERA_INFO_TYPE)
    assert len(message.d) == 5
    assert_same(image_conversions.camera_from_info(through_cdr(message)), camera)


def test_a_fisheye_calibration_round_trips() -> None:
    camera = Camera(64, 48, 30.0, 31.0, 32.5, 23.5, "equidistant", (0.1, 0.01, 0.001, 0.0))
    message = through_cdr(image_conversions.info_from_camera(camera, STAMP_NS, "camera"))
    assert_same(image_conversions.camera_from_info(message), camera)


def camera_info(**changes: Any) -> CameraInfo:
    message = image_conversions.info_from_camera(TUM_CAMERAS["fr1"], STAMP_NS, "camera")
    for name, value in changes.items():
        setattr(message, name, value)
    return message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"k": np.zeros(9)}, "focal lengths must be positive"),
        ({"k": np.full(9, np.nan)}, "not finite"),
        ({"d": array.array("d", [math.nan] * 5)}, "not finite"),
        ({"d": array.array("d", [0.1] * 3)}, "plumb_bob takes"),
        ({"distortion_model": "thin_prism"}, "unknown distortion model 'thin_prism'"),
        ({"width": 0}, "0×480"),
    ],
)
def test_impossible_calibrations_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CalibrationError, match=message):
        image_conversions.camera_from_info(camera_info(**changes))
    with pytest.raises(CalibrationError, match=message):
        image_conversions.camera_from_info(through_cdr(camera_info(**changes)))


@pytest.mark.parametrize("d", [[], [0.0] * 5, [0.0] * 3])
def test_no_distortion_is_none_whatever_its_name(d: list[float]) -> None:
    message = camera_info(d=array.array("d", d), distortion_model="")
    assert image_conversions.camera_from_info(message).distortion == ()


def test_region_of_interest_and_binning_are_applied() -> None:
    message = camera_info(binning_x=2, binning_y=4)
    message.roi.x_offset, message.roi.y_offset, message.roi.width, message.roi.height = 100, 40, 320, 240
    camera = image_conversions.camera_from_info(message)
    fr1 = TUM_CAMERAS["fr1"]
    assert (camera.width, camera.height) == (160, 60)
    assert (camera.fx, camera.fy) == (fr1.fx / 2, fr1.fy / 4)
    # The centre of a binned pixel is the centre of the pixels it is made of: 0 is between 0 and 1.
    assert camera.cx == pytest.approx((fr1.cx - 100 - 0.5) / 2)
    assert camera.cy == pytest.approx((fr1.cy - 40 - 1.5) / 4)


def test_poses_round_trip() -> None:
    pose = Pose(np.array([1.0, -2.0, 1e-9]), np.array([0.1, 0.2, 0.3, 0.9273618495495703]))
    message = image_conversions.pose_message(pose, STAMP_NS)
    assert_same_bytes(message, sensor_fields.pose_fields(pose, STAMP_NS), sensor_fields.POSE_TYPE)
    assert isinstance(message, PoseStamped)
    assert message.header.frame_id == "world"
    assert_same(image_conversions.pose_from_message(through_cdr(message)), pose)
    message.pose.orientation.w = 3.0
    with pytest.raises(MessageError, match="unit length"):
        image_conversions.pose_from_message(message)


def test_headers_are_filled() -> None:
    header = Header()
    conversions.fill_message(header, header_fields(STAMP_NS, "frame"))
    assert header == conversions.header_of(STAMP_NS, "frame")
    assert header.frame_id == "frame"


def test_the_installed_definitions_are_those_that_rosbags_hashes() -> None:
    """The type hash decides whether two ROS processes understand each other."""
    for name in ros_types.message_definitions():
        description = getattr(aliked_msg, name.rpartition("/")[2])
        support = getattr(description, "_TYPE_HASH", None) or _installed_hash(name)
        assert ros_types.type_hash(name) == support


def _installed_hash(name: str) -> str:
    import json

    for folder in ros_types.definition_folders():
        path = folder / f"{name.rpartition('/')[2]}.json"
        if path.exists():
            hashes = json.loads(path.read_text())["type_hashes"]
            return next(h["hash_string"] for h in hashes if h["type_name"] == name)
    pytest.skip("this ROS release installs no type hashes")
