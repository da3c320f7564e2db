# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Pixels of image messages: exact where nothing is converted, refused where the message contradicts itself."""

from __future__ import annotations

import array

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aliked_ros.errors import ImageError
from aliked_ros.io.messages.encodings import SUPPORTED_ENCODINGS, decode_depth, decode_image, is_deep, is_supported

HEIGHT, WIDTH = 36, 40


def padded(rows: np.ndarray, padding: int) -> tuple[bytes, int]:
    """Rows of bytes with something that is no image behind each, and the step."""
    filler = np.full((len(rows), padding), 0xEE, np.uint8)
    return np.hstack([rows, filler]).tobytes(), rows.shape[1] + padding


@pytest.fixture(scope="module")
def rgb() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


@pytest.mark.parametrize("padding", [0, 1, 24])
@pytest.mark.parametrize(
    ("encoding", "channels"),
    [
        ("rgb8", [0, 1, 2]),
        ("bgr8", [2, 1, 0]),
        ("8UC3", [2, 1, 0]),
        ("rgba8", [0, 1, 2, 0]),
        ("bgra8", [2, 1, 0, 0]),
        ("8UC4", [2, 1, 0, 0]),
        ("RGB8", [0, 1, 2]),
    ],
)
def test_interleaved_colour_is_a_view(rgb: np.ndarray, encoding: str, channels: list[int], padding: int) -> None:
    data, step = padded(rgb[..., channels].reshape(HEIGHT, -1), padding)
    stored = array.array("B", data)
    image = decode_image(encoding, HEIGHT, WIDTH, step, stored)
    np.testing.assert_array_equal(image, rgb)
    assert np.shares_memory(image, np.frombuffer(stored, np.uint8))


@pytest.mark.parametrize("encoding", ["mono8", "8UC1"])
@pytest.mark.parametrize("padding", [0, 8])
def test_grey_is_a_view(rgb: np.ndarray, encoding: str, padding: int) -> None:
    data, step = padded(rgb[..., 0], padding)
    stored = np.frombuffer(data, np.uint8)
    image = decode_image(encoding, HEIGHT, WIDTH, step, stored)
    np.testing.assert_array_equal(image, rgb[..., 0])
    assert np.shares_memory(image, stored)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda d: array.array("B", d), np.frombuffer])
def test_every_kind_of_buffer_is_read(rgb: np.ndarray, kind: object) -> None:
    raw = rgb.tobytes()
    data = np.frombuffer(raw, np.uint8) if kind is np.frombuffer else kind(raw)  # type: ignore[operator]
    np.testing.assert_array_equal(decode_image("rgb8", HEIGHT, WIDTH, 3 * WIDTH, data), rgb)


@pytest.mark.parametrize("padding", [0, 6])
@pytest.mark.parametrize(
    ("encoding", "order"), [("yuv422", "uyvy"), ("uyvy", "uyvy"), ("yuv422_yuy2", "yuyv"), ("yuyv", "yuyv")]
)
def test_packed_yuv(encoding: str, order: str, padding: int) -> None:
    """Colours that are constant over pixel pairs survive 4:2:2 within the rounding of BT.601."""
    rgb = np.random.default_rng(0).integers(30, 226, (HEIGHT, WIDTH // 2, 3), np.uint8).repeat(2, axis=1)
    y, u, v = bt601(rgb)
    planes = {"u": u[:, ::2], "v": v[:, ::2]}
    packed = np.empty((HEIGHT, WIDTH // 2, 4), np.uint8)
    luma = iter((y[:, ::2], y[:, 1::2]))
    for index, name in enumerate(order):
        packed[..., index] = next(luma) if name == "y" else planes[name]
    data, step = padded(packed.reshape(HEIGHT, -1), padding)
    image = decode_image(encoding, HEIGHT, WIDTH, step, data)
    assert np.abs(image.astype(int) - rgb).max() <= 3


@pytest.mark.parametrize("padding", [0, 6])
@pytest.mark.parametrize(("encoding", "order"), [("nv12", "uv"), ("nv21", "vu")])
def test_semi_planar_yuv(encoding: str, order: str, padding: int) -> None:
    rgb = np.random.default_rng(1).integers(30, 226, (HEIGHT // 2, WIDTH // 2, 3), np.uint8)
    rgb = rgb.repeat(2, axis=0).repeat(2, axis=1)
    y, u, v = bt601(rgb)
    chroma = np.stack([{"u": u, "v": v}[name][::2, ::2] for name in order], axis=-1).reshape(HEIGHT // 2, WIDTH)
    data, step = padded(np.vstack([y, chroma]), padding)
    image = decode_image(encoding, HEIGHT, WIDTH, step, data)
    assert np.abs(image.astype(int) - rgb).max() <= 3


def bt601(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Studio-range Y, U and V of 8-bit colours (ITU-R BT.601)."""
    r, g, b = (rgb[..., i].astype(float) for i in range(3))
    y = 16 + (65.481 * r + 128.553 * g + 24.966 * b) / 255
    u = 128 + (-37.797 * r - 74.203 * g + 112.0 * b) / 255
    v = 128 + (112.0 * r - 93.786 * g - 18.214 * b) / 255
    return tuple(np.rint(plane).astype(np.uint8) for plane in (y, u, v))  # type: ignore[return-value]


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer_patterns_give_back_a_flat_colour(pattern: str, padding: int) -> None:
    colour = {"r": 200, "g": 120, "b": 40}
    mosaic = np.tile(np.array([colour[c] for c in pattern], np.uint8).reshape(2, 2), (HEIGHT // 2, WIDTH // 2))
    data, step = padded(mosaic, padding)
    image = decode_image(f"bayer_{pattern}8", HEIGHT, WIDTH, step, data)
    np.testing.assert_array_equal(image, np.broadcast_to((200, 120, 40), image.shape))


@pytest.mark.parametrize(
    ("encoding", "height", "width", "step", "size", "message"),
    [
        ("rgb8", 36, 40, 119, 36 * 119, "step is 119 bytes.*takes 120"),
        ("rgb8", 36, 40, 0, 0, "step is 0 bytes"),
        ("rgb8", 36, 40, 120, 36 * 120 - 1, "4319 bytes, expected .* = 4320"),
        ("rgb8", 36, 40, 120, 36 * 120 + 1, "4321 bytes, expected"),
        ("mono8", 36, 40, 40, 0, "0 bytes, expected"),
        ("nv12", 36, 40, 40, 36 * 40, "1440 bytes, expected step × rows = 40 × 54"),
        ("yuyv", 36, 41, 82, 36 * 82, "multiple of 2"),
        ("nv21", 37, 40, 40, 37 * 40, "multiple of 2"),
        ("rgb8", 0, 0, 0, 0, "at least 32×32 pixels, got 0×0"),
        ("rgb8", 1, 1, 3, 3, "at least 32×32 pixels, got 1×1"),
        ("mono8", 31, 640, 640, 31 * 640, "got 640×31"),
        ("mono8", 640, 31, 31, 31 * 640, "got 31×640"),
        ("", 36, 40, 40, 36 * 40, "unknown encoding ''.*rgb8"),
        ("jpeg", 36, 40, 40, 36 * 40, "unknown encoding 'jpeg'"),
        ("8SC1", 36, 40, 40, 36 * 40, "unknown encoding '8SC1'"),
        ("mono16", 36, 40, 80, 36 * 80, "'mono16' is wider than 8 bits"),
        ("16UC1", 36, 40, 80, 36 * 80, "wider than 8 bits"),
        ("32FC1", 36, 40, 160, 36 * 160, "wider than 8 bits"),
        ("64FC3", 36, 40, 960, 36 * 960, "wider than 8 bits"),
        ("rgb16", 36, 40, 240, 36 * 240, "wider than 8 bits"),
        ("bayer_rggb16", 36, 40, 80, 36 * 80, "wider than 8 bits"),
    ],
)
def test_contradictions_are_refused(encoding: str, height: int, width: int, step: int, size: int, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        decode_image(encoding, height, width, step, bytes(size))


def test_data_of_wider_elements_are_refused() -> None:
    for data in (array.array("H", [0] * 36 * 40), np.zeros(36 * 40, np.int8)):
        with pytest.raises(ImageError, match="must be bytes"):
            decode_image("mono8", 36, 40, 40, data)


def test_what_is_supported_is_what_is_decoded() -> None:
    for encoding in SUPPORTED_ENCODINGS:
        assert is_supported(encoding)
        assert is_supported(encoding.upper())
        assert not is_deep(encoding)
        with pytest.raises(ImageError, match="bytes"):  # it got as far as the data
            decode_image(encoding, 32, 32, 4096, b"")


@settings(max_examples=200, deadline=None)
@given(
    encoding=st.sampled_from([*SUPPORTED_ENCODINGS, "16UC1", "nonsense"]),
    height=st.integers(0, 70),
    width=st.integers(0, 70),
    step=st.integers(0, 300),
    size=st.integers(0, 20000),
)
def test_an_image_is_right_or_refused(encoding: str, height: int, width: int, step: int, size: int) -> None:
    try:
        image = decode_image(encoding, height, width, step, bytes(size))
    except ImageError:
        return
    assert image.dtype == np.uint8
    assert image.shape in ((height, width), (height, width, 3))
    assert min(height, width) >= 32
    assert size in (step * height, step * height * 3 // 2)


@pytest.mark.parametrize("is_bigendian", [False, True])
@pytest.mark.parametrize("padding", [0, 6])
def test_depth_in_millimetres(is_bigendian: bool, padding: int) -> None:
    millimetres = np.array([[0, 1, 1000], [65535, 256, 513]])
    rows = millimetres.astype(">u2" if is_bigendian else "<u2").view(np.uint8).reshape(2, 6)
    data, step = padded(rows, padding)
    depth_m = decode_depth("16UC1", 2, 3, step, is_bigendian, data)
    assert depth_m.dtype == np.float32
    expected = np.array([[np.nan, 0.001, 1.0], [65.535, 0.256, 0.513]], np.float32)
    np.testing.assert_array_equal(depth_m, expected)


@pytest.mark.parametrize("is_bigendian", [False, True])
def test_depth_in_metres_keeps_every_bit(is_bigendian: bool) -> None:
    metres = np.array([[0.1, np.nan, np.inf, -np.inf], [-1.0, 0.0, 3.14159274, 1e-30]], np.float32)
    rows = metres.astype(">f4" if is_bigendian else "<f4").view(np.uint8).reshape(2, 16)
    data, step = padded(rows, 2)
    depth_m = decode_depth("32FC1", 2, 4, step, is_bigendian, data)
    nan = np.nan
    np.testing.assert_array_equal(
        depth_m, np.array([[metres[0, 0], nan, nan, nan], [nan, nan, metres[1, 2], metres[1, 3]]], np.float32)
    )


@pytest.mark.parametrize(
    ("encoding", "height", "width", "step", "size", "message"),
    [
        ("rgb8", 2, 3, 9, 18, "must be 16UC1 .* or 32FC1"),
        ("64FC1", 2, 3, 24, 48, "must be 16UC1"),
        ("16UC1", 2, 3, 5, 10, "takes 6"),
        ("16UC1", 2, 3, 6, 11, "11 bytes, expected"),
        ("32FC1", 0, 3, 12, 0, "must have pixels"),
    ],
)
def test_depth_contradictions_are_refused(
    encoding: str, height: int, width: int, step: int, size: int, message: str
) -> None:
    with pytest.raises(ImageError, match=message):
        decode_depth(encoding, height, width, step, False, bytes(size))


def test_real_colours_of_a_converted_image() -> None:
    """OpenCV's names for channel orders and ROS's mean the same image."""
    bgr = cv2.GaussianBlur(np.random.default_rng(3).integers(0, 256, (64, 64, 3), np.uint8), (0, 0), 8)
    image = decode_image("bgr8", 64, 64, 192, bgr.tobytes())
    np.testing.assert_array_equal(image, cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))
