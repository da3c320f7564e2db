# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Image, CompressedImage and CameraInfo messages, valid, and broken in every field."""

from __future__ import annotations

import array
import functools
import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from tools.fuzz import values
from tools.fuzz.pictures import picture

SIZES = ((32, 32), (64, 48), (48, 64), (33, 47), (64, 64), (31, 64), (34, 40))  # height, width
_BROKEN = 0.5  # share of the messages that are
_ENCODINGS = {  # by the bytes of a pixel
    1: ("mono8", "8UC1", "bayer_rggb8", "bayer_bggr8", "bayer_gbrg8", "bayer_grbg8"),
    1.5: ("nv12", "nv21"),
    2: ("yuv422", "uyvy", "yuv422_yuy2", "yuyv", "mono16", "16UC1", "bayer_rggb16"),
    3: ("rgb8", "bgr8", "8UC3", "RGB8"),
    4: ("rgba8", "bgra8", "8UC4", "32FC1"),
    6: ("rgb16",),
    8: ("64FC1",),
    12: ("32FC3",),
}
_BYTES_PER_PIXEL = {name: size for size, names in _ENCODINGS.items() for name in names}
_UNKNOWN_ENCODINGS = ("", "jpeg", "rgb", "RGB8 ", "8UC5", "8SC1", "yuv444", "nv24", "mono8\x00", "ı8uc1", "8uc")
_MODELS = {"plumb_bob": (0, 4, 5), "rational_polynomial": (8, 12, 14), "equidistant": (4,), "fisheye": (4,), "": (0, 5)}
_Change = Callable[[random.Random, Any], None]


def image(rng: random.Random, index: int) -> Image:
    """A camera image of any encoding."""
    message = _whole_image(rng, index, rng.choice(tuple(_BYTES_PER_PIXEL)))
    return _perhaps_broken(rng, message, _IMAGE_CHANGES)


def depth(rng: random.Random, index: int) -> Image:
    """A depth image."""
    message = _whole_image(rng, index, rng.choice(("16UC1", "32FC1")))
    return _perhaps_broken(rng, message, _IMAGE_CHANGES)


def compressed(rng: random.Random, index: int) -> CompressedImage:
    """A compressed image; what is broken is the file in it, the format's name is nobody's business."""
    message = CompressedImage(header=values.header(rng, index))
    message.format = rng.choice(("jpeg", "png", "rgb8; jpeg compressed bgr8", values.text(rng)))
    message.data = array.array("B", picture(rng))
    return message


def camera_info(rng: random.Random, index: int) -> CameraInfo:
    """A calibration; the valid ones are of a size that images have, so that they are used."""
    height, width = rng.choice(SIZES)
    message = CameraInfo(header=values.header(rng, index), height=height, width=width)
    message.distortion_model = rng.choice(tuple(_MODELS))
    count = rng.choice(_MODELS[message.distortion_model])
    message.d = array.array("d", [rng.gauss(0.0, 0.05) for _ in range(count)])
    focal = rng.uniform(20.0, 200.0)
    message.k = np.array([focal, 0, width / 2, 0, focal, height / 2, 0, 0, 1], np.float64)
    message.p = np.array([focal, 0, width / 2, 0, 0, focal, height / 2, 0, 0, 0, 1, 0], np.float64)
    return _perhaps_broken(rng, message, _INFO_CHANGES)


def _perhaps_broken(rng: random.Random, message: Any, changes: tuple[_Change, ...]) -> Any:
    if rng.random() < _BROKEN:
        for _ in range(rng.choice((1, 1, 2, 4))):
            rng.choice(changes)(rng, message)
    return message


def _whole_image(rng: random.Random, index: int, encoding: str) -> Image:
    height, width = SIZES[index // 16 % len(SIZES)] if rng.random() < 0.8 else rng.choice(SIZES)
    message = Image(header=values.header(rng, index), height=height, width=width, encoding=encoding)
    pixel_bytes = _BYTES_PER_PIXEL[encoding]
    message.step = math.ceil(width * max(1, pixel_bytes if pixel_bytes != 1.5 else 1)) + rng.choice((0, 0, 0, 1, 16))
    rows = height * 3 // 2 if pixel_bytes == 1.5 else height
    size = message.step * rows
    junk = _junk()
    start = rng.randrange(len(junk) - size)
    message.data = array.array("B", junk[start : start + size])
    message.is_bigendian = rng.choice((0, 0, 1))
    return message


@functools.cache
def _junk() -> bytes:
    """Pixels: noise, which is cheap to cut from one long piece."""
    return random.Random(1).randbytes(1 << 18)


def _set_unsigned(name: str) -> _Change:
    def change(rng: random.Random, message: Any) -> None:
        setattr(message, name, values.unsigned(rng))

    return change


def _set_encoding(rng: random.Random, message: Any) -> None:
    message.encoding = rng.choice(
        (rng.choice(_UNKNOWN_ENCODINGS), rng.choice(tuple(_BYTES_PER_PIXEL)), values.text(rng))
    )


def _set_endianness(rng: random.Random, message: Any) -> None:
    message.is_bigendian = rng.choice((0, 1, 2, 255))


def _resize_data(rng: random.Random, message: Any) -> None:
    data = message.data
    choice = rng.randrange(4)
    if choice == 0:
        message.data = array.array("B")
    elif choice == 1:
        message.data = data[: rng.randint(0, len(data))]
    elif choice == 2:
        message.data = data + array.array("B", rng.randbytes(rng.choice((1, message.step & 0xFFF, 4096))))
    else:  # a size that its header can only dream of, and the two agree
        message.height, message.width = rng.choice(((1, 2**32 - 1), (2**32 - 1, 1), (2**16, 2**16), (0, 0), (32, 1)))
        message.step = message.width & 0xFFFFFFFF


def _set_stamp(rng: random.Random, message: Any) -> None:
    message.header.stamp = values.stamp(rng)


def _set_frame(rng: random.Random, message: Any) -> None:
    message.header.frame_id = values.text(rng)


def _set_number(name: str) -> _Change:
    def change(rng: random.Random, message: Any) -> None:
        numbers = getattr(message, name)
        for _ in range(rng.choice((1, 1, 3)) if len(numbers) else 0):
            numbers[rng.randrange(len(numbers))] = values.number(rng)

    return change


def _set_all_numbers(name: str) -> _Change:
    def change(rng: random.Random, message: Any) -> None:
        value = values.number(rng)
        for at in range(len(getattr(message, name))):
            getattr(message, name)[at] = value

    return change


def _set_coefficients(rng: random.Random, message: Any) -> None:
    count = rng.choice((0, 1, 3, 4, 5, 8, 12, 14, 15, 1000))
    if rng.random() < 0.01:
        count = 100_000
    message.d = array.array("d", [values.number(rng)] * count)


def _set_model(rng: random.Random, message: Any) -> None:
    message.distortion_model = rng.choice((rng.choice(tuple(_MODELS)), values.text(rng)))


def _set_binning(rng: random.Random, message: Any) -> None:
    message.binning_x, message.binning_y = values.unsigned(rng), values.unsigned(rng)


def _set_roi(rng: random.Random, message: Any) -> None:
    roi = message.roi
    for name in ("x_offset", "y_offset", "width", "height"):
        if rng.random() < 0.6:
            setattr(roi, name, values.unsigned(rng))
    roi.do_rectify = rng.random() < 0.5


_HEADER_CHANGES: tuple[_Change, ...] = (_set_stamp, _set_frame, _set_unsigned("height"), _set_unsigned("width"))
_IMAGE_CHANGES: tuple[_Change, ...] = (
    *_HEADER_CHANGES,
    _set_unsigned("step"),
    _set_encoding,
    _set_endianness,
    _resize_data,
    _resize_data,
)
_INFO_CHANGES: tuple[_Change, ...] = (
    *_HEADER_CHANGES,
    *(_set_number(name) for name in "kdrp"),
    *(_set_all_numbers(name) for name in "kdp"),
    _set_coefficients,
    _set_model,
    _set_binning,
    _set_roi,
)
