# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""rtabmap's compressed matrices, byte for byte, and points in the camera's frame."""

from __future__ import annotations

import ctypes
import ctypes.util
import dataclasses
import zlib

import numpy as np
import pytest
from message_samples import make_features

from aliked_ros.camera import TUM_CAMERAS
from aliked_ros.errors import CalibrationError, ShapeError
from aliked_ros.io.messages.rtabmap_fields import compress_matrix, points_in_camera

# CV_MAKETYPE(depth, channels) of OpenCV's types_c.h: the depth's number where there is one channel.
TYPES = {0: "<u1", 1: "<i1", 2: "<u2", 3: "<i2", 4: "<i4", 5: "<f4", 6: "<f8"}
TRAILER_BYTES = 12


def uncompressed(data: bytes) -> np.ndarray:
    """A matrix as rtabmap's uncompressData reads it, written from its specification."""
    if len(data) < TRAILER_BYTES:
        return np.empty((0, 0))
    rows, columns, code = (int.from_bytes(data[end - 4 : end or None], "little", signed=True) for end in (-8, -4, 0))
    stream = zlib.decompressobj()
    # rtabmap hands zlib the trailer, too, which lies behind the stream's end.
    elements = stream.decompress(data) + stream.flush()
    assert stream.eof
    assert len(stream.unused_data) == TRAILER_BYTES
    return np.frombuffer(elements, TYPES[code]).reshape(rows, columns)


@pytest.mark.parametrize("kind", TYPES.values())
@pytest.mark.parametrize("shape", [(1, 1), (7, 128), (300, 64), (1, 5), (5, 1)])
def test_matrices_come_back_as_they_were(kind: str, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    matrix = (rng.normal(size=shape) * 100).astype(kind)
    data = compress_matrix(matrix)
    back = uncompressed(data)
    assert (back.dtype, back.shape) == (matrix.dtype, matrix.shape)
    assert back.tobytes() == matrix.tobytes()


@pytest.mark.parametrize("shape", [(0, 128), (0, 0), (4, 0)])
def test_an_empty_matrix_has_no_bytes(shape: tuple[int, int]) -> None:
    assert compress_matrix(np.empty(shape, np.float32)) == b""
    assert uncompressed(b"").size == 0


def test_the_trailer_holds_rows_columns_and_type() -> None:
    data = compress_matrix(np.arange(6, dtype=np.float32).reshape(2, 3))
    assert data[-TRAILER_BYTES:] == bytes([2, 0, 0, 0, 3, 0, 0, 0, 5, 0, 0, 0])  # CV_32FC1 = 5
    assert data[:2] == b"\x78\x9c"  # zlib, default level


def test_the_stream_is_that_of_the_system_s_zlib() -> None:
    """rtabmap calls zlib's compress()."""
    name = ctypes.util.find_library("z")
    if name is None:
        pytest.skip("no libz to compare with")
    library = ctypes.CDLL(name)
    library.zlibVersion.restype = ctypes.c_char_p
    if library.zlibVersion().decode() != zlib.ZLIB_RUNTIME_VERSION:
        pytest.skip("Python's zlib is another one than the system's")
    matrix = make_features(50, 128).descriptors
    raw = matrix.tobytes()
    length = ctypes.c_ulong(len(raw) * 2 + 64)
    buffer = ctypes.create_string_buffer(length.value)
    assert library.compress(buffer, ctypes.byref(length), raw, ctypes.c_ulong(len(raw))) == 0
    assert compress_matrix(matrix)[:-TRAILER_BYTES] == buffer.raw[: length.value]


def test_rows_that_are_not_contiguous_and_big_endian_ones() -> None:
    matrix = np.arange(24, dtype=np.float32).reshape(4, 6)
    np.testing.assert_array_equal(uncompressed(compress_matrix(matrix[::2, ::-1])), matrix[::2, ::-1])
    np.testing.assert_array_equal(uncompressed(compress_matrix(matrix.astype(">f4"))), matrix)


@pytest.mark.parametrize("matrix", [np.zeros(3, np.float32), np.zeros((2, 2), np.float16), np.zeros((2, 2), np.int64)])
def test_what_opencv_has_no_type_for_is_refused(matrix: np.ndarray) -> None:
    with pytest.raises(ShapeError, match="a matrix to compress must have two dimensions"):
        compress_matrix(matrix)


def test_points_are_where_their_pixels_and_depth_say() -> None:
    camera, features = TUM_CAMERAS["fr1"], make_features(50)
    depth_m = np.linspace(0.5, 4.0, 50, dtype=np.float32)
    depth_m[7] = np.nan
    points = points_in_camera(features, depth_m, camera)
    known = np.isfinite(depth_m)
    np.testing.assert_array_equal(points[known, 2], depth_m[known])
    np.testing.assert_allclose(
        camera.project(points[known].astype(np.float64)), features.keypoints_xy[known], atol=1e-2
    )
    assert np.isnan(points[7]).all()
    assert points_in_camera(features, None, camera).shape == (0, 3)


def test_a_camera_of_another_size_is_refused() -> None:
    features = dataclasses.replace(make_features(), image_width=320, image_height=240)
    with pytest.raises(CalibrationError, match=r"camera_info is for 640×480 pixels"):
        points_in_camera(features, None, TUM_CAMERAS["fr1"])
