# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Runs the tracker on a RealSense camera with depth: ``ros2 launch aliked_ros realsense.launch.py start_camera:=true``.

Without ``start_camera`` the driver runs elsewhere, with ``align_depth.enable:=true``; its topics are those of
realsense2_camera.
"""

from __future__ import annotations

from launch import LaunchContext, LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare

from aliked_ros.ros import launching
from aliked_ros.ros.launching import argument

_ARGUMENTS = (
    argument("camera_namespace", "camera", "namespace of the driver"),
    argument("camera_name", "camera", "name of the driver"),
    argument("start_camera", "false", "true starts realsense2_camera, which must be installed, with aligned depth"),
    argument("depth", "true", "join the aligned depth"),
)


def generate_launch_description() -> LaunchDescription:
    """The arguments, the transport, the driver if it is asked for, and the tracker."""
    own = launching.without(launching.TRACKER_ARGUMENTS, "cameras", "sync_slop", "depth")
    return launching.description([*_ARGUMENTS, *own], _actions)


def _actions(context: LaunchContext) -> launching.Actions:
    driver = [_driver(context)] if launching.is_true(context, "start_camera") else []
    parts = (launching.value(context, name).strip("/") for name in ("camera_namespace", "camera_name"))
    camera = "/".join(["", *filter(None, parts)])
    topics = {
        "image": f"{camera}/color/image_raw",
        "depth": f"{camera}/aligned_depth_to_color/image_raw",
        "camera_info": f"{camera}/color/camera_info",
    }
    return [*driver, *launching.tracker(context, topics)]


def _driver(context: LaunchContext) -> IncludeLaunchDescription:
    launching.require_package("realsense2_camera", "start_camera:=true")
    file = PathJoinSubstitution([FindPackageShare("realsense2_camera"), "launch", "rs_launch.py"])
    names = ("camera_namespace", "camera_name")
    arguments = {
        **{name: launching.value(context, name) for name in names},
        "align_depth.enable": launching.value(context, "depth"),
        "enable_sync": "true",
    }
    return IncludeLaunchDescription(PythonLaunchDescriptionSource(file), launch_arguments=arguments.items())
