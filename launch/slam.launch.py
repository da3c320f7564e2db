# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Runs tracker and odometry, on a camera or a replay: ``ros2 launch aliked_ros slam.launch.py input:=DIRECTORY``.

Without ``input`` the tracker takes the camera's topics, with ``mode:=stereo`` those of two rectified cameras. A replay
waits for both nodes, is in lock step with the tracker, and ends everything.
"""

from __future__ import annotations

from launch import LaunchContext, LaunchDescription
from launch.actions import Shutdown

from aliked_ros.errors import ConfigError
from aliked_ros.ros import launching
from aliked_ros.ros.launching import argument

_ARGUMENTS = (
    argument("input", "", "replayed: a TUM directory, a bag, a video or a folder; empty takes the camera's topics"),
    argument("rate", "1.0", "speed of a replay; 0.0 as fast as the tracker can"),
    argument("mode", "rgbd", "depth, two rectified cameras, or one alone, up to scale", ["rgbd", "stereo", "mono"]),
    argument("refinement", "photometric", "of tracked points to sub-pixel positions, or none; empty as in params_file"),
    argument("trajectory", "", "file that gets the trajectory in TUM's format at the end; empty writes none"),
    argument("base_frame", "", "the robot's frame, for its poses instead of the camera's; needs its transform in TF"),
    argument("odometry_params_file", "", "YAML file with the odometry's parameters; empty for their defaults"),
)


def generate_launch_description() -> LaunchDescription:
    """The arguments, the transport, the nodes, and the player where there is something to play."""
    own = launching.without(
        launching.TRACKER_ARGUMENTS, "name", "cameras", "depth", "process_every_frame", "autostart", "use_sim_time"
    )
    return launching.description([*_ARGUMENTS, *own, *launching.TOPIC_ARGUMENTS, *launching.SIDE_ARGUMENTS], _nodes)


def _nodes(context: LaunchContext) -> launching.Actions:
    source, mode = launching.value(context, "input"), launching.value(context, "mode")
    is_replay = bool(source)
    if mode == "stereo":
        if is_replay:
            raise ConfigError("mode:=stereo takes the topics of two cameras, and input has one: play a bag beside it")
        if launching.value(context, "rectified") and not launching.is_true(context, "rectified"):
            raise ConfigError("mode:=stereo takes rectified images: rectify them (image_proc), and leave rectified out")
        topics, cameras = launching.stereo_topics(context), {"cameras": list(launching.SIDES), "rectified": True}
    else:
        topics, cameras = {} if is_replay else launching.topics(context), {"depth": mode == "rgbd"}
    clock = {"use_sim_time": is_replay, "process_every_frame": is_replay}
    refinement = launching.value(context, "refinement")
    refined = {"tracking.refinement": refinement} if refinement else {}
    return [
        *launching.tracker(context, topics, view="slam", **cameras, **clock, **refined),
        _odometry(context, topics, mode, clock),
        *([_player(context, source)] if is_replay else []),
    ]


def _odometry(context: LaunchContext, topics: dict[str, str], mode: str, clock: dict[str, bool]) -> launching.Node:
    file = launching.parameter_file(context, "odometry_params_file")
    given = {name: launching.value(context, name) for name in ("trajectory", "base_frame", "calibration")}
    parameters = {"sensor.mode": mode, **clock, **{name: text for name, text in given.items() if text}}
    if mode == "stereo":
        parameters["camera"] = launching.SIDES[0]
    infos = {name: topic for name, topic in topics.items() if name.endswith("camera_info")}
    return launching.node(context, "odometry", "odometry", [*([file] if file else []), parameters], infos)


def _player(context: LaunchContext, source: str) -> launching.Node:
    return launching.player(
        context,
        {},
        input=source,
        calibration=launching.value(context, "calibration"),
        rate=float(launching.value(context, "rate")),
        wait_for_subscribers=1,
        wait_for="tracker/features",
        wait_for_reader="odometry",
        on_exit=Shutdown(reason="the sequence has been played"),
    )
