# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Pixels of sensor_msgs/Image and CompressedImage as arrays, without ROS.

Encodings are those of sensor_msgs/image_encodings.hpp. Colour comes out as (H, W, 3) RGB, grey as (H, W),
both uint8; encodings whose bytes are already those of such an array are views of the message, never copies.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from aliked_ros.errors import ImageError

ImageArray = NDArray[np.uint8]
DepthArray = NDArray[np.float32]

MIN_SIZE_PX = 32  # the network's coarsest level has one pixel then
MAX_PIXELS = 1 << 26  # 8192×8192; a compressed image of a few bytes may claim to be any size

# Interleaved 8-bit encodings: channels in the message, and which of them make RGB.
_INTERLEAVED: dict[str, tuple[int, slice | None]] = {
    "rgb8": (3, slice(0, 3)),
    "bgr8": (3, slice(2, None, -1)),
    "rgba8": (4, slice(0, 3)),
    "bgra8": (4, slice(2, None, -1)),
    "mono8": (1, None),
    "8uc1": (1, None),
    "8uc3": (3, slice(2, None, -1)),
    "8uc4": (4, slice(2, None, -1)),
}
# Encodings that OpenCV converts: bytes per pixel of a row, rows of data per image row as (numerator,
# denominator), and the conversion. OpenCV names a Bayer pattern by its second row, ROS by its first.
_CONVERTED: dict[str, tuple[int, tuple[int, int], int]] = {
    "yuv422": (2, (1, 1), cv2.COLOR_YUV2RGB_UYVY),
    "uyvy": (2, (1, 1), cv2.COLOR_YUV2RGB_UYVY),
    "yuv422_yuy2": (2, (1, 1), cv2.COLOR_YUV2RGB_YUY2),
    "yuyv": (2, (1, 1), cv2.COLOR_YUV2RGB_YUY2),
    "nv12": (1, (3, 2), cv2.COLOR_YUV2RGB_NV12),
    "nv21": (1, (3, 2), cv2.COLOR_YUV2RGB_NV21),
    "bayer_rggb8": (1, (1, 1), cv2.COLOR_BayerBG2RGB),
    "bayer_bggr8": (1, (1, 1), cv2.COLOR_BayerRG2RGB),
    "bayer_gbrg8": (1, (1, 1), cv2.COLOR_BayerGR2RGB),
    "bayer_grbg8": (1, (1, 1), cv2.COLOR_BayerGB2RGB),
}
_HALF_RESOLUTION = {
    "yuv422": (2, 1),
    "uyvy": (2, 1),
    "yuv422_yuy2": (2, 1),
    "yuyv": (2, 1),
    "nv12": (2, 2),
    "nv21": (2, 2),
}
_DEPTH_TYPES = {"16uc1": "u2", "mono16": "u2", "32fc1": "f4"}
_MM_PER_M = 1000.0

SUPPORTED_ENCODINGS = (*_INTERLEAVED, *_CONVERTED)


def is_supported(encoding: str) -> bool:
    """Whether :func:`decode_image` reads this encoding."""
    return encoding.lower() in _INTERLEAVED or encoding.lower() in _CONVERTED


def is_deep(encoding: str) -> bool:
    """Whether the encoding's elements are wider than 8 bits: depth, float or 16-bit images."""
    name = encoding.lower()
    return name.startswith(("16", "32", "64")) or name.endswith("16")


def is_depth(encoding: str) -> bool:
    """Whether :func:`decode_depth` reads this encoding and it is no picture."""
    return encoding.lower() in ("16uc1", "32fc1")


def decode_image(encoding: str, height: int, width: int, step: int, data: Any) -> ImageArray:
    """The pixels of a camera image, (H, W, 3) RGB or (H, W) grey uint8, at least 32×32.

    Args:
        encoding: such as ``rgb8``; capitals do not matter.
        height: rows.
        width: pixels of a row.
        step: bytes from one row to the next.
        data: the bytes: ``array.array``, ``bytes`` or ``ndarray`` of uint8. The result may be a view of it.

    Raises:
        ImageError: unknown or deep encoding, a size below 32×32, or a step or length that contradicts it.
    """
    name = encoding.lower()
    check_size(height, width)
    if name in _INTERLEAVED:
        channels, order = _INTERLEAVED[name]
        flat = _checked(encoding, height, width * channels, step, data)
        if order is None:
            return np.ndarray((height, width), np.uint8, flat, strides=(step, 1))
        return np.ndarray((height, width, channels), np.uint8, flat, strides=(step, channels, 1))[..., order]
    if name in _CONVERTED:
        return _convert(name, height, width, step, data)
    raise unusable_encoding(encoding)


def unusable_encoding(encoding: str) -> ImageError:
    """The error for an encoding that is no 8-bit colour or grey image."""
    if is_deep(encoding):
        return ImageError(
            f"encoding {encoding!r} is wider than 8 bits; a camera image must be 8-bit colour or grey: "
            "publish rgb8, bgr8 or mono8, and connect depth to the depth topic"
        )
    return ImageError(f"unknown encoding {encoding!r}; known: {', '.join(SUPPORTED_ENCODINGS)}")


def check_size(height: int, width: int) -> None:
    """Raises ImageError for an image below 32×32 pixels or above 67 million."""
    if min(height, width) < MIN_SIZE_PX:
        raise ImageError(f"an image must be at least {MIN_SIZE_PX}×{MIN_SIZE_PX} pixels, got {width}×{height}")
    check_area(height, width)


def check_area(height: int, width: int) -> None:
    """Raises ImageError for an image that would fill the memory."""
    if height * width > MAX_PIXELS:
        raise ImageError(
            f"an image may have {MAX_PIXELS / 1e6:.0f} million pixels, got {width}×{height}; publish smaller ones"
        )


def decode_depth(encoding: str, height: int, width: int, step: int, is_bigendian: bool, data: Any) -> DepthArray:
    """A depth image in metres, (H, W) float32, NaN where nothing was measured (0, negative or not finite).

    ``16UC1`` is in millimetres and ``32FC1`` in metres (REP 118); the big-endian flag is honoured.

    Raises:
        ImageError: another encoding, an empty image, or a step or length that contradicts the size.
    """
    kind = _DEPTH_TYPES.get(encoding.lower())
    if kind is None:
        raise ImageError(f"a depth image must be 16UC1 (millimetres) or 32FC1 (metres), got {encoding!r}")
    if height <= 0 or width <= 0:
        raise ImageError(f"a depth image must have pixels, got {width}×{height}")
    element = np.dtype(kind).newbyteorder(">" if is_bigendian else "<")
    flat = _checked(encoding, height, width * element.itemsize, step, data)
    values: NDArray[Any] = np.ndarray((height, width), element, flat, strides=(step, element.itemsize))
    depth_m = values.astype(np.float32)
    if kind == "u2":
        depth_m /= np.float32(_MM_PER_M)
    depth_m[~(np.isfinite(depth_m) & (depth_m > 0))] = np.nan
    return depth_m


def as_bytes(data: Any) -> ImageArray:
    """The bytes of a message's ``data`` as a flat uint8 array, never copied.

    Raises:
        ImageError: the data are no bytes.
    """
    if isinstance(data, np.ndarray):
        if data.dtype != np.uint8:
            raise ImageError(f"image data must be bytes, got an array of {data.dtype}")
        return data.reshape(-1)
    view = memoryview(data)
    if view.itemsize != 1:
        raise ImageError(f"image data must be bytes, got elements of {view.itemsize} bytes ({view.format!r})")
    return np.frombuffer(view, np.uint8) if view.nbytes else np.empty(0, np.uint8)


def _checked(encoding: str, height: int, row_bytes: int, step: int, data: Any) -> ImageArray:
    """The data as flat bytes, of exactly ``height`` rows that are ``step`` bytes apart."""
    flat = as_bytes(data)
    if step < row_bytes:
        raise ImageError(f"step is {step} bytes, but a row of this {encoding} image takes {row_bytes}")
    if len(flat) != step * height:
        raise ImageError(
            f"image data have {len(flat)} bytes, expected step × rows = {step} × {height} = {step * height}"
        )
    return np.ascontiguousarray(flat)


def _convert(name: str, height: int, width: int, step: int, data: Any) -> ImageArray:
    pixel_bytes, (numerator, denominator), code = _CONVERTED[name]
    across, down = _HALF_RESOLUTION.get(name, (1, 1))
    if width % across or height % down:
        raise ImageError(
            f"{name} stores colour at half resolution: width must be a multiple of {across} "
            f"and height of {down}, got {width}×{height}"
        )
    data_rows = height * numerator // denominator
    flat = _checked(name, data_rows, width * pixel_bytes, step, data)
    # OpenCV takes no padding within a channel's row, and wants two-channel pixels for packed YUV only.
    shape = (data_rows, width) if pixel_bytes == 1 else (data_rows, width, pixel_bytes)
    strides = (step, 1) if pixel_bytes == 1 else (step, pixel_bytes, 1)
    pixels = np.ascontiguousarray(np.ndarray(shape, np.uint8, flat, strides=strides))
    return np.asarray(cv2.cvtColor(pixels, code), np.uint8)
