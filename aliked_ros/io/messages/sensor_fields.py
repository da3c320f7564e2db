# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Images, depth, calibrations and poses as the fields of ROS's standard messages, and back; without ROS.

As in :mod:`aliked_ros.io.messages.message_fields`: functions called ``*_fields`` return the values of every field.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from aliked_ros.camera import Camera
from aliked_ros.errors import CalibrationError, ImageError, MessageError, ShapeError
from aliked_ros.io.frames import Pose
from aliked_ros.io.messages.encodings import DepthArray, ImageArray
from aliked_ros.io.messages.fields import Fields, header_fields

IMAGE_TYPE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE_TYPE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO_TYPE = "sensor_msgs/msg/CameraInfo"
POSE_TYPE = "geometry_msgs/msg/PoseStamped"

_UINT16_MAX = 65535
_MM_PER_M = 1000.0


def image_fields(image: ImageArray, stamp_ns: int, frame_id: str) -> Fields:
    """A sensor_msgs/Image, rgb8 or mono8, of (H, W, 3) RGB or (H, W) grey; copied only if not contiguous."""
    height, width = image.shape[:2]
    pixels = np.ascontiguousarray(image, np.uint8)
    encoding, channels = ("mono8", 1) if image.ndim == 2 else ("rgb8", 3)
    return _image(pixels.reshape(-1), encoding, height, width, width * channels, stamp_ns, frame_id)


def depth_fields(depth_m: DepthArray, stamp_ns: int, frame_id: str, encoding: str = "32FC1") -> Fields:
    """A sensor_msgs/Image of depth (H, W) in metres: exact as ``32FC1``, in whole millimetres as ``16UC1``.

    Missing depth is NaN in ``32FC1`` and 0 in ``16UC1`` (REP 118), and so is what 16 bits cannot hold.

    Raises:
        ImageError: another encoding.
    """
    height, width = depth_m.shape
    if encoding == "32FC1":
        values: Any = np.ascontiguousarray(depth_m, "<f4")
    elif encoding == "16UC1":
        millimetres = np.rint(depth_m.astype(np.float64) * _MM_PER_M)
        representable = (millimetres > 0) & (millimetres <= _UINT16_MAX)  # False for NaN
        values = np.where(representable, millimetres, 0.0).astype("<u2")
    else:
        raise ImageError(f"a depth image can be 32FC1 or 16UC1, got {encoding!r}")
    data = values.reshape(-1).view(np.uint8)
    return _image(data, encoding, height, width, width * values.itemsize, stamp_ns, frame_id)


def compressed_image_fields(
    image: ImageArray, stamp_ns: int, frame_id: str, kind: str = "jpeg", jpeg_quality: int = 95
) -> Fields:
    """A sensor_msgs/CompressedImage: ``jpeg`` of the given quality, or ``png``, which loses nothing.

    Raises:
        ImageError: another kind, or OpenCV cannot encode the image.
    """
    options = {"jpeg": [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality], "png": [cv2.IMWRITE_PNG_COMPRESSION, 1]}
    if kind not in options:
        raise ImageError(f"an image can be compressed as {' or '.join(options)}, got {kind!r}")
    pixels = np.ascontiguousarray(image if image.ndim == 2 else image[..., ::-1])
    done, encoded = cv2.imencode(f".{kind}", pixels, options[kind])
    if not done:
        raise ImageError(f"OpenCV cannot encode an image of shape {image.shape} as {kind}")
    original = "mono8" if image.ndim == 2 else "rgb8"
    coded = "mono8" if image.ndim == 2 else "bgr8"
    return {
        "header": header_fields(stamp_ns, frame_id),
        # As image_transport's compressed publisher writes it, so that its subscribers restore the encoding.
        "format": f"{original}; {kind} compressed {coded}",
        "data": np.ascontiguousarray(encoded, np.uint8).reshape(-1),
    }


def camera_info_fields(camera: Camera, stamp_ns: int, frame_id: str) -> Fields:
    """A sensor_msgs/CameraInfo of a monocular camera: R is the identity and P is [K|0]."""
    matrix = camera.matrix
    roi = {"x_offset": 0, "y_offset": 0, "height": 0, "width": 0, "do_rectify": False}
    return {
        "header": header_fields(stamp_ns, frame_id),
        "height": camera.height,
        "width": camera.width,
        "distortion_model": camera.distortion_model,
        "d": np.array(camera.distortion or (0.0,) * _no_distortion_count(camera), np.float64),
        "k": matrix.reshape(-1),
        "r": np.eye(3).reshape(-1),
        "p": np.hstack([matrix, np.zeros((3, 1))]).reshape(-1),
        "binning_x": 0,
        "binning_y": 0,
        "roi": roi,
    }


def _no_distortion_count(camera: Camera) -> int:
    """Some subscribers refuse plumb_bob without its five coefficients."""
    return 5 if camera.distortion_model == "plumb_bob" else 0


def camera_from_info(info: Any, *, rectified: bool = False) -> Camera:
    """The camera that a CameraInfo describes, for the image as published: after its ROI and binning.

    Takes messages of rclpy, rosbags (also of ROS 1, with capital K and D) and mcap. An empty D, or one of
    zeros, means no distortion, whatever the model is called. Of rectified images P's left part is the K, and nothing
    is distorted.

    Raises:
        CalibrationError: K (P, where rectified) is zero (not calibrated), not finite or of the wrong length, or the
            model is unknown.
    """
    matrix = _numbers(info, "p", 12)[[0, 1, 2, 4, 5, 6, 8, 9, 10]] if rectified else _numbers(info, "k", 9)
    distortion = np.empty(0) if rectified else _numbers(info, "d", None)
    bin_x, bin_y = max(1, int(info.binning_x)), max(1, int(info.binning_y))
    roi = info.roi
    width = int(roi.width) or int(info.width)
    height = int(roi.height) or int(info.height)
    model = str(info.distortion_model)
    if not np.any(distortion) and np.all(np.isfinite(distortion)):
        model, distortion = "plumb_bob", np.empty(0)
    return Camera(
        width=width // bin_x,
        height=height // bin_y,
        fx=float(matrix[0]) / bin_x,
        fy=float(matrix[4]) / bin_y,
        cx=_binned(float(matrix[2]) - int(roi.x_offset), bin_x),
        cy=_binned(float(matrix[5]) - int(roi.y_offset), bin_y),
        distortion_model=model or "plumb_bob",
        distortion=tuple(float(value) for value in distortion),
    )


def _binned(centre: float, factor: int) -> float:
    """A principal point after binning, with pixel centres at whole numbers on both sides."""
    return (centre + 0.5) / factor - 0.5


def _numbers(info: Any, name: str, count: int | None) -> Any:
    values = np.asarray(getattr(info, name) if hasattr(info, name) else getattr(info, name.upper()), np.float64)
    if count is None:
        return values
    if values.shape != (count,):
        raise CalibrationError(f"camera_info.{name} must have {count} values, got {values.size}")
    if not np.all(np.isfinite(values)):
        raise CalibrationError(f"camera_info.{name} has a value that is not finite; calibrate the camera")
    return values


def pose_fields(pose_world_from_camera: Pose, stamp_ns: int, frame_id: str = "world") -> Fields:
    """A geometry_msgs/PoseStamped: the camera's optical frame in the world, whose name is ``frame_id``."""
    position = pose_world_from_camera.position_xyz
    quaternion = pose_world_from_camera.orientation_quat_xyzw
    return {
        "header": header_fields(stamp_ns, frame_id),
        "pose": {
            "position": {axis: float(value) for axis, value in zip("xyz", position, strict=True)},
            "orientation": {axis: float(value) for axis, value in zip("xyzw", quaternion, strict=True)},
        },
    }


def pose_from_message(message: Any) -> Pose:
    """The pose in a geometry_msgs/PoseStamped.

    Raises:
        MessageError: a value is not finite, or the quaternion has not unit length.
    """
    position, orientation = message.pose.position, message.pose.orientation
    try:
        return Pose(
            np.array([position.x, position.y, position.z], np.float64),
            np.array([orientation.x, orientation.y, orientation.z, orientation.w], np.float64),
        )
    except ShapeError as error:
        raise MessageError(f"pose in a PoseStamped message: {error}") from error


def _image(data: ImageArray, encoding: str, height: int, width: int, step: int, stamp_ns: int, frame_id: str) -> Fields:
    if not height or not width:
        raise ImageError(f"an image must have pixels, got {width}×{height}")
    return {
        "header": header_fields(stamp_ns, frame_id),
        "height": height,
        "width": width,
        "encoding": encoding,
        "is_bigendian": 0,
        "step": step,
        "data": data,
    }
