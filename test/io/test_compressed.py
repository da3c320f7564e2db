# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""JPEG and PNG: decoded exactly, and refused at every length at which they can be cut off."""

from __future__ import annotations

import array
import struct

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aliked_ros.errors import ImageError
from aliked_ros.io.messages.compressed import decode_compressed
from aliked_ros.io.messages.sensor_fields import compressed_image_fields

RGB = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (48, 56, 3), np.uint8), (0, 0), 3)
GREY = np.ascontiguousarray(RGB[..., 1])


def encoded(image: np.ndarray, suffix: str, *options: int) -> bytes:
    stored = image[..., ::-1] if image.ndim == 3 else image
    return cv2.imencode(suffix, stored, list(options))[1].tobytes()


JPEG = encoded(RGB, ".jpg")
PROGRESSIVE = encoded(RGB, ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 2)
PNG = encoded(RGB, ".png")


@pytest.mark.parametrize("image", [RGB, GREY], ids=["rgb", "grey"])
@pytest.mark.parametrize("kind", [bytes, lambda d: array.array("B", d), lambda d: np.frombuffer(d, np.uint8)])
def test_png_is_exact(image: np.ndarray, kind: object) -> None:
    decoded = decode_compressed(kind(encoded(image, ".png")))  # type: ignore[operator]
    np.testing.assert_array_equal(decoded, image)


@pytest.mark.parametrize("data", [JPEG, PROGRESSIVE], ids=["baseline", "progressive with restarts"])
def test_jpeg_is_near(data: bytes) -> None:
    decoded = decode_compressed(data)
    assert decoded.shape == RGB.shape
    assert np.abs(decoded.astype(int) - RGB).mean() < 4


def test_grey_jpeg_stays_grey() -> None:
    assert decode_compressed(encoded(GREY, ".jpg")).shape == GREY.shape


def test_alpha_is_dropped() -> None:
    with_alpha = np.dstack([RGB[..., ::-1], np.full(GREY.shape, 7, np.uint8)])
    data = cv2.imencode(".png", with_alpha)[1].tobytes()
    np.testing.assert_array_equal(decode_compressed(data), RGB)


def test_a_comment_that_looks_like_markers_confuses_nobody() -> None:
    comment = b"\xff\xd9 \xff\xda \xff\xfe"
    data = JPEG[:2] + b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment + JPEG[2:]
    np.testing.assert_array_equal(decode_compressed(data), decode_compressed(JPEG))


def test_fill_bytes_before_markers_are_allowed() -> None:
    data = JPEG[:2] + b"\xff\xff\xff" + JPEG[2:]
    np.testing.assert_array_equal(decode_compressed(data), decode_compressed(JPEG))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xff\xd8\xff\xd9", "is damaged and cannot be decoded"),  # whole, with nothing in it
        (JPEG[:2] + b"\xff\x01\xff\xd0 junk" + JPEG[2:], "JPEG is damaged: no marker at byte 6"),
        (JPEG[:2] + b"\xff\xe0", "cut off"),
        (b"\xff\xd8", "cut off"),
    ],
)
def test_jpegs_of_impossible_structure_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        decode_compressed(data)


def test_padding_behind_the_end_is_allowed() -> None:
    """Some drivers send buffers of a fixed size."""
    np.testing.assert_array_equal(decode_compressed(JPEG + bytes(100)), decode_compressed(JPEG))
    np.testing.assert_array_equal(decode_compressed(PNG + bytes(100)), RGB)


@pytest.mark.parametrize("data", [JPEG, PROGRESSIVE, PNG], ids=["jpeg", "progressive", "png"])
def test_every_cut_is_refused(data: bytes) -> None:
    for length in range(len(data)):
        with pytest.raises(ImageError):
            decode_compressed(data[:length])


def test_a_cut_thumbnail_does_not_end_the_picture() -> None:
    """A whole JPEG inside a segment of another has an end marker of its own."""
    thumbnail = encoded(RGB[::2, ::2], ".jpg")
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    whole = JPEG[:2] + segment + JPEG[2:]
    np.testing.assert_array_equal(decode_compressed(whole), decode_compressed(JPEG))
    with pytest.raises(ImageError, match="cut off"):
        decode_compressed(whole[: len(segment) + 200])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "neither JPEG nor PNG: it starts with nothing"),
        (b"RIFF1234WEBP", "neither JPEG nor PNG: it starts with 52 49"),
        (encoded(RGB, ".bmp"), "neither JPEG nor PNG"),
        (encoded((RGB.astype(np.uint16) * 256), ".png"), "16 bits per sample"),
        (encoded(GREY.astype(np.uint16), ".png"), "16 bits per sample"),
        (encoded(RGB[:31], ".png"), "at least 32×32 pixels, got 56×31"),
        (encoded(RGB[:1, :1], ".jpg"), "at least 32×32 pixels, got 1×1"),
    ],
)
def test_what_is_no_camera_image_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        decode_compressed(data)


def test_a_flipped_bit_in_a_png_is_found() -> None:
    for position in range(8, len(PNG) - 12, 7):
        damaged = bytearray(PNG)
        damaged[position] ^= 4
        with pytest.raises(ImageError):
            decode_compressed(bytes(damaged))


@settings(max_examples=100, deadline=None)
@given(position=st.integers(2, len(JPEG) - 1), value=st.integers(0, 255), length=st.integers(0, len(JPEG)))
def test_a_damaged_jpeg_is_an_image_or_refused(position: int, value: int, length: int) -> None:
    damaged = bytearray(JPEG)
    damaged[position] = value
    try:
        image = decode_compressed(bytes(damaged[:length]))
    except ImageError:
        return
    assert image.dtype == np.uint8
    assert min(image.shape[:2]) >= 32


@pytest.mark.parametrize("image", [RGB, RGB[:, ::-1], GREY], ids=["rgb", "view", "grey"])
def test_what_is_written_is_read(image: np.ndarray) -> None:
    fields = compressed_image_fields(image, 5, "camera", "png")
    np.testing.assert_array_equal(decode_compressed(fields["data"]), image)
    assert fields["format"] in ("rgb8; png compressed bgr8", "mono8; png compressed mono8")
    fields = compressed_image_fields(image, 5, "camera", "jpeg")
    assert np.abs(decode_compressed(fields["data"]).astype(int) - image).mean() < 3
    assert "jpeg" in fields["format"]


def test_an_unknown_compression_is_refused() -> None:
    with pytest.raises(ImageError, match="jpeg or png, got 'webp'"):
        compressed_image_fields(RGB, 5, "camera", "webp")
