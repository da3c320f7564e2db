# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the tracker says about a transport that loses images."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from aliked_ros.ros.reporting import transport_warning

pytestmark = pytest.mark.ros

VARIABLES = (
    "RMW_IMPLEMENTATION",
    "FASTDDS_BUILTIN_TRANSPORTS",
    "FASTDDS_DEFAULT_PROFILES_FILE",
    "FASTRTPS_DEFAULT_PROFILES_FILE",
    "ROS_AUTOMATIC_DISCOVERY_RANGE",
    "ROS_LOCALHOST_ONLY",
)


@pytest.mark.parametrize(
    ("environment", "warning"),
    [
        ({}, "default transports"),
        ({"FASTDDS_BUILTIN_TRANSPORTS": "UDPv4"}, "default transports"),
        ({"FASTDDS_BUILTIN_TRANSPORTS": "LARGE_DATA"}, ""),
        ({"FASTDDS_BUILTIN_TRANSPORTS": "LARGE_DATA?max_msg_size=1MB"}, ""),
        ({"FASTDDS_DEFAULT_PROFILES_FILE": "mine.xml"}, ""),
        ({"FASTDDS_BUILTIN_TRANSPORTS": "LARGE_DATA", "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}, "LOCALHOST"),
        ({"FASTDDS_BUILTIN_TRANSPORTS": "LARGE_DATA", "ROS_LOCALHOST_ONLY": "1"}, "LOCALHOST"),
        ({"FASTDDS_BUILTIN_TRANSPORTS": "LARGE_DATA", "ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}, ""),
        ({"RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"}, ""),
    ],
)
def test_transports_that_lose_images(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], warning: str
) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert bool(transport_warning()) == bool(warning)
    assert warning in transport_warning()
