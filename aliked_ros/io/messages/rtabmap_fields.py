# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Features as rtabmap_msgs/RGBDImage carries them: key points, 3-D points, and descriptors as compressed bytes.

rtabmap's node wants as many points and descriptors as key points, or none. Points are in the camera's optical frame.

Sources: corelib/src/Compression.cpp of https://github.com/introlab/rtabmap (compressData, uncompressData);
rtabmap_msgs and rtabmap_conversions of https://github.com/introlab/rtabmap_ros.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aliked_ros.camera import Camera
from aliked_ros.errors import CalibrationError, ShapeError
from aliked_ros.features import Features, Float32Array

# OpenCV's codes of single-channel matrices, CV_8UC1 to CV_64FC1.
_TYPE_CODES = {"u1": 0, "i1": 1, "u2": 2, "i2": 3, "i4": 4, "f4": 5, "f8": 6}

# ALIKED measures no scale, angle or octave: OpenCV's values for "not applicable", and the size of DKD's window.
UNMEASURED = {"size": 5.0, "angle": -1.0, "octave": 0, "class_id": -1}


def compress_matrix(matrix: NDArray[Any]) -> bytes:
    """A matrix (rows, columns) as rtabmap's compressData writes it; no bytes for an empty one.

    The elements row by row, deflated by zlib, and behind that three little-endian int32: rows, columns, OpenCV's type.

    Raises:
        ShapeError: it is no matrix, or OpenCV has no such element.
    """
    kind = matrix.dtype.str[1:]
    if matrix.ndim != 2 or kind not in _TYPE_CODES:
        raise ShapeError(
            f"a matrix to compress must have two dimensions and one of the types {', '.join(_TYPE_CODES)}, "
            f"got {matrix.dtype} {matrix.shape}"
        )
    if not matrix.size:
        return b""
    elements = np.ascontiguousarray(matrix, matrix.dtype.newbyteorder("<"))
    return zlib.compress(elements.tobytes()) + struct.pack("<3i", *matrix.shape, _TYPE_CODES[kind])


def points_in_camera(features: Features, depth_m: Float32Array | None, camera: Camera) -> NDArray[np.float32]:
    """Where the features are, (N, 3) metres in the optical frame, NaN where the depth is unknown; (0, 3) without depth.

    Raises:
        CalibrationError: the camera is calibrated for images of another size.
    """
    size = features.image_width, features.image_height
    if (camera.width, camera.height) != size:
        raise CalibrationError(
            f"camera_info is for {camera.width}×{camera.height} pixels, the features are of an image of "
            f"{size[0]}×{size[1]}; connect the camera_info of that image"
        )
    if depth_m is None:
        return np.empty((0, 3), np.float32)
    rays = np.c_[camera.normalise(features.keypoints_xy), np.ones(len(features), np.float32)]
    return np.asarray(rays * depth_m[:, None], np.float32)
