# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Reads the fields of a message and refuses those that contradict each other."""

from __future__ import annotations

import array
import enum
from collections.abc import Sized
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from aliked_ros.errors import MessageError
from aliked_ros.io.messages.stamps import NS_PER_S

_EnumT = TypeVar("_EnumT", bound=enum.IntEnum)
_Array = NDArray[Any]


def as_array(name: str, value: Any, dtype: Any) -> _Array:
    """A message's sequence as a one-dimensional array of this dtype, without a copy where it has a buffer.

    Takes what rclpy (``array.array``), rosbags (``ndarray``) and mcap (``bytes``, ``list``) deliver.

    Raises:
        MessageError: the elements are of another type.
    """
    wanted = np.dtype(dtype)
    if isinstance(value, (bytes, bytearray, memoryview)):
        value = np.frombuffer(value, np.uint8) if len(value) else np.empty(0, np.uint8)
    elif isinstance(value, array.array):
        value = np.frombuffer(value, value.typecode) if len(value) else np.empty(0, value.typecode)
    elif isinstance(value, (list, tuple)):
        return _from_list(name, value, wanted)
    if not isinstance(value, np.ndarray) or value.dtype != wanted or value.ndim != 1:
        found = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
        raise MessageError(f"{name} must be a sequence of {wanted}, got {found}")
    return value


def _from_list(name: str, value: list[Any] | tuple[Any, ...], dtype: np.dtype[Any]) -> _Array:
    try:
        # Not by NumPy, whose releases before 2 wrap numbers that are out of range round.
        converted = array.array(dtype.char, value)
    except (TypeError, ValueError, OverflowError) as error:
        raise MessageError(f"{name} must be a flat sequence of {dtype}: {error}") from error
    return np.frombuffer(converted, dtype) if len(converted) else np.empty(0, dtype)


@dataclass(frozen=True)
class FieldReader:
    """Checked access to the fields of one message; every failure is a MessageError that names the field."""

    message: Any  # anything with the message's fields as attributes
    kind: str  # the message's name, for errors

    def get(self, name: str) -> Any:
        """The field as it is."""
        try:
            return getattr(self.message, name)
        except AttributeError:
            raise MessageError(
                f"{self.kind} message has no field {name!r}; it was made with another version of aliked_msgs"
            ) from None

    def nested(self, name: str) -> FieldReader:
        """The fields of a message in this one."""
        return FieldReader(self.get(name), f"{self.kind}.{name}")

    def integer(self, name: str) -> int:
        """A whole number."""
        return int(self._instance(name, (int, np.integer), "a whole number"))

    def number(self, name: str) -> float:
        """A number, which may be infinite or NaN."""
        return float(self._instance(name, (int, float, np.integer, np.floating), "a number"))

    def flag(self, name: str) -> bool:
        """A truth value."""
        return bool(self._instance(name, (int, np.integer, np.bool_), "a truth value"))

    def unsigned(self, name: str) -> int:
        """A count, sequence number or size."""
        value = self.integer(name)
        if value < 0:
            raise MessageError(f"{self.kind}.{name} must not be negative, got {value}")
        return value

    def positive(self, name: str) -> int:
        """A size that cannot be zero."""
        value = self.unsigned(name)
        if value == 0:
            raise MessageError(f"{self.kind}.{name} must be positive, got 0")
        return value

    def text(self, name: str) -> str:
        """A string."""
        return str(self._instance(name, (str,), "a string"))

    def stamp_ns(self, name: str) -> int:
        """A builtin_interfaces/Time, in nanoseconds."""
        stamp = self.nested(name)
        return stamp.integer("sec") * NS_PER_S + stamp.integer("nanosec")

    def enumeration(self, name: str, values: type[_EnumT]) -> _EnumT:
        """One of the message's constants."""
        value = self.integer(name)
        try:
            return values(value)
        except ValueError:
            known = ", ".join(f"{item.value} {item.name}" for item in values)
            raise MessageError(f"{self.kind}.{name} is {value}, which is none of {known}") from None

    def array(self, name: str, dtype: Any) -> _Array:
        """A sequence of any length, (n,) of the dtype; a view where that is possible."""
        return as_array(f"{self.kind}.{name}", self.get(name), dtype)

    def rows(self, name: str, dtype: Any, count: int, columns: int = 1) -> _Array:
        """A per-feature array that must be there: (count,), or (count, columns) for more than one column."""
        values = self.array(name, dtype)
        self._check_length(name, values, count, columns, optional=False)
        return values if columns == 1 else values.reshape(count, columns)

    def optional_rows(self, name: str, dtype: Any, count: int, columns: int = 1) -> _Array | None:
        """A per-feature array, or None where it is absent: empty although there are features."""
        values = self.array(name, dtype)
        if count and not len(values):
            return None
        self._check_length(name, values, count, columns, optional=True)
        return values if columns == 1 else values.reshape(count, columns)

    def points(self, name: str, count: int) -> _Array:
        """Pixel coordinates (count, 2) float32, all finite."""
        xy = self.rows(name, np.float32, count, 2)
        if not np.isfinite(xy).all():
            row = int(np.flatnonzero(~np.isfinite(xy).all(axis=1))[0])
            raise MessageError(f"{self.kind}.{name} must be finite, row {row} of {count} is {xy[row].tolist()}")
        return xy

    def indices(self, name: str, count: int, limit: int | None) -> _Array:
        """Row numbers (count,) uint32, each below the limit where one is known."""
        values = self.rows(name, np.uint32, count)
        if limit is not None and count and int(values.max()) >= limit:
            row = int(values.argmax())
            raise MessageError(
                f"{self.kind}.{name} row {row} is feature {int(values[row])}, but there are {limit} features"
            )
        return values

    def _instance(self, name: str, kinds: tuple[type, ...], what: str) -> Any:
        value = self.get(name)
        if not isinstance(value, kinds):
            raise MessageError(
                f"{self.kind}.{name} must be {what}, got {type(value).__name__}; "
                "it was made with another version of aliked_msgs"
            )
        return value

    def _check_length(self, name: str, values: Sized, count: int, columns: int, *, optional: bool) -> None:
        expected = count * columns
        if len(values) != expected:
            absent = " or 0 (absent)" if optional else ""
            raise MessageError(
                f"{self.kind}.{name} has {len(values)} values, expected {expected}{absent} "
                f"for {count} rows of {columns}"
            )
