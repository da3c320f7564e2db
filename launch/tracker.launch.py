# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Starts the tracker on a camera: ``ros2 launch aliked_ros tracker.launch.py image:=/camera/image_raw``.

``--show-args`` lists the arguments. What is given here goes before what the parameter file says.
"""

from __future__ import annotations

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

_PARAMS_FILE = PathJoinSubstitution([FindPackageShare("aliked_ros"), "config", "tracker.yaml"])
_ARGUMENTS = (
    DeclareLaunchArgument("namespace", default_value="", description="namespace of the node"),
    DeclareLaunchArgument("name", default_value="tracker", description="name of the node"),
    DeclareLaunchArgument("image", default_value="image", description="topic of the images, without /compressed"),
    DeclareLaunchArgument("camera_info", default_value="camera_info", description="topic of the calibration"),
    DeclareLaunchArgument("params_file", default_value=_PARAMS_FILE, description="YAML file with parameters"),
    DeclareLaunchArgument("model", default_value="", description="network; empty as in params_file"),
    DeclareLaunchArgument("device", default_value="", description="auto, cpu, cuda or cuda:N; empty as in params_file"),
    DeclareLaunchArgument("use_sim_time", default_value="false", description="follow /clock"),
    DeclareLaunchArgument("log_level", default_value="info", description="debug, info, warn, error or fatal"),
)


def generate_launch_description() -> LaunchDescription:
    """The arguments, the transport, and the node."""
    # Fast DDS's default shared-memory segment is too small for images; see docs/performance.md.
    transport = EnvironmentVariable("FASTDDS_BUILTIN_TRANSPORTS", default_value="LARGE_DATA")
    return LaunchDescription(
        [
            *_ARGUMENTS,
            SetEnvironmentVariable("FASTDDS_BUILTIN_TRANSPORTS", transport),
            OpaqueFunction(function=_tracker),
        ]
    )


def _tracker(context: LaunchContext) -> list[Node]:
    given = {name: LaunchConfiguration(name).perform(context) for name in ("model", "device")}
    use_sim_time = LaunchConfiguration("use_sim_time").perform(context).lower() in ("true", "1")
    parameters = {"use_sim_time": use_sim_time, **{name: value for name, value in given.items() if value}}
    return [
        Node(
            package="aliked_ros",
            executable="tracker",
            namespace=LaunchConfiguration("namespace"),
            name=LaunchConfiguration("name"),
            parameters=[LaunchConfiguration("params_file"), parameters],
            remappings=[(topic, LaunchConfiguration(topic)) for topic in ("image", "camera_info")],
            ros_arguments=["--log-level", LaunchConfiguration("log_level")],
            output="screen",
        )
    ]
