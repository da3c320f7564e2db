# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Image files in and out: whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from aliked_ros.errors import ImageError, SourceError
from aliked_ros.io.messages.compressed import check_whole

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".ppm", ".pgm")
TUM_DEPTH_SCALE = 5000.0  # units of a 16-bit depth PNG per metre; 0 means that nothing was measured

_REMEDY = "copy or download the file again, or take it out of the sequence"


def read_image(path: Path) -> NDArray[np.uint8]:
    """The image in a file: (H, W, 3) uint8 RGB, or (H, W) uint8 when it is grey; 16 bits are scaled to 8.

    Raises:
        SourceError: the file is missing, cut off, or no image.
    """
    return decode_image(_read_bytes(path), str(path))


def decode_image(data: bytes, name: str) -> NDArray[np.uint8]:
    """The image in the bytes of an image file, as :func:`read_image`; the name is for the error only."""
    image = _decode(data, name, cv2.IMREAD_ANYCOLOR)
    return np.asarray(image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def read_depth(path: Path) -> NDArray[np.float32]:
    """A depth image as TUM RGB-D stores it, (H, W) float32 metres with NaN where nothing was measured.

    Raises:
        SourceError: the file is missing, cut off, or not a grey image of 16 bits.
    """
    image = _decode(_read_bytes(path), str(path), cv2.IMREAD_UNCHANGED)
    if image.dtype != np.uint16 or image.ndim != 2:
        channels = 1 if image.ndim == 2 else image.shape[2]
        raise SourceError(
            f"{path}: a depth image has one channel of 16 bits, this has {channels} of {image.itemsize * 8}; "
            "store depth as 16-bit PNG, 5000 per metre"
        )
    depth_m = image.astype(np.float32) / np.float32(TUM_DEPTH_SCALE)
    depth_m[image == 0] = np.nan
    return depth_m


def write_image(path: Path, image: NDArray[np.uint8]) -> None:
    """Writes an (H, W, 3) RGB or (H, W) grey image in the format of the file's suffix.

    Raises:
        SourceError: the suffix is unknown or the file cannot be written.
    """
    _write(path, cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image)


def write_depth(path: Path, depth_m: NDArray[np.float32]) -> None:
    """Writes depth (H, W) in metres as a TUM depth PNG: nearest 0.2 mm; 0 for NaN and beyond 13.1 m."""
    units = np.rint(np.nan_to_num(depth_m, nan=0.0, posinf=0.0, neginf=0.0) * TUM_DEPTH_SCALE)
    _write(path, np.where((units > 0) & (units <= 65535), units, 0).astype(np.uint16))


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}); {_REMEDY}") from error


def _decode(data: bytes, name: str, flags: int) -> NDArray[Any]:
    if not data:
        raise SourceError(f"{name}: the file is empty; {_REMEDY}")
    try:
        # Some OpenCV versions fill what is missing of a cut-off file with grey and call that success.
        check_whole(data)
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except ImageError as error:
        raise SourceError(f"{name}: {error}; {_REMEDY}") from error
    except cv2.error as error:
        raise SourceError(f"{name}: cannot be decoded ({error.err}); {_REMEDY}") from error
    if image is None:
        raise SourceError(f"{name}: not an image, or a damaged one ({len(data)} bytes); {_REMEDY}")
    return image


def _write(path: Path, image: NDArray[Any]) -> None:
    try:
        done, encoded = cv2.imencode(path.suffix, image)
    except cv2.error as error:
        raise SourceError(f"{path}: no image format {path.suffix!r} is known; use .png or .jpg") from error
    if not done:
        raise SourceError(f"{path}: an image of shape {image.shape} cannot be stored as {path.suffix}; use .png")
    try:
        path.write_bytes(encoded.tobytes())
    except OSError as error:
        raise SourceError(f"{path}: cannot be written ({error.strerror}); choose a folder you may write to") from error
