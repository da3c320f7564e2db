# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Time stamps: nanoseconds in one integer, and ROS's builtin_interfaces/Time, exactly."""

from __future__ import annotations

from typing import Any

from aliked_ros.errors import MessageError

NS_PER_S = 1_000_000_000
_SEC_MIN, _SEC_MAX = -(2**31), 2**31 - 1


def split_stamp(stamp_ns: int) -> tuple[int, int]:
    """The ``sec`` (int32) and ``nanosec`` (uint32 below 1e9) of a stamp in nanoseconds.

    Raises:
        MessageError: the stamp does not fit into builtin_interfaces/Time.
    """
    sec, nanosec = divmod(int(stamp_ns), NS_PER_S)
    if not _SEC_MIN <= sec <= _SEC_MAX:
        raise MessageError(
            f"stamp of {stamp_ns} ns does not fit into builtin_interfaces/Time, "
            f"whose seconds are between {_SEC_MIN} and {_SEC_MAX}"
        )
    return sec, nanosec


def require_valid(stamp: Any) -> None:
    """Raises MessageError for a Time message with more nanoseconds than a second has; libraries read it differently."""
    if not 0 <= int(stamp.nanosec) < NS_PER_S:
        raise MessageError(
            f"stamp has {stamp.nanosec} in nanosec, which must be below 1000000000; mend the driver that stamps so"
        )


def join_stamp(stamp: Any) -> int:
    """Nanoseconds of a Time message: of ROS 2 (``sec``, ``nanosec``) from rclpy, rosbags or mcap."""
    return int(stamp.sec) * NS_PER_S + int(stamp.nanosec)
