# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Checks of ROS 2, its middleware and the messages. ROS itself is looked at from outside and never started."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from aliked_ros.cli.checks import Finding, State, installed_names, is_importable, load_error
from aliked_ros.transport import DEFAULT_MIDDLEWARE, examine_transport

_SETUP = "run `make setup`, then `. ./env.sh`"
_WHEEL = re.compile(r"ros-(\w+)-rclpy")


def check_ros() -> Iterator[Finding]:
    """Whether there is an rclpy, and where it comes from."""
    spec = importlib.util.find_spec("rclpy")
    if spec is None or spec.origin is None:
        distro = os.environ.get("ROS_DISTRO", "")
        remedy = f". /opt/ros/{distro}/setup.sh, or {_SETUP}" if distro else _SETUP
        yield Finding("ROS 2", State.WARNING, "no rclpy; the API and the commands run, the nodes do not", remedy)
        return
    origin = Path(spec.origin)
    if Path(sys.prefix) in origin.parents:
        distros = {found.group(1) for name in installed_names() if (found := _WHEEL.fullmatch(name))}
        yield Finding("ROS 2", State.OK, f"{' '.join(sorted(distros))} wheels in {sys.prefix}")
    else:
        yield Finding("ROS 2", State.OK, f"{os.environ.get('ROS_DISTRO', 'unnamed')}, installed in {origin.parents[4]}")


def check_middleware() -> Iterator[Finding]:
    """Which middleware the nodes will use, and whether it is there."""
    if not is_importable("rclpy"):
        return
    name = os.environ.get("RMW_IMPLEMENTATION", "")
    shown = name or f"{DEFAULT_MIDDLEWARE} (RMW_IMPLEMENTATION is not set)"
    library = f"lib{name or DEFAULT_MIDDLEWARE}.so"
    prefixes = [*os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep), sys.prefix]
    if any(prefix and Path(prefix, "lib", library).is_file() for prefix in prefixes):
        yield Finding("RMW", State.OK, shown)
    else:
        remedy = "install it, or unset RMW_IMPLEMENTATION and run `. ./env.sh` again"
        yield Finding("RMW", State.WARNING, f"{shown}: no {library} in AMENT_PREFIX_PATH", remedy)


def check_transport() -> Iterator[Finding]:
    """How Fast DDS moves images between processes, for nodes started from this shell and directory."""
    if not is_importable("rclpy"):
        return
    transport = examine_transport(os.environ, Path.cwd())
    if transport is None:
        return
    if transport.problem:
        yield Finding("transport", State.WARNING, transport.problem, transport.remedy)
    else:
        yield Finding("transport", State.OK, transport.summary)


def check_messages() -> Iterator[Finding]:
    """Whether aliked_msgs can be loaded, its compiled part included."""
    if not is_importable("aliked_msgs"):
        remedy = f"{_SETUP}; in a colcon workspace `colcon build`, then `. install/setup.sh`"
        yield Finding("aliked_msgs", State.WARNING, "not found; the nodes need it", remedy)
        return
    error = load_error("from aliked_msgs.msg import Features; Features.__class__.__import_type_support__()")
    if error:
        yield Finding("aliked_msgs", State.WARNING, f"does not load: {error}", f"{_SETUP}, which sets LD_LIBRARY_PATH")
    else:
        spec = importlib.util.find_spec("aliked_msgs")
        yield Finding("aliked_msgs", State.OK, str(Path(str(spec.origin)).parent) if spec else "")


def check_cv_bridge() -> Iterator[Finding]:
    """Whether cv_bridge is there and works; it is built against one NumPy."""
    fallback = "OpenCV converts the encodings that it knows"
    if not is_importable("cv_bridge"):
        yield Finding("cv_bridge", State.OK, f"not installed; {fallback}")
        return
    error = load_error("from cv_bridge.boost import cv_bridge_boost")
    if error:
        remedy = "pip install 'numpy<2' where your ROS was built against NumPy 1"
        yield Finding("cv_bridge", State.WARNING, f"does not load: {error}; {fallback}", remedy)
    else:
        yield Finding("cv_bridge", State.OK, "works")
