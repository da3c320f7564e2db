# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""JPEG and PNG images, refused when they are cut off: OpenCV fills what is missing with grey, silently."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np

from aliked_ros.errors import ImageError
from aliked_ros.io.messages.encodings import ImageArray, as_bytes, check_area, check_size

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_JPEG_START = b"\xff\xd8"
_JPEG_END_MARKER = 0xD9
_JPEG_SCAN_MARKER = 0xDA
_JPEG_FRAME_MARKERS = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})  # SOFn; the others are DHT, JPG and DAC
_JPEG_HUFFMAN_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
# What a byte can hold at most. Huffman-coded JPEG: a bit for the first coefficient of every 8×8 block of one component
# at least (T.81, F.1.2 and G.1.2), which is 512 pixels; deflate: 1032 bytes (RFC 1951, 258 bytes for two bits).
_JPEG_PIXELS_PER_BYTE, _DEFLATE_RATIO = 512, 1032
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_MAX_JPEG_SCANS = 100  # encoders make about ten; each costs the decoder a walk over the whole image
_JPEG_LONE_MARKERS = frozenset({0x01, *range(0xD0, 0xD8)})  # TEM and RSTn carry no length
# In entropy-coded data a 0xFF before a zero is data, and restart markers change nothing (ITU-T T.81, B.1.1).
_JPEG_MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")


def decode_compressed(data: Any) -> ImageArray:
    """The pixels of a JPEG or PNG file, (H, W, 3) RGB or (H, W) grey uint8, at least 32×32.

    The kind is told by the data, because drivers write many things into ``CompressedImage.format``.

    Raises:
        ImageError: no JPEG or PNG, cut off, damaged, deeper than 8 bits or too small.
    """
    flat = as_bytes(data)
    content = flat.data
    if not check_whole(content):
        start = bytes(content[:8]).hex(" ") or "nothing"
        raise ImageError(f"compressed image is neither JPEG nor PNG: it starts with {start}")
    return _decode(flat)


def check_whole(content: memoryview | bytes) -> bool:
    """Whether this is a JPEG or a PNG; False leaves other formats to whoever decodes them.

    Raises:
        ImageError: it is one, but cut off, damaged, or of a size that would fill the memory.
    """
    if bytes(content[:2]) == _JPEG_START:
        _check_jpeg(content)
        return True
    if bytes(content[:8]) == _PNG_SIGNATURE:
        _check_png(content)
        return True
    return False


def _decode(flat: ImageArray) -> ImageArray:
    try:
        image = cv2.imdecode(flat, cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ImageError(f"compressed image of {len(flat)} bytes cannot be decoded: {error.err}") from error
    if image is None:
        raise ImageError(f"compressed image of {len(flat)} bytes is damaged and cannot be decoded")
    if image.dtype != np.uint8:
        raise ImageError(
            f"compressed image has {8 * image.itemsize} bits per sample; a camera image must have 8: "
            "16-bit PNG is for depth"
        )
    check_size(*image.shape[:2])
    if image.ndim == 2:
        return np.asarray(image, np.uint8)
    return np.asarray(image[..., 2::-1], np.uint8)


def _check_jpeg(content: memoryview | bytes) -> None:
    """Refuses what the decoder would fill up, fill the memory with, or take for ever for."""
    size, scans = len(content), 0
    for marker, position in _jpeg_segments(content):
        if marker in _JPEG_FRAME_MARKERS and position + 7 <= size:
            height, width = struct.unpack_from(">HH", content, position + 3)
            check_area(height, width)
            if marker in _JPEG_HUFFMAN_FRAMES and height * width > size * _JPEG_PIXELS_PER_BYTE:
                raise ImageError(f"JPEG of {size} bytes is too short for the {width}×{height} pixels it claims to have")
        scans += marker == _JPEG_SCAN_MARKER
        if scans > _MAX_JPEG_SCANS:
            raise ImageError(f"JPEG of {size} bytes has more than {_MAX_JPEG_SCANS} scans, which no encoder makes")


def _jpeg_segments(content: memoryview | bytes) -> Iterator[tuple[int, int]]:
    """The marker of each segment and where its length lies, to the end-of-image marker (ITU-T T.81, annex B)."""
    position, size = 2, len(content)
    while position + 2 <= size:
        if content[position] != 0xFF:
            raise ImageError(f"JPEG is damaged: no marker at byte {position} of {size}")
        marker = content[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        position += 2
        if marker == _JPEG_END_MARKER:
            return
        if marker in _JPEG_LONE_MARKERS:
            continue
        if position + 2 > size:
            break
        yield marker, position
        position += (content[position] << 8) | content[position + 1]
        if marker == _JPEG_SCAN_MARKER:
            found = _JPEG_MARKER.search(content, position)
            if found is None:
                break
            position = found.start()
    raise ImageError(f"JPEG of {size} bytes is cut off: it has no end-of-image marker")


def _check_png(content: memoryview | bytes) -> None:
    """Walks the chunks, with their checksums, to IEND (ISO/IEC 15948, clause 5)."""
    position, size = len(_PNG_SIGNATURE), len(content)
    while position + 12 <= size:
        (length,) = struct.unpack_from(">I", content, position)
        end = position + 12 + length
        if end > size:
            break
        (checksum,) = struct.unpack_from(">I", content, end - 4)
        if zlib.crc32(content[position + 4 : end - 4]) != checksum:
            raise ImageError(f"PNG is damaged: the chunk at byte {position} has a wrong checksum")
        kind = bytes(content[position + 4 : position + 8])
        if kind == b"IHDR" and length >= 10:
            _check_png_size(size, *struct.unpack_from(">IIBB", content, position + 8))
        if kind == b"IEND":
            return
        position = end
    raise ImageError(f"PNG of {size} bytes is cut off: it has no IEND chunk")


def _check_png_size(size: int, width: int, height: int, bits: int, colour: int) -> None:
    check_area(height, width)
    needed = height * width * bits * _PNG_CHANNELS.get(colour, 1) // 8
    if needed > size * _DEFLATE_RATIO:
        raise ImageError(f"PNG of {size} bytes is too short for the {width}×{height} pixels it claims to have")
