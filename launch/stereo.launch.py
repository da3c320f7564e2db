# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Runs the tracker on two synchronised cameras: ``ros2 launch aliked_ros stereo.launch.py left:=/stereo/left``.

Matches between images of the same moment come on ``~/matches``, with differing source ids.
"""

from __future__ import annotations

from launch import LaunchContext, LaunchDescription

from aliked_ros.ros import launching
from aliked_ros.ros.launching import argument

_ARGUMENTS = (
    *launching.SIDE_ARGUMENTS,
    argument("image", "image_raw", "topic of the images below each camera's namespace"),
    argument("camera_info", "camera_info", "topic of the calibration below each camera's namespace"),
)


def generate_launch_description() -> LaunchDescription:
    """The arguments, the transport and the tracker."""
    own = launching.without(launching.TRACKER_ARGUMENTS, "cameras", "depth")
    return launching.description([*_ARGUMENTS, *own], _nodes)


def _nodes(context: LaunchContext) -> launching.Actions:
    return launching.tracker(context, launching.stereo_topics(context), cameras=list(launching.SIDES))
