# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Damage to bytes, as networks, disks and hostile senders do it."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

_LENGTHS = (0, 1, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
_Change = Callable[[random.Random, bytearray], bytearray]


def damaged(rng: random.Random, data: bytes, most: int = 3) -> bytes:
    """The bytes with one or several changes; an empty file only grows."""
    content = bytearray(data)
    for _ in range(rng.randint(1, most)):
        content = rng.choice(_CHANGES)(rng, content)
    return bytes(content)


def _cut(rng: random.Random, data: bytearray) -> bytearray:
    return data[: rng.randint(0, len(data))]


def _flip(rng: random.Random, data: bytearray) -> bytearray:
    for _ in range(rng.choice((1, 1, 2, 8)) if data else 0):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return data


def _overwrite(rng: random.Random, data: bytearray) -> bytearray:
    if data:
        start = rng.randrange(len(data))
        junk = rng.randbytes(rng.randint(1, 16))
        data[start : start + len(junk)] = junk[: len(data) - start]
    return data


def _overwrite_length(rng: random.Random, data: bytearray) -> bytearray:
    """Where lengths, counts and sizes lie: at multiples of four bytes, in either byte order."""
    if len(data) >= 4:
        value = rng.choice((rng.choice(_LENGTHS), rng.getrandbits(rng.randint(1, 32))))
        struct.pack_into(rng.choice("<>") + "I", data, 4 * rng.randrange(len(data) // 4), value)
    return data


def _insert(rng: random.Random, data: bytearray) -> bytearray:
    start = rng.randint(0, len(data))
    return data[:start] + rng.randbytes(rng.randint(1, 64)) + data[start:]


def _remove(rng: random.Random, data: bytearray) -> bytearray:
    start = rng.randint(0, len(data))
    return data[:start] + data[start + rng.randint(1, 64) :]


def _repeat(rng: random.Random, data: bytearray) -> bytearray:
    start = rng.randint(0, len(data))
    return data[:start] + data[start : start + rng.randint(1, 256)] * 2 + data[start:]


_CHANGES: tuple[_Change, ...] = (_cut, _flip, _flip, _overwrite, _overwrite_length, _insert, _remove, _repeat)
