# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Single values that programs stumble over, drawn from a seeded generator."""

from __future__ import annotations

import math
import random

from builtin_interfaces.msg import Time
from std_msgs.msg import Header

START_S = 1_700_000_000
_PERIOD_NS = 33_333_333
_NS = 1_000_000_000
_UINT32_MAX = 2**32 - 1
_UNSIGNED = (0, 1, 2, 3, 16, 31, 32, 33, 63, 64, 255, 256, 4095, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1)
_FLOATS = (
    *(0.0, -0.0, math.nan, math.inf, -math.inf, 5e-324, -5e-324, 1e-300, 1e-30, 1e-9, -1.0, 1.0, 1e9),
    *(1e30, -1e30, 1e300, -1e300, 1.7976931348623157e308),
)
_FLOAT32_MAX = 3.4028234663852886e38
_TEXTS = (
    *(
        "",
        " ",
        "camera",
        "left ü",
        "カメラ",
        "\U0001f4f7",
        "a/b",
        "/abs",
        "~",
        "..",
        "%s%n{}",
        "\\",
        "a'b",
        '"',
        "a'\"b",
    ),
    *("line\nbreak", "\r\x1b[31m", "tab\t", "null\x00inside", "\u202eright to left", "\ufeff", "a\u0301\u0301"),
)


def unsigned(rng: random.Random) -> int:
    """A uint32: an edge of something, or anything of any magnitude."""
    if rng.random() < 0.7:
        return rng.choice(_UNSIGNED)
    return rng.getrandbits(rng.randint(1, 32))


def signed(rng: random.Random) -> int:
    """An int32."""
    return rng.choice((0, 1, -1, 2**31 - 1, -(2**31), rng.randint(-(2**31), 2**31 - 1)))


def number(rng: random.Random) -> float:
    """A double, often one that is no number or hardly one."""
    return rng.choice(_FLOATS) if rng.random() < 0.8 else rng.gauss(0.0, 1.0) * 10.0 ** rng.randint(-12, 12)


def number32(rng: random.Random) -> float:
    """The same within the range of a float32, where rclpy takes nothing else."""
    value = number(rng)
    return value if not math.isfinite(value) else max(-_FLOAT32_MAX, min(_FLOAT32_MAX, value))


def text(rng: random.Random, longest: int = 20_000) -> str:
    """A string: none, foreign, with control characters, with quotes, or long."""
    draw = rng.random()
    if draw < 0.8:
        return rng.choice(_TEXTS)[:longest]
    if draw < 0.95:
        return "".join(chr(rng.choice((rng.randint(1, 0xFF), rng.randint(0x100, 0xD7FF)))) for _ in range(8))[:longest]
    return rng.choice("aü") * (min(longest, rng.choice((63, 64, 65, 255, 256, longest))))


def header(rng: random.Random, index: int, hostile: float = 0.1) -> Header:
    """A header whose stamps go on with the index, as a camera's do, but for a share that is hostile."""
    message = Header(frame_id="camera")
    seconds, nanoseconds = divmod(index * _PERIOD_NS, _NS)
    message.stamp = Time(sec=START_S + seconds % _NS, nanosec=nanoseconds)
    if rng.random() < hostile:
        message.stamp = stamp(rng)
    if rng.random() < hostile:
        message.frame_id = text(rng)
    return message


def stamp(rng: random.Random) -> Time:
    """A stamp that no clock gives: zero, negative, with more nanoseconds than a second has."""
    nanoseconds = rng.choice((0, 1, _NS - 1, _NS, 2**31, _UINT32_MAX, rng.getrandbits(32)))
    return Time(sec=signed(rng), nanosec=nanoseconds)
