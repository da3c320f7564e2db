# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Each topic that RViz and Foxglove are set up to show is one that our nodes publish, with the right type and QoS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("gtsam", reason="gtsam is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from node_harness import Station, running_tracker, wait_until
from player_harness import waiting_player
from rclpy.qos import ReliabilityPolicy
from viewer_files import RVIZ, foxglove_plots, foxglove_topics, rviz_displays, rviz_topics

from aliked_msgs.msg import TrackerStatus
from aliked_ros.ros.child import NodeProcess

pytestmark = pytest.mark.ros


@pytest.fixture
def station() -> Iterator[Station]:
    station = Station("viewer")
    yield station
    station.close()


def test_every_topic_is_published(station: Station, tmp_path: Path) -> None:
    wanted = {
        **rviz_topics(),
        **foxglove_topics(),
        **{topic: "aliked_msgs/msg/TrackerStatus" for topic, _ in foxglove_plots()},
    }
    best_effort = {
        display["Topic"]["Value"]: display["Topic"]["Reliability Policy"] == "Best Effort"
        for file in RVIZ
        for display in rviz_displays(file)
    }
    odometry = NodeProcess("aliked_ros.ros.odometry", ["-p", "map_frame:=map"], tmp_path / "odometry.log")
    with running_tracker(tmp_path, warmup_width=0), waiting_player(tmp_path), odometry:
        publishers = station.node.get_publishers_info_by_topic
        for topic, kind in wanted.items():
            wait_until(lambda topic=topic: bool(publishers(topic)), f"a publisher of {topic}")
            for publisher in publishers(topic):
                assert publisher.topic_type == kind, topic
                is_reliable = publisher.qos_profile.reliability == ReliabilityPolicy.RELIABLE
                assert is_reliable or best_effort.get(topic, True), f"RViz would see nothing of {topic}"


def test_every_plotted_field_exists() -> None:
    fields = TrackerStatus.get_fields_and_field_types()
    for topic, name in foxglove_plots():
        assert topic == "/tracker/status"
        assert fields[name] in ("uint32", "uint64", "float", "double"), name
