# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""JPEG and PNG files, whole, damaged so that checksums still fit, and bombs: small files of gigantic images."""

from __future__ import annotations

import functools
import random
import struct
import zlib
from collections.abc import Callable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.fuzz.mutation import damaged
from tools.fuzz.values import unsigned

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_JPEG_FRAME_MARKERS = tuple(bytes((0xFF, 0xC0 + kind)) for kind in (0, 1, 2))
_SIZES = ((32, 32), (48, 64), (33, 47))  # height, width


@functools.cache
def whole_pictures() -> tuple[bytes, ...]:
    """Every kind that OpenCV writes and a camera may send; the last ones are kinds that are refused."""
    return tuple(_encoded())


def picture(rng: random.Random) -> bytes:
    """A file: whole, damaged, damaged below a right checksum, with another size, or a bomb."""
    whole = rng.choice(whole_pictures())
    draw = rng.random()
    if draw < 0.4:
        return whole
    if draw < 0.6:
        return damaged(rng, whole)
    if draw < 0.97:
        return rng.choice(_DAMAGES)(rng, whole)
    return rng.choice((_png_bomb, _jpeg_bomb, _scan_bomb, _noise))(rng)


def _encoded() -> Iterator[bytes]:
    generator = np.random.default_rng(0)
    jpeg: tuple[list[int], ...] = (
        [],
        [cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
        [cv2.IMWRITE_JPEG_RST_INTERVAL, 2, cv2.IMWRITE_JPEG_QUALITY, 40],
        [cv2.IMWRITE_JPEG_OPTIMIZE, 1],
    )
    for height, width in _SIZES:
        colour = _blurred(generator, (height, width, 3))
        alpha = np.dstack([colour, colour[..., :1]])
        for options in jpeg:
            yield _encode(".jpg", colour, options)
        yield _encode(".jpg", colour[..., 0])
        for pixels in (colour, colour[..., 0], alpha):
            yield _encode(".png", pixels)
        yield _encode(".png", (colour > 128).astype(np.uint8)[..., 0] * 255, [cv2.IMWRITE_PNG_BILEVEL, 1])
        yield _encode(".png", colour[..., 0].astype(np.uint16) * 257)
        for other in (".bmp", ".webp", ".tiff", ".ppm"):
            yield _encode(other, colour)


def _blurred(generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    return np.asarray(cv2.GaussianBlur(generator.integers(0, 256, shape, np.uint8), (0, 0), 1.2), np.uint8)


def _encode(suffix: str, pixels: NDArray[np.generic], options: list[int] | None = None) -> bytes:
    done, encoded = cv2.imencode(suffix, np.ascontiguousarray(pixels), options or [])
    assert done, suffix
    return bytes(encoded)


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG file with its checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_of(width: int, height: int, content: bytes, bits: int = 8, colour: int = 2) -> bytes:
    """A PNG file that says it has this size, whatever its compressed content holds."""
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return _PNG_SIGNATURE + png_chunk(b"IHDR", head) + png_chunk(b"IDAT", content) + png_chunk(b"IEND", b"")


def jpeg_with_size(data: bytes, width: int, height: int) -> bytes:
    """A JPEG file whose frame header says another size."""
    found = [data.find(marker) for marker in _JPEG_FRAME_MARKERS]
    start = min((position for position in found if position >= 0), default=-1)
    if start < 0:
        return data
    return data[: start + 5] + struct.pack(">HH", height, width) + data[start + 9 :]


def _png_damaged_inside(rng: random.Random, data: bytes) -> bytes:
    """Chunks dropped, doubled, damaged, of a wrong kind, each with a right checksum."""
    if not data.startswith(_PNG_SIGNATURE):
        return damaged(rng, data)
    chunks = list(_chunks(data))
    at = rng.randrange(len(chunks))
    kind, content = chunks[at]
    choice = rng.randrange(5)
    if choice == 0:
        del chunks[at]
    elif choice == 1:
        chunks.insert(rng.randint(0, len(chunks)), chunks[at])
    elif choice == 2:
        chunks[at] = (rng.choice((b"IDAT", b"PLTE", b"tRNS", b"zTXt", b"acTL", b"fdAT", b"abcd")), content)
    else:
        chunks[at] = (kind, damaged(rng, content) if content else rng.randbytes(rng.randint(1, 32)))
    return _PNG_SIGNATURE + b"".join(png_chunk(*chunk) for chunk in chunks)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = len(_PNG_SIGNATURE)
    while position < len(data):
        (length,) = struct.unpack_from(">I", data, position)
        yield data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        position += 12 + length


def _other_size(rng: random.Random, data: bytes) -> bytes:
    if data.startswith(_PNG_SIGNATURE):
        head = bytearray(data[16:29])
        struct.pack_into(">II", head, 0, unsigned(rng), unsigned(rng))
        if rng.random() < 0.5:  # bit depth, colour type, compression, filter, interlacing
            head[rng.randint(8, 12)] = rng.choice((0, 1, 2, 3, 4, 6, 8, 16, rng.randrange(256)))
        return _PNG_SIGNATURE + png_chunk(b"IHDR", bytes(head)) + data[33:]
    return jpeg_with_size(data, unsigned(rng) & 0xFFFF, unsigned(rng) & 0xFFFF)


def _jpeg_damaged_inside(rng: random.Random, data: bytes) -> bytes:
    """Damage in the middle; the start and the end stay, so that the file looks whole."""
    if not data.startswith(b"\xff\xd8"):
        return damaged(rng, data)
    return data[:2] + damaged(rng, data[2:-2]) + data[-2:]


def _png_bomb(rng: random.Random) -> bytes:
    width, height = rng.choice(((30_000, 30_000), (16_000, 60_000), (1_000_000, 1000), (2**31 - 1, 2**31 - 1)))
    return png_of(width, height, zlib.compress(bytes(100_000)), *rng.choice(((8, 2), (8, 0), (1, 0), (16, 6))))


def _jpeg_bomb(rng: random.Random) -> bytes:
    size = rng.choice(((65_500, 65_500), (65_535, 16_000), (30_000, 30_000)))
    return jpeg_with_size(rng.choice(whole_pictures()[:5]), *size)


def _scan_bomb(rng: random.Random) -> bytes:
    """A progressive JPEG with a thousand scans; each makes the decoder walk over the whole image again."""
    data = jpeg_with_size(whole_pictures()[1], *rng.choice(((64, 48), (4000, 3000))))
    start = data.rfind(b"\xff\xda")
    return data[:start] + data[start:-2] * 1000 + b"\xff\xd9"


def _noise(rng: random.Random) -> bytes:
    return rng.choice((b"", b"\xff\xd8", _PNG_SIGNATURE, b"GIF89a", b"RIFF")) + rng.randbytes(
        rng.choice((0, 1, 9, 500))
    )


_DAMAGES: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    _png_damaged_inside,
    _other_size,
    _jpeg_damaged_inside,
)
