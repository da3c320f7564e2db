# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Replays a TUM RGB-D sequence through the tracker: ``ros2 launch aliked_ros tum.launch.py input:=DIRECTORY``.

``--show-args`` lists the arguments. Everything ends with the sequence.
"""

from __future__ import annotations

from typing import Any

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable, Shutdown
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

_KINECTS = ["", "fr1", "fr2", "fr3"]
_ARGUMENTS = (
    DeclareLaunchArgument("input", description="TUM directory or bag"),
    DeclareLaunchArgument(
        "kinect",
        default_value="",
        choices=_KINECTS,
        description="calibration: freiburg1, 2 or 3; empty for the sequence's own, or that its name tells",
    ),
    DeclareLaunchArgument("rate", default_value="1.0", description="speed; 0.0 as fast as the tracker can"),
    DeclareLaunchArgument("loop", default_value="false", description="start over at the end"),
    DeclareLaunchArgument("start", default_value="0.0", description="seconds to leave out"),
    DeclareLaunchArgument("duration", default_value="0.0", description="seconds to play; 0.0 to the end"),
    DeclareLaunchArgument("lock_step", default_value="true", description="wait for the features of every frame"),
    DeclareLaunchArgument("namespace", default_value="", description="namespace of both nodes"),
    DeclareLaunchArgument("model", default_value="", description="network; empty for the default"),
    DeclareLaunchArgument("device", default_value="", description="auto, cpu, cuda or cuda:N; empty for the default"),
    DeclareLaunchArgument("log_level", default_value="info", description="debug, info, warn, error or fatal"),
)


def generate_launch_description() -> LaunchDescription:
    """The arguments, the transport, and both nodes."""
    # Fast DDS's default shared-memory segment is too small for images; see docs/performance.md.
    transport = EnvironmentVariable("FASTDDS_BUILTIN_TRANSPORTS", default_value="LARGE_DATA")
    return LaunchDescription(
        [
            *_ARGUMENTS,
            SetEnvironmentVariable("FASTDDS_BUILTIN_TRANSPORTS", transport),
            OpaqueFunction(function=_nodes),
        ]
    )


def _nodes(context: LaunchContext) -> list[Node]:
    lock_step = _is_true(context, "lock_step")
    kinect = LaunchConfiguration("kinect").perform(context)
    config = PathJoinSubstitution([FindPackageShare("aliked_ros"), "config", f"tum_{kinect}.yaml"])
    files = [config] if kinect else []
    given = {name: LaunchConfiguration(name).perform(context) for name in ("model", "device")}
    tracker = {
        "use_sim_time": True,
        "process_every_frame": lock_step,
        **{name: value for name, value in given.items() if value},
    }
    player = {
        "input": LaunchConfiguration("input").perform(context),
        "loop": _is_true(context, "loop"),
        "wait_for_subscribers": 1,
        "wait_for": "tracker/features" if lock_step else "",
        **{name: float(LaunchConfiguration(name).perform(context)) for name in ("rate", "start", "duration")},
    }
    return [
        _node("tracker", [*files, tracker]),
        _node("player", [*files, player], on_exit=Shutdown(reason="the sequence has been played")),
    ]


def _node(name: str, parameters: list[Any], **options: Any) -> Node:
    return Node(
        package="aliked_ros",
        executable=name,
        name=name,
        namespace=LaunchConfiguration("namespace"),
        parameters=parameters,
        ros_arguments=["--log-level", LaunchConfiguration("log_level")],
        output="screen",
        **options,
    )


def _is_true(context: LaunchContext, name: str) -> bool:
    return bool(LaunchConfiguration(name).perform(context).lower() in ("true", "1"))
