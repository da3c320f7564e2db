# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""aliked_msgs' messages of rclpy, to and from the dataclasses; the mapping is in io/messages/message_fields.py."""

from __future__ import annotations

import array
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from std_msgs.msg import Header

from aliked_msgs.msg import Features as FeaturesMsg
from aliked_msgs.msg import Matches as MatchesMsg
from aliked_msgs.msg import TrackerStatus as TrackerStatusMsg
from aliked_msgs.msg import Tracks as TracksMsg
from aliked_ros.errors import MessageError
from aliked_ros.features import Features, Float32Array, Matches, Tracks
from aliked_ros.io.messages.descriptors import DescriptorDtype
from aliked_ros.io.messages.fields import Fields, header_fields
from aliked_ros.io.messages.message_fields import (
    FrameMeta,
    features_fields,
    features_from_fields,
    matches_fields,
    matches_from_fields,
    tracks_fields,
    tracks_from_fields,
)
from aliked_ros.io.messages.stamps import join_stamp, split_stamp
from aliked_ros.io.messages.status_fields import TrackerStatus, status_fields, status_from_fields

__all__ = [
    "features_from_message",
    "features_to_message",
    "fill_message",
    "header_of",
    "matches_from_message",
    "matches_to_message",
    "ns_from_time",
    "status_from_message",
    "status_to_message",
    "time_from_ns",
    "tracks_from_message",
    "tracks_to_message",
]

# Reading needs nothing of rclpy: arrays are views of the message's memory.
features_from_message = features_from_fields
matches_from_message = matches_from_fields
tracks_from_message = tracks_from_fields
status_from_message = status_from_fields


def time_from_ns(stamp_ns: int) -> Time:
    """A Time message of a stamp in nanoseconds; MessageError where it does not fit."""
    sec, nanosec = split_stamp(stamp_ns)
    return Time(sec=sec, nanosec=nanosec)


def ns_from_time(stamp: Time) -> int:
    """Nanoseconds of a Time message."""
    return join_stamp(stamp)


def header_of(stamp_ns: int, frame_id: str) -> Header:
    """A Header message."""
    header = Header()
    fill_message(header, header_fields(stamp_ns, frame_id))
    return header


def features_to_message(
    features: Features,
    meta: FrameMeta,
    *,
    header: Header | None = None,
    track_ids: NDArray[np.int64] | None = None,
    depth_m: Float32Array | None = None,
    descriptor_dtype: DescriptorDtype = DescriptorDtype.FLOAT32,
) -> FeaturesMsg:
    """A Features message; a ``header`` is passed on verbatim, in place of the stamp and frame in ``meta``.

    Raises:
        MessageError: ``track_ids`` or ``depth_m`` has not one value per feature, or a text is too long.
    """
    fields = features_fields(features, meta, track_ids=track_ids, depth_m=depth_m, descriptor_dtype=descriptor_dtype)
    return _message(FeaturesMsg(), fields, header)


def matches_to_message(
    matches: Matches,
    meta: FrameMeta,
    *,
    frame_seq_ref: int,
    stamp_ref_ns: int,
    source_id_ref: str | None = None,
    header: Header | None = None,
) -> MatchesMsg:
    """A Matches message; ``header`` as in :func:`features_to_message`.

    Raises:
        MessageError: a text is too long.
    """
    fields = matches_fields(
        matches, meta, frame_seq_ref=frame_seq_ref, stamp_ref_ns=stamp_ref_ns, source_id_ref=source_id_ref
    )
    return _message(MatchesMsg(), fields, header)


def tracks_to_message(
    tracks: Tracks, meta: FrameMeta, *, image_width: int, image_height: int, header: Header | None = None
) -> TracksMsg:
    """A Tracks message; ``header`` as in :func:`features_to_message`.

    Raises:
        MessageError: a text is too long.
    """
    fields = tracks_fields(tracks, meta, image_width=image_width, image_height=image_height)
    return _message(TracksMsg(), fields, header)


def status_to_message(status: TrackerStatus, stamp_ns: int, frame_id: str) -> TrackerStatusMsg:
    """A TrackerStatus message."""
    return _message(TrackerStatusMsg(), status_fields(status, stamp_ns, frame_id), None)


def _message(message: Any, fields: Fields, header: Header | None) -> Any:
    if header is not None:
        fields.pop("header")
        message.header = header
    fill_message(message, fields)
    return message


def fill_message(message: Any, fields: Fields) -> None:
    """Sets the fields of a new rclpy message, sequences by one copy of their bytes.

    Raises:
        MessageError: an array has another element type, or another length than the field's fixed one.
    """
    for name, value in fields.items():
        if isinstance(value, dict):
            fill_message(getattr(message, name), value)
        elif isinstance(value, np.ndarray):
            _fill_sequence(type(message).__name__ + "." + name, getattr(message, name), value)
        else:
            setattr(message, name, value)


def _fill_sequence(name: str, target: Any, values: NDArray[Any]) -> None:
    """Writes into the message's own sequence: its setter would copy once more."""
    is_flexible = isinstance(target, array.array)
    dtype = np.dtype(target.typecode) if is_flexible else target.dtype
    # array.frombytes takes the bytes of any type: those of another one would become garbage in silence.
    if values.dtype != dtype or values.ndim != 1:
        raise MessageError(f"{name} takes a flat array of {dtype}, got {values.dtype} {values.shape}")
    if not is_flexible:
        if values.shape != target.shape:
            raise MessageError(f"{name} takes {target.size} values, got {values.size}")
        target[:] = values
        return
    del target[:]
    if values.size:
        target.frombytes(np.ascontiguousarray(values).data.cast("B"))
