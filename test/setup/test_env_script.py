# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""env.sh works in every shell, as often as it is brought in, and leaves what the user has set."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tools.provision.ros import InstalledRos
from tools.provision.shell import render, write_if_changed

SHELLS = [["bash", "-eu", "-c"], ["sh", "-eu", "-c"], ["zsh", "-f", "-eu", "-c"]]
LISTS = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "AMENT_PREFIX_PATH", "CMAKE_PREFIX_PATH")
SITE_PACKAGES = "lib/python3.11/site-packages"


@pytest.fixture(params=SHELLS, ids=lambda shell: shell[0])
def shell(request: pytest.FixtureRequest) -> list[str]:
    if shutil.which(request.param[0]) is None:
        pytest.skip(f"{request.param[0]} is not installed")
    return list(request.param)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "a tree with spaces & $signs"
    path.mkdir()
    return path


def variables(shell: list[str], script: Path, times: int = 1, **given: str) -> dict[str, str]:
    """The environment of a shell after it has brought in the script."""
    code = '. "$SCRIPT"; ' * times + "env -0"
    environment = {"PATH": "/usr/bin:/bin", "SCRIPT": str(script), **given}
    answer = subprocess.run([*shell, code], env=environment, capture_output=True, text=True, check=True)
    assert answer.stderr == ""
    return dict(entry.split("=", 1) for entry in answer.stdout.split("\0") if entry)


def write(root: Path, ros: InstalledRos | None = None) -> Path:
    script = root / "env.sh"
    write_if_changed(script, render(root / ".venv", root / "install/aliked_msgs", SITE_PACKAGES, ros))
    return script


def test_everything_is_found(shell: list[str], root: Path) -> None:
    found = variables(shell, write(root))
    messages = f"{root}/install/aliked_msgs"
    assert found["PATH"] == f"{root}/.venv/bin:/usr/bin:/bin"
    assert found["VIRTUAL_ENV"] == f"{root}/.venv"
    assert found["AMENT_PREFIX_PATH"] == found["CMAKE_PREFIX_PATH"] == f"{messages}:{root}/.venv"
    assert found["PYTHONPATH"] == f"{messages}/{SITE_PACKAGES}"
    assert found["LD_LIBRARY_PATH"] == f"{messages}/lib"
    assert found["FASTDDS_BUILTIN_TRANSPORTS"] == "LARGE_DATA"
    assert found["RMW_IMPLEMENTATION"] == "rmw_fastrtps_cpp"
    assert not [name for name in found if "aliked_" in name.lower() and name != "SCRIPT"]


def test_a_second_time_changes_nothing(shell: list[str], root: Path) -> None:
    script = write(root)
    given = {name: "/other/one:/other/two" for name in LISTS if name != "PATH"}
    once, thrice = variables(shell, script, **given), variables(shell, script, times=3, **given)
    assert {name: once[name] for name in LISTS} == {name: thrice[name] for name in LISTS}
    assert once["PYTHONPATH"].endswith(":/other/one:/other/two")


def test_an_entry_that_was_there_moves_to_the_front(shell: list[str], root: Path) -> None:
    own = f"{root}/.venv/bin"
    found = variables(shell, write(root), PATH=f"/other/venv/bin:{own}:/usr/bin:{own}:/bin")
    assert found["PATH"] == f"{own}:/other/venv/bin:/usr/bin:/bin"


def test_what_the_user_set_stays(shell: list[str], root: Path) -> None:
    found = variables(
        shell, write(root), FASTDDS_BUILTIN_TRANSPORTS="UDPv4", RMW_IMPLEMENTATION="rmw_x", ROS_DOMAIN_ID="3"
    )
    assert found["FASTDDS_BUILTIN_TRANSPORTS"] == "UDPv4"
    assert found["RMW_IMPLEMENTATION"] == "rmw_x"
    assert found["ROS_DOMAIN_ID"] == "3"


def test_an_installed_ros_is_brought_in_once(shell: list[str], root: Path) -> None:
    prefix = root / "ros"
    prefix.mkdir()
    # As ROS's own scripts, it reads a variable that is not set and puts itself first.
    script = 'echo "$NOT_SET" >/dev/null; export AMENT_PREFIX_PATH=%s COUNT="${COUNT:-}x"\n'
    for name in ("setup.sh", "setup.bash", "setup.zsh"):
        (prefix / name).write_text(script % f'"{prefix}"'.replace("$", "\\$"))
    found = variables(shell, write(root, InstalledRos("demo", prefix, "/usr/bin/python3")), times=2)
    assert found["COUNT"] == "x"
    assert found["AMENT_PREFIX_PATH"] == f"{root}/install/aliked_msgs:{root}/.venv:{prefix}"
    assert "RMW_IMPLEMENTATION" not in found


def test_the_script_is_rewritten_only_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "env.sh"
    assert write_if_changed(path, "one")
    assert not write_if_changed(path, "one")
    assert write_if_changed(path, "two")
    assert path.read_text() == "two"
