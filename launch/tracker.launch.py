# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Starts the tracker on a camera: ``ros2 launch aliked_ros tracker.launch.py image:=/camera/image_raw``.

``--show-args`` lists the arguments. What is given here goes before what the parameter file says.
"""

from __future__ import annotations

from launch import LaunchContext, LaunchDescription

from aliked_ros.ros import launching


def generate_launch_description() -> LaunchDescription:
    """The arguments, the transport, and the node."""
    return launching.description([*launching.TOPIC_ARGUMENTS, *launching.TRACKER_ARGUMENTS], _nodes)


def _nodes(context: LaunchContext) -> launching.Actions:
    return launching.tracker(context, launching.topics(context))
