# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Values of message fields: what every mapping from a dataclass to a message needs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aliked_ros.errors import MessageError
from aliked_ros.io.messages.stamps import split_stamp

Fields = dict[str, Any]  # nested messages as Fields, sequences as one-dimensional arrays of the field's type


def header_fields(stamp_ns: int, frame_id: str) -> Fields:
    """A std_msgs/Header."""
    return {"stamp": time_fields(stamp_ns), "frame_id": frame_id}


def time_fields(stamp_ns: int) -> Fields:
    """A builtin_interfaces/Time."""
    sec, nanosec = split_stamp(stamp_ns)
    return {"sec": sec, "nanosec": nanosec}


def flat(values: NDArray[Any] | None, dtype: Any) -> NDArray[Any]:
    """The array row by row, one-dimensional, sharing memory where it can; empty for an absent one."""
    return np.empty(0, dtype) if values is None else np.ascontiguousarray(values, dtype).reshape(-1)


def per_row(name: str, values: NDArray[Any] | None, dtype: Any, count: int) -> NDArray[Any]:
    """An optional array of one value per row, empty where it is absent; MessageError for another type or length."""
    if values is None:
        return np.empty(0, dtype)
    if values.dtype != np.dtype(dtype) or values.shape != (count,):
        raise MessageError(f"{name} must be {np.dtype(dtype)} of shape ({count},), got {values.dtype} {values.shape}")
    return flat(values, dtype)


def none_if_empty(values: NDArray[Any] | None) -> NDArray[Any] | None:
    """An empty array says nothing about whether the quantity was measured."""
    return values if values is not None and len(values) else None


def bounded(name: str, text: str, limit: int) -> str:
    """The text, where it has no more bytes than the message's field holds; else MessageError."""
    size = len(text.encode())
    if size > limit:
        raise MessageError(f"{name} has {size} bytes, at most {limit} fit into the message: {text!r}")
    return text
