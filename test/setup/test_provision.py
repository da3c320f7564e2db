# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The set-up: steps are skipped when nothing changed, what is missing is named, failures tell why."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest

from tools.provision.console import Console, SetupError
from tools.provision.prerequisites import (
    Interpreter,
    choose_interpreter,
    missing_tools,
    probe_interpreter,
)
from tools.provision.project import Project
from tools.provision.requirement_files import DIRECTORY, read_requirements
from tools.provision.ros import find_installed_ros, ros_environment
from tools.provision.stamps import Stamp, digest
from tools.provision.steps import plan

ROOT = Path(__file__).resolve().parents[2]
COMPLETE = Interpreter("/usr/bin/python3.11", (3, 11, 2), has_venv=True, has_headers=True)


def executable(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


class TestStamps:
    def test_matches_only_the_inputs_it_was_written_for(self, tmp_path: Path) -> None:
        stamp = Stamp(tmp_path / "made" / "stamp")
        assert not stamp.matches("a")
        stamp.write("a")
        assert stamp.matches("a")
        assert not stamp.matches("b")
        stamp.clear()
        assert not stamp.matches("a")

    def test_does_not_match_once_an_output_is_gone(self, tmp_path: Path) -> None:
        output = tmp_path / "output"
        output.touch()
        stamp = Stamp(tmp_path / "stamp", [output])
        stamp.write("a")
        assert stamp.matches("a")
        output.unlink()
        assert not stamp.matches("a")

    def test_digest_tells_inputs_apart(self, tmp_path: Path) -> None:
        one, two = tmp_path / "one", tmp_path / "two"
        one.write_text("x")
        two.write_text("y")
        reference = digest(["a", "bc"], [one, two])
        assert digest(["a", "bc"], [two, one]) == reference
        assert digest(["ab", "c"], [one, two]) != reference
        assert digest(["a", "bc"], [one]) != reference
        two.write_text("z")
        assert digest(["a", "bc"], [one, two]) != reference


class TestPlan:
    @pytest.fixture
    def tree(self, tmp_path: Path) -> Path:
        """A copy of what the steps are made from."""
        for name in ("aliked_msgs", "tools", "custom_ops", "launch", "weights"):
            shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.so", "__pycache__", "*.pth"))
        (tmp_path / "aliked_ros").mkdir()
        for name in ("setup.py", "setup.cfg", "aliked_ros/__init__.py"):
            shutil.copy(ROOT / name, tmp_path / name)
        return tmp_path

    def stale(self, tree: Path, interpreter: Interpreter = COMPLETE, torch: tuple[str, ...] = ()) -> list[str]:
        """The steps that would be done, which are then marked as done."""
        project = Project(tree, interpreter, None, Console(tree / "build" / "setup.log"), torch, {})
        executable(project.python)
        (project.messages / "share/aliked_msgs").mkdir(parents=True, exist_ok=True)
        (project.messages / "share/aliked_msgs/package.xml").touch()
        steps = [step for step in plan(project) if not step.stamp.matches(step.inputs)]
        for step in steps:
            step.stamp.write(step.inputs)
        return [step.action.__name__ for step in steps]

    def test_a_second_time_there_is_nothing_to_do(self, tree: Path) -> None:
        assert len(self.stale(tree)) == 9
        assert self.stale(tree) == []

    def test_a_changed_message_is_built_and_nothing_else(self, tree: Path) -> None:
        self.stale(tree)
        with (tree / "aliked_msgs/msg/Tracks.msg").open("a") as file:
            file.write("# changed\n")
        assert self.stale(tree) == ["build_messages"]

    def test_a_changed_op_is_compiled(self, tree: Path) -> None:
        self.stale(tree)
        next((tree / "custom_ops").glob("csrc/*.cpp")).write_text("// changed\n")
        assert self.stale(tree) == ["install_package", "link_package", "obtain_weights"]

    def test_a_new_launch_file_is_linked(self, tree: Path) -> None:
        self.stale(tree)
        (tree / "launch/mine.launch.py").touch()
        assert self.stale(tree) == ["link_package"]

    def test_what_the_build_makes_is_no_input(self, tree: Path) -> None:
        self.stale(tree)
        (tree / "custom_ops/aliked_ops/_C.cpython-311-x86_64-linux-gnu.so").write_bytes(b"compiled")
        (tree / "aliked_msgs/__pycache__").mkdir()
        (tree / "aliked_msgs/__pycache__/x.pyc").write_bytes(b"cached")
        assert self.stale(tree) == []

    def test_another_torch_renews_what_is_built_against_it(self, tree: Path) -> None:
        self.stale(tree)
        done = self.stale(tree, torch=("torch==2.6.0",))
        assert "create_environment" not in done
        assert done[0] == "install_torch"
        assert "install_package" in done

    def test_another_python_renews_everything(self, tree: Path) -> None:
        self.stale(tree)
        other = Interpreter("/usr/bin/python3.12", (3, 12, 1), has_venv=True, has_headers=True)
        assert len(self.stale(tree, other)) == 9

    def test_a_deleted_build_is_made_again(self, tree: Path) -> None:
        self.stale(tree)
        shutil.rmtree(tree / "install")
        assert self.stale(tree) == ["build_messages"]
        shutil.rmtree(tree / ".venv")
        assert "create_environment" in self.stale(tree)


@pytest.mark.skipif(Path(sys.prefix).resolve() != ROOT / ".venv", reason="this is another environment")
def test_ros2_finds_every_program_and_launch_file_of_the_environment() -> None:
    scripts = [point.name for point in distribution("aliked_ros").entry_points if point.group == "console_scripts"]
    programs = Path(sys.prefix, "lib", "aliked_ros")
    assert {"tracker", "player", "odometry"} <= set(scripts)
    assert sorted(path.name for path in programs.iterdir()) == sorted(scripts)
    assert all(os.access(path, os.X_OK) for path in programs.iterdir())
    # As `ros2 launch` looks for them, which does not follow links to folders.
    share = Path(sys.prefix, "share", "aliked_ros")
    found = sorted(name for _, _, files in os.walk(share) for name in files if name.endswith(".launch.py"))
    assert found == sorted(path.name for path in (ROOT / "launch").glob("*.launch.py"))


class TestPrerequisites:
    def test_this_python_is_described(self) -> None:
        found = probe_interpreter(sys.executable)
        assert found is not None
        assert found.version == sys.version_info[:3]
        assert found.supported
        # The Python below a virtual environment, so that a set-up from within its own environment changes nothing.
        assert not Path(found.executable).is_relative_to(sys.prefix) or sys.prefix == sys.base_prefix
        assert not Path(found.executable).is_symlink()

    def test_everything_missing_is_named_with_its_package(self, tmp_path: Path) -> None:
        bare = Interpreter("/usr/bin/python3.12", (3, 12, 3), has_venv=False, has_headers=False)
        lines = [str(item) for item in missing_tools(bare, {"PATH": str(tmp_path)})]
        packages = ["python3.12-venv", "python3.12-dev", "g++", "gcc", "make", "cmake"]
        assert [line.rsplit(" ", 1)[1].rstrip(")") for line in lines] == packages
        assert all(line.startswith("missing: ") for line in lines)

    def test_nothing_is_missing_where_all_is_there(self, tmp_path: Path) -> None:
        for name in ("g++", "gcc", "make"):
            executable(tmp_path / name)
        executable(tmp_path / "cmake", "#!/bin/sh\necho cmake version 3.25.1\n")
        assert missing_tools(COMPLETE, {"PATH": f"{tmp_path}:/bin"}) == []

    def test_an_old_cmake_is_named(self, tmp_path: Path) -> None:
        for name in ("my-c++", "cc", "make"):
            executable(tmp_path / name)
        executable(tmp_path / "cmake", "#!/bin/sh\necho cmake version 3.16.3\n")
        (missing,) = missing_tools(COMPLETE, {"PATH": f"{tmp_path}", "CXX": "my-c++ -m64"})
        assert "3.20 or newer" in missing.what
        assert "is 3.16" in missing.what

    def test_the_first_supported_python_is_chosen(self, tmp_path: Path) -> None:
        facts = '{{"executable": "{0}", "version": [3, {1}, 0], "venv": true, "headers": true}}'
        for minor in (9, 12, 14):
            path = tmp_path / f"python3.{minor}"
            executable(path, f"#!/bin/sh\necho '{facts.format(path, minor)}'\n")
        names = [str(tmp_path / f"python3.{minor}") for minor in (8, 14, 9, 12)]
        assert choose_interpreter(names).executable == names[3]
        with pytest.raises(SetupError, match=r"3\.10 to 3\.13 is needed: .*python3\.14 is 3\.14\.0.*3\.9\.0") as error:
            choose_interpreter(names[:3])
        assert "PYTHON=" in error.value.remedy

    def test_the_set_up_stops_with_one_line_for_each_missing_tool(self, tmp_path: Path) -> None:
        for name in ("make", "cc"):
            executable(tmp_path / "bin" / name)
        tree = tmp_path / "tree"
        shutil.copytree(ROOT / "tools", tree / "tools", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(DIRECTORY, tree / "requirements")
        answer = subprocess.run(
            [sys.executable, "-m", "tools.setup_env"],
            cwd=tree,
            env={"PATH": str(tmp_path / "bin"), "LD_LIBRARY_PATH": os.environ.get("LD_LIBRARY_PATH", "")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert answer.returncode == 1
        assert "missing: a C++ compiler (apt install g++)" in answer.stdout
        assert "missing: CMake (apt install cmake)" in answer.stdout
        assert "missing: make" not in answer.stdout
        assert answer.stdout.splitlines()[-1].startswith("remedy: sudo apt install ")
        assert not (tree / ".venv").exists()


class TestInstalledRos:
    def prefix(self, path: Path, minor: int = 12) -> Path:
        (path / f"lib/python3.{minor}/site-packages/rclpy").mkdir(parents=True)
        (path / "setup.sh").write_text(f'export AMENT_PREFIX_PATH="{path}" ROS_VERSION=2 TEXT="two\nlines"\n')
        return path

    def test_none_is_used_unless_it_is_named(self, tmp_path: Path) -> None:
        self.prefix(tmp_path / "jazzy")
        assert find_installed_ros({}, tmp_path) is None
        assert find_installed_ros({"ROS_DISTRO": ""}, tmp_path) is None

    def test_the_named_one_is_found_with_its_python(self, tmp_path: Path) -> None:
        prefix = self.prefix(tmp_path / "ros" / "jazzy")
        python = executable(tmp_path / "bin" / "python3.12")
        found = find_installed_ros({"ROS_DISTRO": "jazzy"}, tmp_path / "ros", tmp_path / "bin")
        assert found is not None
        assert (found.distro, found.prefix, found.python) == ("jazzy", prefix, str(python))

    def test_one_that_a_shell_has_brought_in_goes_first_with_the_python_beside_it(self, tmp_path: Path) -> None:
        self.prefix(tmp_path / "ros" / "jazzy")
        other = self.prefix(tmp_path / "conda", minor=11)
        python = executable(other / "bin" / "python3.11")
        environment = {"ROS_DISTRO": "jazzy", "AMENT_PREFIX_PATH": f"{tmp_path}/workspace:{other}"}
        found = find_installed_ros(environment, tmp_path / "ros")
        assert found is not None
        assert (found.prefix, found.python) == (other, str(python))

    def test_a_name_without_an_installation_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(SetupError, match="ROS_DISTRO is humble, but no ROS 2 with rclpy") as error:
            find_installed_ros({"ROS_DISTRO": "humble"}, tmp_path)
        assert "unset ROS_DISTRO" in error.value.remedy

    def test_its_environment_is_that_of_its_setup_script(self, tmp_path: Path) -> None:
        prefix = self.prefix(tmp_path / "ros" / "jazzy")
        executable(tmp_path / "bin" / "python3.12")
        ros = find_installed_ros({"ROS_DISTRO": "jazzy"}, tmp_path / "ros", tmp_path / "bin")
        assert ros is not None
        found = ros_environment(ros, {"PATH": "/usr/bin:/bin", "MINE": "kept"})
        assert found["AMENT_PREFIX_PATH"] == str(prefix)
        assert found["TEXT"] == "two\nlines"
        assert found["MINE"] == "kept"
        (prefix / "setup.sh").write_text("echo it is broken >&2\nexit 3\n")
        with pytest.raises(SetupError, match="it is broken"):
            ros_environment(ros, {"PATH": "/usr/bin:/bin"})


class TestConsole:
    def test_output_goes_to_the_log(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        console = Console(tmp_path / "setup.log")
        with console.timed("[1/1] talking"):
            console.run(["sh", "-c", "echo hello"], environment={"PATH": "/bin"}, directory=tmp_path, remedy="")
        assert "hello" in (tmp_path / "setup.log").read_text()
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == "[1/1] talking ..."
        assert lines[1].startswith("[1/1] talking: done in ")

    def test_a_failure_carries_the_end_of_its_output(self, tmp_path: Path) -> None:
        console = Console(tmp_path / "setup.log")
        code = "seq 1000; echo no space left >&2; exit 7"
        with pytest.raises(SetupError, match="ended with status 7") as error:
            console.run(["sh", "-c", code], environment={"PATH": "/usr/bin:/bin"}, directory=tmp_path, remedy="do x")
        assert error.value.output.splitlines()[-2:] == ["1000", "no space left"]
        assert len(error.value.output.splitlines()) < 50
        assert error.value.remedy == "do x"

    def test_a_program_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(SetupError, match="/no/such/program cannot be started"):
            Console(tmp_path / "log").run(["/no/such/program"], environment={}, directory=tmp_path, remedy="")


def test_requirements_are_read_without_comments() -> None:
    assert read_requirements("torch") == ["torch==2.13.0"]
    for path in DIRECTORY.glob("*.txt"):
        assert all(line and "#" not in line for line in read_requirements(path.stem))
