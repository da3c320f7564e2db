# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The nodes' commands explain themselves, and refuse arguments that ROS would ignore."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from node_harness import TIMEOUT_S

from aliked_ros.ros.bridge_config import RTABMAP_RELAY_GROUPS, VINS_RELAY_GROUPS
from aliked_ros.ros.node_config import PLAYER_GROUPS, TRACKER_GROUPS, camera_groups
from aliked_ros.ros.odometry_config import ODOMETRY_GROUPS
from aliked_ros.ros.usage import Usage

pytestmark = pytest.mark.ros

GROUPS = {
    "tracker": (*TRACKER_GROUPS, *camera_groups(())),
    "player": PLAYER_GROUPS,
    "odometry": ODOMETRY_GROUPS,
    "rtabmap_relay": RTABMAP_RELAY_GROUPS,
    "vins_relay": VINS_RELAY_GROUPS,
}


def main_of(name: str) -> Callable[[list[str]], int]:
    main: Callable[[list[str]], int] = importlib.import_module(f"aliked_ros.ros.{name}").main
    return main


@pytest.mark.parametrize("name", GROUPS)
@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_has_every_parameter(name: str, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main_of(name)([word]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.startswith(f"usage: {name} [--ros-args [-p NAME:=VALUE ...]")
    assert max(map(len, said.out.splitlines())) <= 120
    words = " ".join(said.out.split())
    for prefix, kind in GROUPS[name]:
        for named in kind.options():
            assert f" {prefix}{'.' if prefix else ''}{named.name}:=" in words
            assert named.option.describe() in words, "meaning, unit and range"


def test_help_has_defaults_as_they_are_written() -> None:
    text = Usage("tracker", "", GROUPS["tracker"]).text()
    for shown in ("autostart:=true", "cameras:=[]", 'model:="aliked-n16"', "sync_slop:=0.005", "warmup_width:=640"):
        assert f"\n  {shown}\n" in text


@pytest.mark.parametrize("name", GROUPS)
def test_other_arguments_are_refused_with_the_remedy(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["-p", "max_keypoints:=5", "--ros-args", "-p", "use_sim_time:=true", "--", "fast"]
    assert main_of(name)(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{name}: arguments that are no ROS arguments: -p max_keypoints:=5 fast; ")
    assert "--ros-args -p NAME:=VALUE" in line


@pytest.mark.parametrize("arguments", [[], ["--ros-args", "-r", "__node:=left"], ["--ros-args", "-p", "not a rule"]])
def test_ros_arguments_are_for_ros(arguments: list[str]) -> None:
    assert Usage("tracker", "", ()).exit_code(arguments) is None


@pytest.mark.parametrize(("word", "code"), [("--help", 0), ("max_keypoints:=5", 2)])
def test_the_installed_command_does_it(word: str, code: int) -> None:
    command = [sys.executable, "-m", "aliked_ros.ros.start", "tracker", word]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == code
    assert (done.stdout if code == 0 else done.stderr).count("max_keypoints:=") >= 1
