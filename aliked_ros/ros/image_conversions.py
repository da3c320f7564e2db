# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Images, depth, calibrations and poses: messages of rclpy, to and from arrays and dataclasses.

Pixels are decoded by io/messages/encodings.py and compressed.py, fields filled by sensor_fields.py beside them.
"""

from __future__ import annotations

import functools
import logging
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from aliked_ros.camera import Camera
from aliked_ros.errors import ImageError
from aliked_ros.io.frames import Pose
from aliked_ros.io.messages.compressed import decode_compressed
from aliked_ros.io.messages.encodings import (
    DepthArray,
    ImageArray,
    check_size,
    decode_depth,
    decode_image,
    is_deep,
    is_supported,
    unusable_encoding,
)
from aliked_ros.io.messages.sensor_fields import (
    camera_from_info,
    camera_info_fields,
    compressed_image_fields,
    depth_fields,
    image_fields,
    pose_fields,
    pose_from_message,
)
from aliked_ros.ros.conversions import fill_message

__all__ = [
    "calibration_values",
    "camera_from_info",
    "compressed_image_message",
    "compressed_image_view",
    "depth_message",
    "depth_metres",
    "image_message",
    "image_view",
    "info_from_camera",
    "pose_from_message",
    "pose_message",
]

_logger = logging.getLogger(__name__)


def image_view(message: Image) -> ImageArray:
    """The pixels of an Image, (H, W, 3) RGB or (H, W) grey uint8.

    rgb8, bgr8, rgba8, bgra8, mono8 and their 8UC names are views of the message's memory; packed YUV, NV12,
    NV21 and 8-bit Bayer patterns are converted by OpenCV, other 8-bit encodings by cv_bridge where it works.

    Raises:
        ImageError: an unknown encoding, one wider than 8 bits, a size below 32×32, or a step or data length
            that contradicts the size.
    """
    encoding = message.encoding
    if is_supported(encoding) or is_deep(encoding):
        return decode_image(encoding, message.height, message.width, message.step, message.data)
    return _through_cv_bridge(message)


def compressed_image_view(message: CompressedImage) -> ImageArray:
    """The pixels of a JPEG or PNG CompressedImage, (H, W, 3) RGB or (H, W) grey uint8.

    Raises:
        ImageError: neither JPEG nor PNG, cut off, damaged, deeper than 8 bits, or below 32×32.
    """
    return decode_compressed(message.data)


def depth_metres(message: Image) -> DepthArray:
    """The depth of a 16UC1 (millimetres) or 32FC1 (metres) Image: (H, W) float32 metres, NaN where missing.

    Raises:
        ImageError: another encoding, or a step or data length that contradicts the size.
    """
    return decode_depth(
        message.encoding,
        message.height,
        message.width,
        message.step,
        bool(message.is_bigendian),
        message.data,
    )


def image_message(image: ImageArray, stamp_ns: int, frame_id: str) -> Image:
    """An Image, rgb8 or mono8, of (H, W, 3) RGB or (H, W) grey."""
    return _filled(Image(), image_fields(image, stamp_ns, frame_id))


def compressed_image_message(image: ImageArray, stamp_ns: int, frame_id: str, kind: str = "jpeg") -> CompressedImage:
    """A CompressedImage, ``jpeg`` or ``png``, of (H, W, 3) RGB or (H, W) grey."""
    return _filled(CompressedImage(), compressed_image_fields(image, stamp_ns, frame_id, kind))


def depth_message(depth_m: DepthArray, stamp_ns: int, frame_id: str, encoding: str = "32FC1") -> Image:
    """An Image of depth: exact as ``32FC1`` in metres, rounded as ``16UC1`` in millimetres."""
    return _filled(Image(), depth_fields(depth_m, stamp_ns, frame_id, encoding))


def info_from_camera(camera: Camera, stamp_ns: int, frame_id: str) -> CameraInfo:
    """A CameraInfo; :func:`camera_from_info` reads it back."""
    return _filled(CameraInfo(), camera_info_fields(camera, stamp_ns, frame_id))


def calibration_values(info: CameraInfo) -> tuple[Any, ...]:
    """What a calibration depends on, comparable even where it is NaN; the header differs in every message."""
    roi = info.roi
    return (
        info.width,
        info.height,
        info.distortion_model,
        info.k.tobytes(),
        info.d.tobytes(),
        info.p.tobytes(),
        info.binning_x,
        info.binning_y,
        (roi.x_offset, roi.y_offset, roi.width, roi.height),
    )


def pose_message(pose_world_from_camera: Pose, stamp_ns: int, frame_id: str = "world") -> PoseStamped:
    """A PoseStamped of the camera in the world, whose name is ``frame_id``."""
    return _filled(PoseStamped(), pose_fields(pose_world_from_camera, stamp_ns, frame_id))


def _filled(message: Any, fields: dict[str, Any]) -> Any:
    fill_message(message, fields)
    return message


@functools.cache
def _cv_bridge() -> Any | None:
    """ROS's converter; None where it is not installed or does not load, as one built for NumPy 1 under 2."""
    try:
        from cv_bridge import CvBridge

        return CvBridge()
    except (ImportError, AttributeError, SystemError) as error:
        _logger.info("cv_bridge is not used: %s", error)
        return None


def _through_cv_bridge(message: Image) -> ImageArray:
    check_size(message.height, message.width)
    bridge = _cv_bridge()
    if bridge is None:
        raise unusable_encoding(message.encoding)
    try:
        pixels = bridge.imgmsg_to_cv2(message, "rgb8")
    # cv_bridge raises its CvBridgeError, or what its C++ part and NumPy raise on contradictory sizes.
    except Exception as error:
        raise ImageError(f"cv_bridge cannot convert {message.encoding!r} to rgb8: {error}") from error
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.ndim != 3:
        raise ImageError(f"cv_bridge made no rgb8 image of encoding {message.encoding!r}")
    return pixels
