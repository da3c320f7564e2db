# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the launch files share: arguments, nodes and viewers. Only they import it, as it needs ROS 2's launch."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from ament_index_python.packages import PackageNotFoundError, get_package_prefix, get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from aliked_ros.config import did_you_mean
from aliked_ros.errors import ConfigError
from aliked_ros.io.folders import expanded
from aliked_ros.transport import has_transport_modes, profiles_variable

Actions = list[Any]
_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off", "")
FOXGLOVE_PORT = 8765


def argument(name: str, default: str, description: str, choices: Sequence[str] | None = None) -> DeclareLaunchArgument:
    """An argument of a launch file."""
    options = {} if choices is None else {"choices": list(choices)}
    return DeclareLaunchArgument(name, default_value=default, description=description, **options)


# Every launch file's.
COMMON_ARGUMENTS = (
    argument("namespace", "", "namespace of the nodes"),
    argument("log_level", "info", "debug, info, warn, error or fatal"),
    argument(
        "fastdds_profile",
        "",
        "one_machine, several_machines, several_machines_tcp or a file; empty as the environment says, else "
        "LARGE_DATA, or several_machines where Fast DDS is older (Humble)",
    ),
    argument("rviz", "false", "true shows images and tracks in RViz"),
    argument("foxglove", "false", f"true starts foxglove_bridge on port {FOXGLOVE_PORT}"),
)
# Parameters of the tracker that have an argument of their name; an empty one leaves what the parameter file says.
_TRACKER_PARAMETERS = (
    argument("model", "", "network; empty as in params_file"),
    argument("device", "", "auto, cpu, cuda or cuda:N; empty as in params_file"),
    argument("cameras", "", "names of several, such as [left, right]"),
    argument("calibration", "", "fr1, fr2, fr3 or a camera_info YAML file"),
    argument("rectified", "", "true where the images are rectified; empty as in params_file"),
    argument("depth", "", "true joins depth; empty as in params_file"),
    argument("image_transport", "", "raw or compressed"),
    argument("descriptor_dtype", "", "none, float32, float16 or int8; empty as in params_file"),
    argument("process_every_frame", "", "true for replays"),
    argument("autostart", "", "false leaves it to a lifecycle manager"),
    argument("sync_slop", "", "seconds by which stamps of simultaneous images may differ"),
)
TRACKER_ARGUMENTS = (
    argument("name", "tracker", "name of the tracker"),
    argument("params_file", "", "YAML file with the tracker's parameters; empty for the package's tracker.yaml"),
    *_TRACKER_PARAMETERS,
    argument("use_sim_time", "false", "follow /clock"),
)
TOPIC_ARGUMENTS = (
    argument("image", "image", "topic of the images, without /compressed"),
    argument("depth_image", "depth", "topic of depth, registered to the images"),
    argument("camera_info", "camera_info", "topic of the calibration"),
)
SIDES = ("left", "right")
SIDE_ARGUMENTS = tuple(argument(side, side, f"namespace of the {side} camera's topics") for side in SIDES)
_TOPICS = {"image": "image", "depth": "depth_image", "camera_info": "camera_info"}


def topics(context: LaunchContext) -> dict[str, str]:
    """The values of ``TOPIC_ARGUMENTS``, by the names that the tracker knows."""
    return {name: value(context, argument) for name, argument in _TOPICS.items()}


def stereo_topics(context: LaunchContext) -> dict[str, str]:
    """The topics of two cameras by the names that the tracker knows: below the values of ``SIDE_ARGUMENTS``."""
    return {
        f"{side}/{name}": f"{value(context, side).rstrip('/')}/{value(context, name)}"
        for side in SIDES
        for name in ("image", "camera_info")
    }


def without(arguments: Iterable[DeclareLaunchArgument], *names: str) -> tuple[DeclareLaunchArgument, ...]:
    """The arguments but these, for a launch file that decides them itself."""
    return tuple(found for found in arguments if found.name not in names)


def description(
    arguments: Iterable[DeclareLaunchArgument], actions: Callable[[LaunchContext], Actions]
) -> LaunchDescription:
    """A launch file: its own arguments and the common ones, the transport, and what it starts.

    Args:
        arguments: its own, which go before common ones of the same name.
        actions: gives what it starts, once the arguments have their values.
    """
    own = tuple(arguments)
    common = without(COMMON_ARGUMENTS, *(found.name for found in own))

    def start(context: LaunchContext) -> Actions:
        _refuse_unknown(context, [found.name for found in (*own, *common)])
        return [*_transport(context), *actions(context)]

    return LaunchDescription([*own, *common, OpaqueFunction(function=start)])


def value(context: LaunchContext, name: str) -> str:
    """The value of an argument."""
    return str(LaunchConfiguration(name).perform(context))


def parameter_file(context: LaunchContext, name: str) -> str:
    """The file that an argument names, empty for none; ConfigError where there is no such file."""
    given = str(context.launch_configurations.get(name, ""))
    if not given:
        return ""
    path = expanded(given, name)
    if not path.is_file():
        raise ConfigError(f"{name}:={given}: there is no such file")
    return str(path)


def is_true(context: LaunchContext, name: str) -> bool:
    """Whether an argument says true; ConfigError where it says neither true nor false, in YAML's words."""
    text = value(context, name)
    if text.lower() not in (*_TRUE, *_FALSE):
        raise ConfigError(f"{name}:={text}: must be true or false")
    return text.lower() in _TRUE


def tracker(
    context: LaunchContext,
    remappings: Mapping[str, str],
    further: Sequence[str] = (),
    *,
    view: str = "tracker",
    **parameters: Any,
) -> Actions:
    """The tracker, and the viewers of its results that are asked for.

    Args:
        context: has the values of ``TRACKER_ARGUMENTS``, of which a launch file may lack some.
        remappings: topics by the names that the tracker knows.
        further: parameter files that go before that of the arguments.
        view: RViz's configuration.
        parameters: go before everything else.
    """
    configurations = context.launch_configurations
    given = {
        declared.name: _parameter(declared.name, text)
        for declared in _TRACKER_PARAMETERS
        if (text := configurations.get(declared.name, ""))
    }
    if "use_sim_time" in configurations:
        given["use_sim_time"] = is_true(context, "use_sim_time")
    all_parameters = {**given, **parameters}
    params_file = parameter_file(context, "params_file") or str(config("tracker.yaml"))
    name = configurations.get("name", "tracker")
    camera = (all_parameters.get("cameras") or [""])[0]
    image = "/".join(filter(None, [camera, "image"]))
    viewed = {
        "/tracker/debug_image": "/".join(filter(None, [name, camera, "debug_image"])),
        "/image": remappings.get(image, image),
        **{f"/odometry/{topic}": f"odometry/{topic}" for topic in ("odometry", "path", "map_points")},
    }
    return [
        node(context, "tracker", name, [params_file, *further, all_parameters], remappings),
        *_viewers(context, view, {shown: _absolute(context, topic) for shown, topic in viewed.items()}),
    ]


def _parameter(name: str, text: str) -> Any:
    """The value that an argument's text has in YAML; ConfigError where it has none."""
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}:={text}: cannot be read ({' '.join(str(error).split())})") from error
    if name == "cameras" and not (isinstance(found, list) and all(isinstance(camera, str) for camera in found)):
        raise ConfigError(f"{name}:={text}: must be a list of names, such as [left, right]")
    return text if found is None else found  # ~ is a path


def player(
    context: LaunchContext,
    remappings: Mapping[str, str],
    files: Sequence[str] = (),
    *,
    name: str = "player",
    on_exit: Any = None,
    **parameters: Any,
) -> Node:
    """The player; what happens when it ends may be told."""
    return node(context, "player", name, [*files, parameters], remappings, on_exit=on_exit)


def node(
    context: LaunchContext,
    executable: str,
    name: str,
    parameters: Sequence[Any],
    remappings: Mapping[str, str],
    **options: Any,
) -> Node:
    """One of this package's nodes, in the namespace and with the log level of the arguments."""
    return Node(
        package="aliked_ros",
        executable=executable,
        name=name,
        namespace=value(context, "namespace"),
        parameters=list(parameters),
        remappings=_changed(remappings),
        ros_arguments=["--log-level", value(context, "log_level")],
        output="screen",
        **options,
    )


def config(name: str) -> Path:
    """A file of the package's ``config``."""
    return Path(get_package_share_directory("aliked_ros")) / "config" / name


def is_installed(package: str) -> bool:
    """Whether a ROS package is in the ament index."""
    try:
        get_package_prefix(package)
    except PackageNotFoundError:
        return False
    return True


def require_package(package: str, wanted_by: str) -> None:
    """Raises ConfigError, with the line that installs it, where a ROS package is not there."""
    if not is_installed(package):
        distro = os.environ.get("ROS_DISTRO", "DISTRO")
        debian = f"ros-{distro}-{package.replace('_', '-')}"
        raise ConfigError(f"{wanted_by} needs the package {package}: sudo apt install {debian}, or leave it out")


def _refuse_unknown(context: LaunchContext, declared: Sequence[str]) -> None:
    """Raises ConfigError for an argument on the command line that the launch file lacks; launch ignores it in silence.

    Of a launch file that another one includes, the command line has that one's arguments.
    """
    path = getattr(context.locals, "current_launch_file_path", None)
    if path is None:
        return
    own = Path(path).resolve()
    is_by_package = "aliked_ros" in sys.argv and own.name in sys.argv
    if not is_by_package and own not in {Path(word).resolve() for word in sys.argv}:
        return
    for name in (word.split(":=")[0] for word in context.argv if ":=" in word):
        if name not in declared:
            hint = did_you_mean(name, declared, "--show-args lists the known ones")
            raise ConfigError(f"unknown launch argument {name}; {hint}")


def _transport(context: LaunchContext) -> Actions:
    """The profile that was asked for, or else built-in transports that have room for images (docs/performance.md)."""
    given, variable = value(context, "fastdds_profile"), profiles_variable(os.environ)
    if not given and not has_transport_modes(os.environ):
        if os.environ.get(variable):
            return []
        given = "one_machine" if os.environ.get("ROS_LOCALHOST_ONLY") == "1" else "several_machines"
    if not given:
        setting = os.environ.get("FASTDDS_BUILTIN_TRANSPORTS", "LARGE_DATA")
        return [SetEnvironmentVariable("FASTDDS_BUILTIN_TRANSPORTS", setting)]
    is_path = "/" in given or given.endswith(".xml")
    path = expanded(given, "fastdds_profile") if is_path else config(f"fastdds/{given}.xml")
    if not path.is_file():
        known = ", ".join(sorted(found.stem for found in config("fastdds").glob("*.xml")))
        raise ConfigError(f"fastdds_profile must be one of {known} or a file; {path} is none")
    return [SetEnvironmentVariable(variable, str(path.resolve()))]


def _absolute(context: LaunchContext, topic: str) -> str:
    """A topic's full name, as a node in the namespace of the arguments sees it."""
    namespace = value(context, "namespace").strip("/")
    return topic if topic.startswith("/") else "/".join(["", *filter(None, [namespace, topic])])


def _viewers(context: LaunchContext, view: str, topics_by_shown: Mapping[str, str]) -> Actions:
    """RViz and Foxglove's bridge, where they are asked for; the topics are by their names in RViz's configuration."""
    rviz = _rviz(view, topics_by_shown) if is_true(context, "rviz") else []
    return [*rviz, *(_foxglove() if is_true(context, "foxglove") else [])]


def _rviz(view: str, topics_by_shown: Mapping[str, str]) -> Actions:
    require_package("rviz2", "rviz:=true")
    return [
        Node(
            package="rviz2",
            executable="rviz2",
            name="rviz",
            arguments=["-d", str(config(f"rviz/{view}.rviz"))],
            remappings=_changed(topics_by_shown),
        )
    ]


def _foxglove() -> Actions:
    require_package("foxglove_bridge", "foxglove:=true")
    text = f"Foxglove: open ws://localhost:{FOXGLOVE_PORT} and import the layout {config('foxglove/tracker.json')}"
    bridge = Node(package="foxglove_bridge", executable="foxglove_bridge", parameters=[{"port": FOXGLOVE_PORT}])
    return [bridge, LogInfo(msg=text)]


def _changed(remappings: Mapping[str, str]) -> list[tuple[str, str]]:
    return [pair for pair in remappings.items() if pair[0] != pair[1]]
