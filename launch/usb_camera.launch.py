# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Runs a USB camera and the tracker on it: ``ros2 launch aliked_ros usb_camera.launch.py video_device:=/dev/video0``.

The camera is driven by v4l2_camera or usb_cam where one is installed, else by this package's player.
"""

from __future__ import annotations

import re

from launch import LaunchContext, LaunchDescription
from launch.actions import LogInfo
from launch_ros.actions import Node

from aliked_ros.errors import ConfigError
from aliked_ros.ros import launching
from aliked_ros.ros.launching import argument

_DRIVERS = ("v4l2_camera", "usb_cam", "player")
_ARGUMENTS = (
    argument("video_device", "/dev/video0", "the camera; with driver:=player also a video, a folder or a bag"),
    argument("driver", "auto", "what drives the camera; auto takes the first that is installed", ["auto", *_DRIVERS]),
    argument("width", "640", "width of the images, pixels; the player takes what the camera gives"),
    argument("height", "480", "height of the images, pixels; the player takes what the camera gives"),
    argument("rate", "30.0", "images per second, of usb_cam"),
    argument("camera_info_url", "", "calibration of the driver, such as file:///home/me/camera.yaml"),
    argument("frame_id", "camera", "frame of the images"),
)


def generate_launch_description() -> LaunchDescription:
    """The arguments, the transport, the camera's driver and the tracker."""
    decided = ("cameras", "depth", "sync_slop", "use_sim_time")
    return launching.description([*_ARGUMENTS, *launching.without(launching.TRACKER_ARGUMENTS, *decided)], _nodes)


def _nodes(context: LaunchContext) -> launching.Actions:
    asked = launching.value(context, "driver")
    driver = _first_installed() if asked == "auto" else asked
    if driver != "player":
        launching.require_package(driver, f"driver:={driver}")
    why = "it was asked for" if asked != "auto" else "the first installed of " + ", ".join(_DRIVERS)
    camera = {"v4l2_camera": _v4l2_camera, "usb_cam": _usb_cam, "player": _player}[driver](context)
    return [
        LogInfo(msg=f"camera: {driver} drives {launching.value(context, 'video_device')} ({why})"),
        camera,
        *launching.tracker(context, {"image": "image_raw"}),
    ]


def _first_installed() -> str:
    return next(driver for driver in _DRIVERS if driver == "player" or launching.is_installed(driver))


def _v4l2_camera(context: LaunchContext) -> Node:
    return _driver(
        context,
        "v4l2_camera",
        "v4l2_camera_node",
        image_size=[int(launching.value(context, name)) for name in ("width", "height")],
        camera_frame_id=launching.value(context, "frame_id"),
    )


def _usb_cam(context: LaunchContext) -> Node:
    return _driver(
        context,
        "usb_cam",
        "usb_cam_node_exe",
        image_width=int(launching.value(context, "width")),
        image_height=int(launching.value(context, "height")),
        framerate=float(launching.value(context, "rate")),
        frame_id=launching.value(context, "frame_id"),
    )


def _driver(context: LaunchContext, package: str, executable: str, **parameters: object) -> Node:
    names = ("video_device", "camera_info_url")
    given = {name: text for name in names if (text := launching.value(context, name))}
    return Node(
        package=package,
        executable=executable,
        name=package,
        namespace=launching.value(context, "namespace"),
        parameters=[{**given, **parameters}],
        output="screen",
    )


def _player(context: LaunchContext) -> Node:
    """Plays as a camera does: in real time, stamped with its publication, over and over where it has an end."""
    if launching.value(context, "camera_info_url"):
        raise ConfigError("the player has no camera_info_url; give the tracker a YAML file with calibration:=")
    device = launching.value(context, "video_device")
    number = re.fullmatch(r"(?:/dev/video)?(\d+)", device)
    return launching.player(
        context,
        {"image": "image_raw"},
        input=f"camera{number.group(1)}" if number else device,
        calibration=launching.value(context, "calibration"),
        frame_id=launching.value(context, "frame_id"),
        restamp=True,
        loop=number is None,
    )
