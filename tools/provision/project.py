# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Where the set-up puts things, and the environment its commands run in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tools.provision.console import Console
from tools.provision.prerequisites import Interpreter
from tools.provision.ros import InstalledRos, ros_environment

# The ROS wheels start Python a second time to find their libraries, and skip that where this is set; inherited from
# the Python of another environment it would leave ours without them.
_WHEELS_GUARD = "_ROS_WHEELS_BOOTSTRAP_COMPLETE"


@dataclass(frozen=True)
class Project:
    """A source tree, the Python it is set up with, and the ROS it is built against."""

    root: Path
    interpreter: Interpreter
    ros: InstalledRos | None  # None: the ROS wheels
    console: Console
    torch: tuple[str, ...] = ()  # what to ask pip for instead of requirements/torch.txt
    shell_environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    @property
    def venv(self) -> Path:
        """The virtual environment."""
        return self.root / ".venv"

    @property
    def python(self) -> Path:
        """The virtual environment's Python."""
        return self.venv / "bin" / "python"

    @property
    def messages(self) -> Path:
        """The prefix that aliked_msgs is installed to."""
        return self.root / "install" / "aliked_msgs"

    @property
    def state(self) -> Path:
        """What the set-up remembers about the virtual environment; goes with it."""
        return self.venv / ".setup"

    def environment(self) -> dict[str, str]:
        """The environment for the commands of the set-up, with the virtual environment in front."""
        values = dict(self.shell_environment)
        for name in (_WHEELS_GUARD, "PYTHONHOME", "PYTHONPATH"):
            values.pop(name, None)
        values["AMENT_PREFIX_PATH"] = values["CMAKE_PREFIX_PATH"] = str(self.venv)
        if self.ros is not None:
            for name in ("AMENT_PREFIX_PATH", "CMAKE_PREFIX_PATH"):
                del values[name]
            values = ros_environment(self.ros, values)
        values["PATH"] = f"{self.venv / 'bin'}{os.pathsep}{values.get('PATH', os.defpath)}"
        values["VIRTUAL_ENV"] = str(self.venv)
        values["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
        return values
