# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Starts the tracker on a camera: ``ros2 launch aliked_ros tracker.launch.py image:=/camera/image_raw``.

``--show-args`` lists the arguments. What is given here goes before what the parameter file says.
"""

from __future__ import annotations

import yaml
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

_PARAMS_FILE = PathJoinSubstitution([FindPackageShare("aliked_ros"), "config", "tracker.yaml"])
# Parameters that have an argument of their name; an empty one leaves what the parameter file says.
_PARAMETERS = (
    *("model", "device", "cameras", "calibration", "depth", "image_transport", "process_every_frame", "autostart"),
)
_ARGUMENTS = (
    DeclareLaunchArgument("namespace", default_value="", description="namespace of the node"),
    DeclareLaunchArgument("name", default_value="tracker", description="name of the node"),
    DeclareLaunchArgument("image", default_value="image", description="topic of the images, without /compressed"),
    DeclareLaunchArgument("depth_image", default_value="depth", description="topic of depth, registered to the images"),
    DeclareLaunchArgument("camera_info", default_value="camera_info", description="topic of the calibration"),
    DeclareLaunchArgument("params_file", default_value=_PARAMS_FILE, description="YAML file with parameters"),
    DeclareLaunchArgument("model", default_value="", description="network; empty as in params_file"),
    DeclareLaunchArgument("device", default_value="", description="auto, cpu, cuda or cuda:N; empty as in params_file"),
    DeclareLaunchArgument("cameras", default_value="", description="names of several, such as [left, right]"),
    DeclareLaunchArgument("calibration", default_value="", description="fr1, fr2, fr3 or a camera_info YAML file"),
    DeclareLaunchArgument("depth", default_value="", description="true joins depth; empty as in params_file"),
    DeclareLaunchArgument("image_transport", default_value="", description="raw or compressed"),
    DeclareLaunchArgument("process_every_frame", default_value="", description="true for replays"),
    DeclareLaunchArgument("autostart", default_value="", description="false leaves it to a lifecycle manager"),
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
    given = {name: LaunchConfiguration(name).perform(context) for name in _PARAMETERS}
    use_sim_time = LaunchConfiguration("use_sim_time").perform(context).lower() in ("true", "1")
    parameters = {
        "use_sim_time": use_sim_time,
        **{name: yaml.safe_load(value) for name, value in given.items() if value},
    }
    return [
        Node(
            package="aliked_ros",
            executable="tracker",
            namespace=LaunchConfiguration("namespace"),
            name=LaunchConfiguration("name"),
            parameters=[LaunchConfiguration("params_file"), parameters],
            remappings=[
                ("image", LaunchConfiguration("image")),
                ("depth", LaunchConfiguration("depth_image")),
                ("camera_info", LaunchConfiguration("camera_info")),
            ],
            ros_arguments=["--log-level", LaunchConfiguration("log_level")],
            output="screen",
        )
    ]
