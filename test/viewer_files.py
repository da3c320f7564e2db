# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Reads RViz's configuration and Foxglove's layout: which topics they show, and as what."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CONFIG = Path(__file__).resolve().parents[1] / "config"
RVIZ, FOXGLOVE = sorted(CONFIG.glob("rviz/*.rviz")), CONFIG / "foxglove/tracker.json"
# What the displays of rviz_default_plugins subscribe to.
RVIZ_TYPES = {
    "rviz_default_plugins/Image": "sensor_msgs/msg/Image",
    "rviz_default_plugins/Pose": "geometry_msgs/msg/PoseStamped",
    "rviz_default_plugins/Odometry": "nav_msgs/msg/Odometry",
    "rviz_default_plugins/Path": "nav_msgs/msg/Path",
    "rviz_default_plugins/PointCloud2": "sensor_msgs/msg/PointCloud2",
}


def rviz_displays(file: Path) -> list[dict[str, Any]]:
    """The displays of a configuration that show a topic."""
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    return [display for display in content["Visualization Manager"]["Displays"] if "Topic" in display]


def rviz_topics() -> dict[str, str]:
    """The type of message that each topic of any configuration must have."""
    return {display["Topic"]["Value"]: RVIZ_TYPES[display["Class"]] for file in RVIZ for display in rviz_displays(file)}


def foxglove_layout() -> dict[str, Any]:
    """The whole file."""
    return dict(json.loads(FOXGLOVE.read_text(encoding="utf-8")))


def foxglove_panels(tree: Any) -> Iterator[str]:
    """The panels that are on the screen, by their ids."""
    if isinstance(tree, str):
        yield tree
        return
    for side in ("first", "second"):
        yield from foxglove_panels(tree[side])


def foxglove_topics() -> dict[str, str]:
    """The type of message that each topic must have, but for those of which numbers are plotted."""
    found = {}
    for name, panel in foxglove_layout()["configById"].items():
        if name.startswith("Image!"):
            found[panel["imageMode"]["imageTopic"]] = "sensor_msgs/msg/Image"
        elif name.startswith("DiagnosticSummary!"):
            found[panel["topicToRender"]] = "diagnostic_msgs/msg/DiagnosticArray"
    return found


def foxglove_plots() -> set[tuple[str, str]]:
    """The topics and fields of which numbers are plotted."""
    panels = foxglove_layout()["configById"]
    paths = [path["value"] for name in panels if name.startswith("Plot!") for path in panels[name]["paths"]]
    return {(topic, field) for topic, field, *_ in (path.split(".") for path in paths)}
