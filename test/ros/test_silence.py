# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What is said of an input on which nothing comes."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from aliked_ros.ros.silence import SilenceWatch


class FakeNode:
    """Has as many publishers as it is told, and keeps what is logged."""

    def __init__(self) -> None:
        self.publishers = 0
        self.lines: list[str] = []

    def count_publishers(self, topic: str) -> int:
        assert topic == "/camera/image"
        return self.publishers

    def get_logger(self) -> Any:
        return self

    def warning(self, line: str) -> None:
        self.lines.append(line)


def test_a_silent_topic_is_named_with_its_publishers_and_logged_once() -> None:
    node, silence_s = FakeNode(), [0.0]
    watch = SilenceWatch(node, "/camera/image", "image", lambda: silence_s[0])  # type: ignore[arg-type]
    assert watch().values == {"image_topic": "/camera/image", "image_publishers": "0"}
    assert watch().warning == ""
    for silence_s[0] in (6.0, 7.0):
        expected = f"no image for {silence_s[0]:.0f} s on /camera/image, which nobody publishes"
        assert watch().warning == expected
    assert node.lines == [
        "no image for 6 s on /camera/image, which nobody publishes; `ros2 topic list` shows the known ones"
    ]
    for node.publishers, whose in ((1, "one node publishes"), (2, "2 publish")):
        assert watch().warning == f"no image for 7 s on /camera/image, which {whose}"
        assert watch().values["image_publishers"] == str(node.publishers)
    assert len(node.lines) == 1
    silence_s[0] = 0.1
    assert watch().warning == ""
    silence_s[0] = 8.0
    watch()
    assert len(node.lines) == 2, "another silence"
