# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Finds the ROS 2 that the set-up builds against: an installed one, or the wheels."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.provision.console import SetupError

INSTALL_ROOT = Path("/opt/ros")


@dataclass(frozen=True)
class InstalledRos:
    """An installed ROS 2."""

    distro: str
    prefix: Path
    python: str  # the interpreter whose packages it uses

    @property
    def setup_script(self) -> Path:
        """The script that brings it into a shell."""
        return self.prefix / "setup.sh"


def find_installed_ros(
    environment: Mapping[str, str], root: Path = INSTALL_ROOT, system: Path = Path("/usr/bin")
) -> InstalledRos | None:
    """The ROS 2 that ``ROS_DISTRO`` names; ``None`` when that is not set.

    Raises:
        SetupError: it is set, but that ROS, or the Python it was built for, is not on this machine.
    """
    distro = environment.get("ROS_DISTRO", "").strip()
    if not distro:
        return None
    searched = [Path(entry) for entry in environment.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if entry]
    searched.append(root / distro)
    for prefix in searched:
        minor = _python_minor(prefix)
        if minor is not None:
            return InstalledRos(distro, prefix, _interpreter(prefix, minor, system))
    raise SetupError(
        f"ROS_DISTRO is {distro}, but no ROS 2 with rclpy was found in {', '.join(map(str, searched))}",
        f"install it (apt install ros-{distro}-ros-base), or `unset ROS_DISTRO` to use the ROS wheels",
    )


def _python_minor(prefix: Path) -> int | None:
    """The Python 3 minor version that the ROS below this prefix was built for; ``None`` without an rclpy."""
    for rclpy in sorted(prefix.glob("lib/python3.*/site-packages/rclpy")):
        found = re.fullmatch(r"python3\.(\d+)", rclpy.parents[1].name)
        if found and (prefix / "setup.sh").is_file():
            return int(found.group(1))
    return None


def _interpreter(prefix: Path, minor: int, system: Path) -> str:
    """ROS from packages uses the system's Python, one from conda the Python beside it."""
    name = f"python3.{minor}"
    for candidate in (prefix / "bin" / name, system / name):
        if candidate.is_file():
            return str(candidate)
    found = shutil.which(name)
    if found is None:
        raise SetupError(
            f"the ROS in {prefix} was built for Python 3.{minor}, which is not on this machine",
            f"apt install {name} {name}-venv {name}-dev",
        )
    return found


def ros_environment(ros: InstalledRos, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a shell that has brought in this ROS.

    Raises:
        SetupError: its setup script fails.
    """
    # The script is not made for shells that stop at unset variables, and prints nothing that is wanted here.
    command = ["sh", "-c", '. "$1" >&2 && env -0', "sh", str(ros.setup_script)]
    answer = subprocess.run(command, env=dict(environment), capture_output=True, check=False)
    if answer.returncode != 0:
        raise SetupError(
            f"{ros.setup_script} failed: {answer.stderr.decode('utf-8', 'replace').strip()}",
            f"repair the installation of ROS {ros.distro}, or `unset ROS_DISTRO` to use the ROS wheels",
        )
    return dict(_pairs(answer.stdout))


def _pairs(output: bytes) -> Iterator[tuple[str, str]]:
    for entry in output.decode("utf-8", "surrogateescape").split("\0"):
        name, separator, value = entry.partition("=")
        if separator:
            yield name, value
