# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Both packages build in a colcon workspace, and what they install is found as ROS 2 looks for it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COLCON = "import sys; from colcon_core.command import main; sys.exit(main())"
NODES = sorted(point.name for point in distribution("aliked_ros").entry_points if point.group == "console_scripts")

pytestmark = [
    pytest.mark.ros,
    pytest.mark.skipif(importlib.util.find_spec("colcon_package_selection") is None, reason="colcon is not installed"),
    pytest.mark.skipif(importlib.util.find_spec("rclpy") is None, reason="ROS 2 is not installed"),
]


def colcon(directory: Path, *arguments: str) -> Path:
    """Builds with colcon into a new workspace and returns its install folder."""
    environment = {**os.environ}
    environment["AMENT_PREFIX_PATH"] = environment["CMAKE_PREFIX_PATH"] = underlay()
    command = [
        *(sys.executable, "-c", COLCON, "--log-base", str(directory / "log"), "build"),
        *("--build-base", str(directory / "build"), "--install-base", str(directory / "install"), *arguments),
        *("--base-paths", str(ROOT), str(ROOT / "aliked_msgs")),
        *("--cmake-args", "-DBUILD_TESTING=OFF", f"-DPython3_EXECUTABLE={sys.executable}"),
    ]
    answer = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return directory / "install"


def underlay() -> str:
    """Where ROS itself is, without the messages that the set-up has built."""
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    return os.pathsep.join([entry for entry in prefixes if entry and "aliked_msgs" not in entry] or [sys.prefix])


def in_workspace(install: Path, code: str) -> str:
    """What a shell command prints once the workspace was brought in."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    environment["AMENT_PREFIX_PATH"] = underlay()
    command = ["bash", "-c", f'. "{install}/setup.bash" >/dev/null 2>&1; {code}']
    answer = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


@pytest.fixture(scope="module")
def install(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return colcon(tmp_path_factory.mktemp("workspace"))


def test_the_package_is_in_the_index_with_its_files(install: Path) -> None:
    prefix = install / "aliked_ros"
    share = prefix / "share" / "aliked_ros"
    assert (prefix / "share/ament_index/resource_index/packages/aliked_ros").is_file()
    assert (share / "package.xml").read_text() == (ROOT / "package.xml").read_text()
    for folder, pattern in (("launch", "*.launch.py"), ("config", "*.yaml"), ("config/security", "*.xml")):
        wanted = {path.name for path in (ROOT / folder).glob(pattern)}
        assert wanted
        assert {path.name for path in (share / folder).iterdir() if path.is_file()} == wanted
    assert (share / "weights/manifest.json").read_text() == (ROOT / "weights/manifest.json").read_text()


def test_the_nodes_are_where_ros2_run_looks(install: Path) -> None:
    for name in NODES:
        program = install / "aliked_ros" / "lib" / "aliked_ros" / name
        assert program.is_file()
        assert os.access(program, os.X_OK)


def test_the_messages_are_installed(install: Path) -> None:
    share = install / "aliked_msgs" / "share" / "aliked_msgs"
    assert {path.name for path in (share / "msg").glob("*.msg")} == {
        path.name for path in (ROOT / "aliked_msgs/msg").glob("*.msg")
    }


def test_the_installed_modules_work_together(install: Path) -> None:
    code = (
        "import aliked_ros, aliked_msgs.msg, aliked_ops; from pathlib import Path;"
        "from aliked_ros.network.weights import manifest; print(Path(aliked_ros.__file__).resolve());"
        "print(Path(aliked_ops.__file__).resolve()); print(aliked_ops.backend().cpu);"
        "print(len(manifest())); print(aliked_msgs.msg.Features().num_features)"
    )
    module, ops, compiled, models, features = in_workspace(install, f'python -c "{code}"').splitlines()
    assert install in Path(module).parents
    assert install in Path(ops).parents
    assert (compiled, models, features) == ("True", "4", "0")


def test_a_workspace_of_links_works_as_well(tmp_path: Path, install: Path) -> None:
    (tmp_path / "install").mkdir()
    (tmp_path / "install" / "aliked_msgs").symlink_to(install / "aliked_msgs")
    install = colcon(tmp_path, "--symlink-install", "--packages-select", "aliked_ros")
    code = "import aliked_ros, aliked_ops; print(aliked_ros.__file__); print(aliked_ops.backend().cpu)"
    module, compiled = in_workspace(install, f'python -c "{code}"').splitlines()
    assert Path(module).resolve() == ROOT / "aliked_ros" / "__init__.py"
    assert compiled == "True"
    assert (install / "aliked_ros/lib/aliked_ros/tracker").is_file()
