# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Standard messages without ROS: images, depth, calibrations and poses, there and back."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from bag_samples import CAMERA
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from message_samples import as_message

from aliked_ros.camera import TUM_CAMERAS, Camera
from aliked_ros.errors import CalibrationError, ImageError, MessageError
from aliked_ros.io.frames import Pose
from aliked_ros.io.messages.encodings import decode_depth, decode_image
from aliked_ros.io.messages.ros_types import serialize, standard_typestore
from aliked_ros.io.messages.sensor_fields import (
    CAMERA_INFO_TYPE,
    IMAGE_TYPE,
    camera_from_info,
    camera_info_fields,
    depth_fields,
    image_fields,
    pose_fields,
    pose_from_message,
)


def through_cdr(fields: dict[str, Any], message_type: str) -> Any:
    store = standard_typestore()
    return store.deserialize_cdr(serialize(fields, message_type, store), message_type)


def read_image(message: Any) -> np.ndarray:
    return decode_image(message.encoding, message.height, message.width, message.step, message.data)


def read_depth(message: Any) -> np.ndarray:
    big = bool(message.is_bigendian)
    return decode_depth(message.encoding, message.height, message.width, message.step, big, message.data)


@given(hnp.arrays(np.uint8, st.sampled_from([(32, 33), (33, 32, 3), (40, 64, 3)])))
def test_images_survive(image: np.ndarray) -> None:
    for view in (image, image[::-1], image[:, ::-1]):
        message = through_cdr(image_fields(view, 7, "camera"), IMAGE_TYPE)
        np.testing.assert_array_equal(read_image(message), view)


@given(hnp.arrays(np.float32, (3, 5), elements=st.floats(width=32)))
def test_depth_survives_where_it_is_depth(depth_m: np.ndarray) -> None:
    expected = np.where(np.isfinite(depth_m) & (depth_m > 0), depth_m, np.float32(np.nan))
    np.testing.assert_array_equal(read_depth(through_cdr(depth_fields(depth_m, 7, "c"), IMAGE_TYPE)), expected)


@given(hnp.arrays(np.uint16, (3, 5)))
def test_tum_depth_survives(units: np.ndarray) -> None:
    """16-bit PNG, 5000 per metre, through float32 metres: every value."""
    depth_m = units.astype(np.float32) / np.float32(5000)
    back = read_depth(through_cdr(depth_fields(depth_m, 7, "c"), IMAGE_TYPE))
    np.testing.assert_array_equal(np.rint(np.nan_to_num(back) * 5000).astype(np.uint16), units)


@given(hnp.arrays(np.uint16, (3, 5)))
def test_whole_millimetres_survive(millimetres: np.ndarray) -> None:
    depth_m = millimetres.astype(np.float32) / np.float32(1000)
    fields = depth_fields(depth_m, 7, "c", "16UC1")
    np.testing.assert_array_equal(fields["data"].view("<u2").reshape(3, 5), millimetres)
    depth_m[millimetres == 0] = np.nan
    np.testing.assert_array_equal(read_depth(through_cdr(fields, IMAGE_TYPE)), depth_m)


def test_what_16_bits_cannot_hold_is_missing() -> None:
    depth_m = np.array([[np.nan, np.inf, -1.0, 65.536, 65.535, 0.0004]], np.float32)
    fields = depth_fields(depth_m, 7, "c", "16UC1")
    assert fields["data"].view("<u2").tolist() == [0, 0, 0, 0, 65535, 0]


def test_images_without_pixels_are_not_written() -> None:
    with pytest.raises(ImageError, match="must have pixels, got 0×5"):
        image_fields(np.zeros((5, 0, 3), np.uint8), 7, "c")
    with pytest.raises(ImageError, match="32FC1 or 16UC1"):
        depth_fields(np.zeros((2, 2), np.float32), 7, "c", "mono8")


CAMERAS = [
    CAMERA,
    *TUM_CAMERAS.values(),
    Camera(64, 48, 30.0, 30.0, 32.0, 24.0, "rational_polynomial", tuple(np.linspace(0.01, 0.08, 8).tolist())),
    Camera(64, 48, 30.0, 30.0, 32.0, 24.0, "equidistant", (0.1, 0.2, 0.3, 0.4)),
]


@pytest.mark.parametrize("camera", CAMERAS)
def test_calibrations_survive(camera: Camera) -> None:
    message = through_cdr(camera_info_fields(camera, 7, "c"), CAMERA_INFO_TYPE)
    assert dataclasses.asdict(camera_from_info(message)) == dataclasses.asdict(camera)
    np.testing.assert_array_equal(message.p.reshape(3, 4)[:, :3], camera.matrix)
    np.testing.assert_array_equal(message.r.reshape(3, 3), np.eye(3))
    # ROS 1 calls the same fields by capital letters.
    capital = {"d": "D", "k": "K", "r": "R", "p": "P"}
    fields = {capital.get(k, k): v for k, v in camera_info_fields(camera, 7, "c").items()}
    assert dataclasses.asdict(camera_from_info(as_message(fields))) == dataclasses.asdict(camera)


def test_rectified_images_are_described_by_p() -> None:
    fields = camera_info_fields(TUM_CAMERAS["fr1"], 7, "camera")
    p = np.array([[400.0, 0, 310, -20], [0, 401, 230, 0], [0, 0, 1, 0]])
    camera = camera_from_info(as_message({**fields, "p": p.reshape(-1)}), rectified=True)
    assert (camera.fx, camera.fy, camera.cx, camera.cy, camera.distortion) == (400.0, 401.0, 310.0, 230.0, ())
    with pytest.raises(CalibrationError):
        camera_from_info(as_message({**fields, "p": np.zeros(12)}), rectified=True)


@pytest.mark.parametrize("index", range(9))
def test_a_matrix_that_is_not_finite_is_refused(index: int) -> None:
    fields = camera_info_fields(CAMERA, 7, "c")
    k = np.array(fields["k"], np.float64)
    k[index] = np.nan
    with pytest.raises(CalibrationError, match=r"camera_info\.k has a value that is not finite"):
        camera_from_info(as_message({**fields, "k": k}))


def test_a_matrix_of_another_length_is_refused() -> None:
    fields = camera_info_fields(CAMERA, 7, "c")
    with pytest.raises(CalibrationError, match=r"camera_info\.k must have 9 values, got 8"):
        camera_from_info(as_message({**fields, "k": np.ones(8)}))
    with pytest.raises(CalibrationError, match="focal lengths must be positive"):
        camera_from_info(as_message({**fields, "k": np.zeros(9)}))


def test_binning_keeps_directions() -> None:
    """The corners of the image look in the same directions whatever the binning; an affine map of pixels."""
    camera = TUM_CAMERAS["fr3"]
    fields = camera_info_fields(camera, 7, "c")
    binned = camera_from_info(as_message({**fields, "binning_x": 2, "binning_y": 2}))
    assert (binned.width, binned.height) == (320, 240)
    # The outer edges of the corner pixels are half a pixel beyond their centres.
    edges = np.array([[-0.5, -0.5], [639.5, 479.5]], np.float32)
    binned_edges = np.array([[-0.5, -0.5], [319.5, 239.5]], np.float32)
    np.testing.assert_allclose(binned.normalise(binned_edges), camera.normalise(edges), atol=1e-6)


def test_poses_survive() -> None:
    pose = Pose(np.array([1e-300, -2.0, 3e10]), np.array([0.5, -0.5, 0.5, 0.5]))
    back = pose_from_message(as_message(pose_fields(pose, 7, "map")))
    np.testing.assert_array_equal(back.position_xyz, pose.position_xyz)
    np.testing.assert_array_equal(back.orientation_quat_xyzw, pose.orientation_quat_xyzw)
    fields = pose_fields(pose, 7)
    fields["pose"]["position"]["x"] = float("nan")
    with pytest.raises(MessageError, match="pose in a PoseStamped message: position_xyz must be finite"):
        pose_from_message(as_message(fields))
