# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What became of a case, and what may never become of one."""

from __future__ import annotations

import random
from typing import Any

from rclpy.serialization import deserialize_message, serialize_message

from aliked_ros.errors import AlikedError
from tools.fuzz.mutation import damaged

ACCEPTED, UNDECODABLE = "accepted", "not decodable"  # any other outcome is the name of the error it was refused with
_DAMAGED_ON_THE_WIRE = 0.2
_ENCAPSULATION = 4  # bytes before a message's body: what encoding it has, and how many of its bytes are padding


class PropertyError(AssertionError):
    """The code under test did what it never may."""


def received(rng: random.Random, message: Any) -> Any | None:
    """The message as it comes out of the middleware, a share of them damaged before; ``None`` where none comes out.

    Raises:
        PropertyError: a message that was whole does not come out.
    """
    wire = serialize_message(message)
    if rng.random() >= _DAMAGED_ON_THE_WIRE:
        return deserialize_message(wire, type(message))
    wire = damaged(rng, wire)
    if kills_fast_cdr(wire):
        return None
    try:
        return deserialize_message(wire, type(message))
    except Exception:  # noqa: BLE001  rclpy promises none in particular; that the process lives is what counts
        return None


def kills_fast_cdr(wire: bytes) -> bool:
    """Whether Fast CDR 2.2 would read beyond the message: its padding is longer than its body.

    A find that lies outside this project. DDS does not pass such a message on; see test/ros/fuzz/test_past_finds.py.
    """
    return len(wire) >= _ENCAPSULATION and len(wire) - _ENCAPSULATION < wire[3] & 3


def outcome_of(error: AlikedError | None) -> str:
    """How a case is counted."""
    return ACCEPTED if error is None else type(error).__name__


def require(condition: bool, what: str) -> None:
    """Raises PropertyError unless the condition holds."""
    if not condition:
        raise PropertyError(what)
