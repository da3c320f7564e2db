# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Random features, matches and tracks, and exact comparison of the dataclasses that hold them."""

from __future__ import annotations

import dataclasses
import types
from typing import Any

import numpy as np

from aliked_ros.features import Features, Matches, ModelType, Tracks, TwoViewModel
from aliked_ros.io.messages.message_fields import Coords, FrameMeta

META = FrameMeta(
    stamp_ns=1311868169_163498001,
    frame_id="camera_rgb_optical_frame",
    frame_seq=2**63 + 5,
    epoch=2**32 - 1,
    source_id="left ü",
    coords=Coords.UNDISTORTED,
    model="aliked-n16rot",
    weights_sha256="5b" * 32,
)
REFERENCE = {"frame_seq_ref": 2**63 + 4, "stamp_ref_ns": 1311868169_130000000, "source_id_ref": "right"}


def unit_rows(rng: np.random.Generator, count: int, dim: int) -> np.ndarray:
    rows = rng.normal(size=(count, dim))
    return (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)).astype(np.float32)


def make_features(count: int = 7, dim: int = 16, *, sigma: bool = True, seed: int = 0) -> Features:
    rng = np.random.default_rng(seed)
    return Features(
        (rng.random((count, 2)) * (640, 480)).astype(np.float32),
        np.sort(rng.random(count).astype(np.float32))[::-1].copy(),
        unit_rows(rng, count, dim),
        640,
        480,
        sigma_px=rng.random(count).astype(np.float32) if sigma else None,
    )


def make_matches(count: int = 5, *, model: ModelType = ModelType.ESSENTIAL, seed: int = 0) -> Matches:
    rng = np.random.default_rng(seed)
    none = model is ModelType.NONE
    return Matches(
        rng.permutation(count).astype(np.uint32),
        rng.permutation(count).astype(np.uint32),
        rng.random((count, 2)).astype(np.float32),
        rng.random((count, 2)).astype(np.float32),
        rng.random(count).astype(np.float32),
        "mutual_nn",
        inliers=None if none else rng.random(count) > 0.4,
        model=None if none else TwoViewModel(model, rng.normal(size=(3, 3))),
    )


def make_tracks(count: int = 6, *, full: bool = True, seed: int = 0) -> Tracks:
    rng = np.random.default_rng(seed)
    velocity = rng.random((count, 2)).astype(np.float32)
    velocity[::2] = np.nan
    return Tracks(
        np.arange(count, dtype=np.int64) * 2**40,
        rng.integers(1, 2**32, count, dtype=np.uint32),
        rng.permutation(count).astype(np.uint32),
        rng.random((count, 2)).astype(np.float32),
        rng.random(count).astype(np.float32),
        rng.integers(0, 2**62, 3, dtype=np.int64),
        float(np.float32(12.3)),
        True,
        xy_norm=rng.random((count, 2)).astype(np.float32) if full else None,
        velocity=velocity if full else None,
        depth_m=rng.random(count).astype(np.float32) if full else None,
        sigma_px=rng.random(count).astype(np.float32) if full else None,
    )


def as_message(fields: dict[str, Any]) -> types.SimpleNamespace:
    """The fields as an object with attributes, as messages are."""
    return types.SimpleNamespace(**{name: as_message(v) if isinstance(v, dict) else v for name, v in fields.items()})


def assert_same(actual: Any, expected: Any, ignore: tuple[str, ...] = ()) -> None:
    """Every field of two dataclasses is the same, bit for bit, NaN included."""
    assert type(actual) is type(expected)
    for field in dataclasses.fields(expected):
        if field.name in ignore:
            continue
        ours, theirs = getattr(actual, field.name), getattr(expected, field.name)
        if isinstance(theirs, np.ndarray):
            assert ours.dtype == theirs.dtype, field.name
            assert ours.shape == theirs.shape, field.name
            assert ours.tobytes() == theirs.tobytes(), field.name
        elif dataclasses.is_dataclass(theirs):
            assert_same(ours, theirs)
        else:
            assert ours == theirs, field.name
