# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Features, Matches and Tracks messages, valid, and broken in every field; also as other libraries decode them."""

from __future__ import annotations

import array
import random
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from aliked_msgs.msg import Features, Matches, Tracks
from tools.fuzz import values

_BROKEN = 0.55
_MOST_ROWS = 12
_UINT64_MAX = 2**64 - 1
_ELEMENT_BYTES = (0, 4, 2, 1)  # of the descriptor types, by their number
_Change = Callable[[random.Random, Any], None]


def features(rng: random.Random, index: int) -> Features:
    """What the tracker found in an image."""
    count = rng.randint(0, _MOST_ROWS)
    message = Features(header=values.header(rng, index), num_features=count)
    _fill_common(rng, message, index)
    _fill_floats(rng, message, {"xy": 2 * count})
    _fill_floats(rng, message, dict.fromkeys(("scores", "sigma_px", "depth_m"), count), absent=0.4)
    message.track_ids = array.array("q", [rng.randint(-1, 1000) for _ in range(count)])
    message.descriptor_dtype = rng.randrange(4)
    message.descriptor_dim = rng.choice((1, 8, 64, 128)) if message.descriptor_dtype else 0
    size = count * message.descriptor_dim * _ELEMENT_BYTES[message.descriptor_dtype]
    message.descriptors = array.array("B", rng.randbytes(size))
    message.descriptor_metric = rng.randrange(3)
    message.descriptor_scale = 1 / 127
    message.model, message.weights_sha256 = "aliked-n16", "ab" * 32
    return _perhaps_broken(rng, message)


def matches(rng: random.Random, index: int) -> Matches:
    """Matches of two images."""
    count = rng.randint(0, _MOST_ROWS)
    message = Matches(header=values.header(rng, index), num_matches=count, frame_seq_ref=max(0, index - 1))
    message.stamp_ref = values.header(rng, max(0, index - 1)).stamp
    _fill_common(rng, message, index)
    message.source_id_ref, message.matcher = "right", "mutual_nn"
    for name in ("idx", "idx_ref"):
        setattr(message, name, array.array("I", rng.sample(range(100), count)))
    _fill_floats(rng, message, {"xy": 2 * count, "xy_ref": 2 * count})
    _fill_floats(rng, message, {"scores": count}, absent=0.4)
    message.inlier = array.array("B", [rng.randrange(2) for _ in range(rng.choice((0, count)))])
    message.model_type = rng.randrange(4)
    message.model_matrix = np.array([rng.gauss(0.0, 1.0) for _ in range(9)], np.float64)
    return _perhaps_broken(rng, message)


def tracks(rng: random.Random, index: int) -> Tracks:
    """Tracks of an image."""
    count = rng.randint(0, _MOST_ROWS)
    message = Tracks(header=values.header(rng, index), num_tracks=count)
    _fill_common(rng, message, index)
    message.ids = array.array("q", rng.sample(range(1000), count))
    message.ages = array.array("I", [rng.randint(1, 50) for _ in range(count)])
    message.feature_idx = array.array("I", rng.sample(range(100), count))
    message.lost_ids = array.array("q", rng.sample(range(1000, 2000), rng.randint(0, 5)))
    _fill_floats(rng, message, {"xy": 2 * count})
    _fill_floats(rng, message, {"xy_norm": 2 * count, "velocity": 2 * count}, absent=0.4)
    _fill_floats(rng, message, dict.fromkeys(("scores", "sigma_px", "depth_m"), count), absent=0.4)
    message.median_parallax_px, message.keyframe_hint = rng.uniform(0.0, 50.0), rng.random() < 0.5
    return _perhaps_broken(rng, message)


def as_others_decode(rng: random.Random, message: Any) -> types.SimpleNamespace:
    """The message as rosbags or mcap deliver it: sequences as arrays, lists, tuples or bytes; a field may be missing.

    A share of the fields has a type that no decoder of this version's definitions gives, as those of another may.
    """
    decoded = types.SimpleNamespace()
    for name in message.get_fields_and_field_types():
        value = getattr(message, name)
        if isinstance(value, (array.array, np.ndarray)):
            value = rng.choice((_as_ndarray, list, tuple, _as_ndarray))(value)
        if rng.random() < 0.01:
            value = rng.choice(
                (None, "", "seven", -1, 2**70, 1.5, [], [1.5], ["a"], b"abc", np.zeros((2, 2)), np.zeros(3))
            )
        if rng.random() > 0.005:
            setattr(decoded, name, value)
    return decoded


def _as_ndarray(value: Any) -> Any:
    return np.array(value, getattr(value, "typecode", None) or value.dtype)


def _fill_common(rng: random.Random, message: Any, index: int) -> None:
    message.frame_seq, message.epoch, message.source_id = index, rng.randrange(4), "left"
    if hasattr(message, "image_width"):
        message.image_width, message.image_height, message.coords = 640, 480, rng.randrange(3)


def _fill_floats(rng: random.Random, message: Any, sizes: dict[str, int], absent: float = 0.0) -> None:
    for name, size in sizes.items():
        if rng.random() >= absent:
            setattr(message, name, array.array("f", [rng.uniform(0.0, 640.0) for _ in range(size)]))


def _perhaps_broken(rng: random.Random, message: Any) -> Any:
    if rng.random() < _BROKEN:
        fields = tuple(message.get_fields_and_field_types().items())
        for _ in range(rng.choice((1, 1, 2, 4))):
            _break(rng, message, *rng.choice(fields))
    return message


def _break(rng: random.Random, message: Any, name: str, kind: str) -> None:
    """Another value that the field's type allows."""
    value = getattr(message, name)
    if kind.startswith("sequence") or "[" in kind:
        _break_sequence(rng, message, name, value)
    elif kind.startswith("uint"):
        bits = int(kind.removeprefix("uint"))
        choice = values.unsigned(rng) if bits >= 32 else rng.randrange(256)
        setattr(message, name, _UINT64_MAX if bits == 64 and rng.random() < 0.3 else choice % 2**bits)
    elif kind == "float":
        setattr(message, name, values.number32(rng))
    elif kind == "boolean":
        setattr(message, name, not value)
    elif kind.startswith("string"):
        setattr(message, name, _within_bound(values.text(rng), kind))
    elif name == "header":
        message.header = values.header(rng, 0, hostile=1.0)
    else:
        setattr(message, name, values.stamp(rng))


def _within_bound(text: str, kind: str) -> str:
    """rclpy takes no longer one, and counts characters."""
    return text[: int(kind[7:-1])] if "<" in kind else text


def _break_sequence(rng: random.Random, message: Any, name: str, value: Any) -> None:
    choice = rng.randrange(4)
    if choice == 0 and len(value):
        at = rng.randrange(len(value))
        value[at] = _element(rng, value)
    elif isinstance(value, np.ndarray):  # of a fixed length
        value[:] = values.number(rng)
    elif choice == 1:
        setattr(message, name, value[:0])
    elif choice == 2:
        setattr(message, name, value[: rng.randint(0, len(value))])
    else:
        extra = [_element(rng, value) for _ in range(rng.choice((1, 2, 100)))]
        setattr(message, name, value + array.array(value.typecode, extra))


def _element(rng: random.Random, value: Any) -> Any:
    typecode = "d" if isinstance(value, np.ndarray) else value.typecode
    if typecode == "f":
        return values.number32(rng)
    if typecode == "d":
        return values.number(rng)
    if typecode == "q":
        return rng.choice((-1, 0, 2**63 - 1, -(2**63), rng.randint(-(2**63), 2**63 - 1)))
    return values.unsigned(rng) % (256 if typecode == "B" else 2**32)
