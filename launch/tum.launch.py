# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Replays a TUM RGB-D sequence through the tracker: ``ros2 launch aliked_ros tum.launch.py input:=DIRECTORY``.

``--show-args`` lists the arguments. Everything ends with the sequence.
"""

from __future__ import annotations

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, Shutdown

from aliked_ros.ros import launching
from aliked_ros.ros.launching import argument

_ARGUMENTS = (
    DeclareLaunchArgument("input", description="TUM directory or bag"),
    argument(
        "kinect",
        "",
        "calibration: freiburg1, 2 or 3; empty for the sequence's own, or that its name tells",
        ["", "fr1", "fr2", "fr3"],
    ),
    argument("rate", "1.0", "speed; 0.0 as fast as the tracker can"),
    argument("loop", "false", "start over at the end"),
    argument("start", "0.0", "seconds to leave out"),
    argument("duration", "0.0", "seconds to play; 0.0 to the end"),
    argument("lock_step", "true", "wait for the features of every frame"),
)


def generate_launch_description() -> LaunchDescription:
    """The arguments, the transport, and both nodes."""
    # The replay decides these: one camera, its stamps, every frame in lock step.
    decided = ("cameras", "calibration", "process_every_frame", "autostart", "use_sim_time", "sync_slop", "name")
    return launching.description([*_ARGUMENTS, *launching.without(launching.TRACKER_ARGUMENTS, *decided)], _nodes)


def _nodes(context: LaunchContext) -> launching.Actions:
    lock_step, kinect = launching.is_true(context, "lock_step"), launching.value(context, "kinect")
    files = [str(launching.config(f"tum_{kinect}.yaml"))] if kinect else []
    return [
        *launching.tracker(context, {}, files, use_sim_time=True, process_every_frame=lock_step),
        launching.player(
            context,
            {},
            files,
            input=launching.value(context, "input"),
            loop=launching.is_true(context, "loop"),
            wait_for_subscribers=1,
            wait_for="tracker/features" if lock_step else "",
            on_exit=Shutdown(reason="the sequence has been played"),
            **{name: float(launching.value(context, name)) for name in ("rate", "start", "duration")},
        ),
    ]
