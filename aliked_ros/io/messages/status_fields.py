# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the tracker reports about itself, and the fields of TrackerStatus.msg."""

from __future__ import annotations

import dataclasses
import enum
import math
from dataclasses import dataclass
from typing import Any

from aliked_ros.errors import MessageError
from aliked_ros.io.messages.field_reader import FieldReader
from aliked_ros.io.messages.fields import Fields, header_fields

_TEXT_LIMITS = {"device": 64, "backend": 64, "precision": 16, "model": 64}  # bytes, TrackerStatus.msg


class TrackerState(enum.IntEnum):
    """What the tracker is doing; the values are those of TrackerStatus.msg."""

    STARTING = 0
    IDLE = 1
    RUNNING = 2
    DISABLED = 3
    ERROR = 4


@dataclass(frozen=True)
class TrackerStatus:
    """The tracker's state, what it runs on, its counters and the timing of its last image.

    Raises:
        MessageError: a text is longer than the message allows, or a count is negative.
    """

    state: TrackerState
    device: str = ""
    backend: str = ""
    precision: str = ""
    model: str = ""
    received: int = 0  # images since the node started
    processed: int = 0
    dropped: int = 0  # replaced by a newer image before their turn came
    refused: int = 0  # could not be used
    num_features: int = 0  # of the last image processed
    num_tracks: int = 0
    mean_track_age: float = 0.0  # images
    latency_ms: float = math.nan  # NaN before the first image
    preprocess_ms: float = math.nan
    inference_ms: float = math.nan
    match_ms: float = math.nan
    publish_ms: float = math.nan

    def __post_init__(self) -> None:
        for name, limit in _TEXT_LIMITS.items():
            size = len(getattr(self, name).encode())
            if size > limit:
                raise MessageError(
                    f"TrackerStatus.{name} has {size} bytes, at most {limit} fit: {getattr(self, name)!r}"
                )
        for name in ("received", "processed", "dropped", "refused", "num_features", "num_tracks"):
            if getattr(self, name) < 0:
                raise MessageError(f"TrackerStatus.{name} must not be negative, got {getattr(self, name)}")


def status_fields(status: TrackerStatus, stamp_ns: int, frame_id: str) -> Fields:
    """The fields of TrackerStatus.msg."""
    fields: Fields = {"header": header_fields(stamp_ns, frame_id)}
    for field in dataclasses.fields(status):
        value = getattr(status, field.name)
        fields[field.name] = int(value) if isinstance(value, enum.IntEnum) else value
    return fields


def status_from_fields(message: Any) -> tuple[TrackerStatus, int, str]:
    """The status, stamp in nanoseconds and frame of a TrackerStatus message.

    Raises:
        MessageError: the state is unknown or a field is missing.
    """
    reader = FieldReader(message, "TrackerStatus")
    header = reader.nested("header")
    read = {"str": reader.text, "int": reader.unsigned, "float": reader.number}
    values: dict[str, Any] = {
        field.name: read[str(field.type)](field.name)
        for field in dataclasses.fields(TrackerStatus)
        if field.name != "state"
    }
    status = TrackerStatus(state=reader.enumeration("state", TrackerState), **values)
    return status, header.stamp_ns("stamp"), header.text("frame_id")
