# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""``aliked-ros doctor`` tells what is there, what is missing and what to do about it, and never stops half-way."""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from aliked_ros.cli import checks_machine, checks_ros, checks_torch, doctor
from aliked_ros.cli.checks import Finding, State, is_importable, load_error, version_of
from aliked_ros.errors import WeightsError
from aliked_ros.frontend.config import MODEL_NAMES

PROFILES = Path(__file__).resolve().parents[2] / "config/fastdds"
needs_ros = pytest.mark.skipif(not is_importable("rclpy"), reason="ROS 2 is not installed")


def found(check: Any) -> dict[str, Finding]:
    return {finding.name: finding for finding in check()}


def hide(monkeypatch: pytest.MonkeyPatch, module: Any, *names: str) -> None:
    """Makes modules look as if they were not installed."""
    monkeypatch.setattr(module, "is_importable", lambda name: name not in names and is_importable(name))


def test_json_of_a_real_run() -> None:
    command = [sys.executable, "-m", "aliked_ros.cli.main", "doctor", "--json"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    report = json.loads(answer.stdout)
    assert report["python"] == sys.executable
    states = {entry["name"]: entry["state"] for entry in report["findings"]}
    assert {"Python", "CPU", "ROS 2", "torch", "CUDA", "compiled ops", "will run", "numpy"} <= set(states)
    assert {f"weights {model}" for model in MODEL_NAMES} <= set(states)
    assert set(states.values()) <= {"ok", "warn", "missing"}
    assert answer.returncode == int("missing" in states.values())
    assert all(entry["remedy"] for entry in report["findings"] if entry["state"] != "ok")


def test_table_lines_up() -> None:
    rows = [Finding("a", State.OK, "one"), Finding("longer", State.MISSING, "two", "do this")]
    assert doctor.as_table(rows).splitlines() == [
        "ok       a       one",
        "missing  longer  two",
        "                 -> do this",
    ]


@pytest.mark.parametrize(("state", "status"), [(State.OK, 0), (State.WARNING, 0), (State.MISSING, 1)])
def test_exit_status(
    state: State, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "CHECKS", (lambda: [Finding("x", State.OK, "v"), Finding("y", state, "v")],))
    assert doctor.run(argparse.Namespace(json=False)) == status
    assert capsys.readouterr().out.count("\n") == 2


class TestMachine:
    def test_python(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert found(checks_machine.check_python)["Python"].state is State.OK
        monkeypatch.setattr(sys, "version_info", (3, 14, 0, "final", 0))
        assert found(checks_machine.check_python)["Python"].state is State.WARNING

    def test_features_of_an_x86_processor(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        cpuinfo = tmp_path / "cpuinfo"
        cpuinfo.write_text(
            "processor\t: 0\nmodel name\t: Test CPU\nflags\t\t: fpu avx2 avx512f amx_tile\n\n"
            "processor\t: 1\nmodel name\t: other\nflags\t\t: fpu\n"
        )
        monkeypatch.setattr(checks_machine, "_CPUINFO", cpuinfo)
        value = found(checks_machine.check_cpu)["CPU"].value
        assert value.startswith("Test CPU, ")
        assert value.endswith(", AVX2, AVX-512, AMX")

    def test_features_of_an_arm_processor(self, tmp_path: Path) -> None:
        cpuinfo = tmp_path / "cpuinfo"
        cpuinfo.write_text("processor\t: 0\nFeatures\t: fp asimd bf16\n")
        assert checks_machine.read_cpuinfo(cpuinfo) == ({"fp", "asimd", "bf16"}, "")

    def test_a_system_that_does_not_tell(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(checks_machine, "_CPUINFO", tmp_path / "absent")
        assert found(checks_machine.check_cpu)["CPU"].value.endswith("no wide vectors known")

    def test_packages(self, monkeypatch: pytest.MonkeyPatch) -> None:
        hide(monkeypatch, checks_machine, "numpy", "rosbags", "kornia")
        findings = found(checks_machine.check_optional_packages)
        assert findings["numpy"].state is State.MISSING
        assert findings["rosbags"].state is State.WARNING
        assert findings["rosbags"].remedy == "pip install rosbags"
        assert findings["kornia"].state is State.OK
        assert findings["cv2"].state is State.OK

    def test_versions(self) -> None:
        assert version_of("no-such-thing", "torch") == torch.__version__
        assert version_of("no-such-thing") == "version not stated"


class TestRos:
    @needs_ros
    def test_where_it_comes_from(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        assert found(checks_ros.check_ros)["ROS 2"].state is State.OK
        package = tmp_path / "opt/ros/demo/lib/python3.12/site-packages/rclpy"
        package.mkdir(parents=True)
        spec = argparse.Namespace(origin=str(package / "__init__.py"))
        monkeypatch.setattr(checks_ros.importlib.util, "find_spec", lambda name: spec)
        monkeypatch.setenv("ROS_DISTRO", "demo")
        assert found(checks_ros.check_ros)["ROS 2"].value == f"demo, installed in {tmp_path}/opt/ros/demo"

    def test_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(checks_ros.importlib.util, "find_spec", lambda name: None)
        monkeypatch.setenv("ROS_DISTRO", "jazzy")
        finding = found(checks_ros.check_ros)["ROS 2"]
        assert finding.state is State.WARNING
        assert ". /opt/ros/jazzy/setup.sh" in finding.remedy
        for check in (checks_ros.check_middleware, checks_ros.check_transport):
            hide(monkeypatch, checks_ros, "rclpy")
            assert found(check) == {}

    @needs_ros
    def test_middleware(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("RMW_IMPLEMENTATION", raising=False)
        assert found(checks_ros.check_middleware)["RMW"].state is State.OK
        monkeypatch.setenv("RMW_IMPLEMENTATION", "rmw_of_nobody")
        finding = found(checks_ros.check_middleware)["RMW"]
        assert finding.state is State.WARNING
        assert "librmw_of_nobody.so" in finding.value

    @needs_ros
    @pytest.mark.parametrize(
        ("environment", "state"),
        [
            ({"FASTDDS_BUILTIN_TRANSPORTS": "LARGE_DATA"}, State.OK),
            ({"FASTDDS_BUILTIN_TRANSPORTS": "UDPv4"}, State.WARNING),
            ({"FASTDDS_DEFAULT_PROFILES_FILE": str(PROFILES / "one_machine.xml")}, State.OK),
            ({"FASTDDS_DEFAULT_PROFILES_FILE": str(PROFILES / "absent.xml")}, State.WARNING),
        ],
    )
    def test_transport(
        self, environment: dict[str, str], state: State, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """All cases are in test_transport.py."""
        monkeypatch.setattr(os, "environ", environment)
        monkeypatch.chdir(tmp_path)
        finding = found(checks_ros.check_transport)["transport"]
        assert finding.state is state
        assert bool(finding.remedy) == (state is State.WARNING)

    @needs_ros
    def test_transport_of_another_middleware_is_its_own_matter(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RMW_IMPLEMENTATION", "rmw_cyclonedds_cpp")
        assert found(checks_ros.check_transport) == {}

    def test_messages_that_are_not_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        hide(monkeypatch, checks_ros, "aliked_msgs")
        assert found(checks_ros.check_messages)["aliked_msgs"].state is State.WARNING

    @pytest.mark.skipif(not is_importable("aliked_msgs"), reason="the messages are not built")
    def test_messages(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert found(checks_ros.check_messages)["aliked_msgs"].state is State.OK
        own = [entry for entry in os.environ["LD_LIBRARY_PATH"].split(":") if "aliked_msgs" not in entry]
        monkeypatch.setenv("LD_LIBRARY_PATH", ":".join(own))
        finding = found(checks_ros.check_messages)["aliked_msgs"]
        assert finding.state is State.WARNING
        assert "does not load" in finding.value

    def test_cv_bridge(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        hide(monkeypatch, checks_ros, "cv_bridge")
        assert found(checks_ros.check_cv_bridge)["cv_bridge"].state is State.OK
        monkeypatch.setattr(checks_ros, "is_importable", lambda name: True)
        (tmp_path / "cv_bridge/boost").mkdir(parents=True)
        module = tmp_path / "cv_bridge/boost/cv_bridge_boost.py"
        module.touch()
        monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
        assert found(checks_ros.check_cv_bridge)["cv_bridge"].value == "works"
        module.write_text("raise ImportError('numpy.core.multiarray failed to import')")
        finding = found(checks_ros.check_cv_bridge)["cv_bridge"]
        assert finding.state is State.WARNING
        assert "numpy.core.multiarray failed to import" in finding.value

    def test_code_that_ends_its_process(self) -> None:
        assert load_error("import os; os.abort()") == "ended with status -6"
        assert load_error("pass") == ""


class Driver:
    """Stands in for NVIDIA's library, which tests cannot count on."""

    def __init__(self, status: int) -> None:
        self._status = status

    def cuDriverGetVersion(self, number: Any) -> int:  # noqa: N802  the driver's own name
        number._obj.value = 12080
        return self._status


class TestTorch:
    def test_without_torch_the_rest_is_still_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        hide(monkeypatch, checks_torch, "torch")
        assert found(checks_torch.check_torch)["torch"].state is State.MISSING
        for check in (
            checks_torch.check_cuda,
            checks_torch.check_ops,
            checks_torch.check_engine,
            checks_torch.check_backend,
            checks_torch.check_weights,
        ):
            assert found(check) == {}

    def test_an_old_torch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert found(checks_torch.check_torch)["torch"].state is State.OK
        monkeypatch.setattr(torch, "__version__", "2.3.1+cu121")
        finding = found(checks_torch.check_torch)["torch"]
        assert (finding.state, finding.value) == (State.MISSING, "2.3.1+cu121 is too old")

    @pytest.mark.parametrize(("status", "version"), [(0, "12.8"), (100, None)])
    def test_driver(self, status: int, version: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ctypes, "CDLL", lambda name: Driver(status))
        assert checks_torch.driver_version() == version

    def test_no_driver(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def missing(name: str) -> None:
            raise OSError(f"{name}: cannot open shared object file")

        monkeypatch.setattr(ctypes, "CDLL", missing)
        assert checks_torch.driver_version() is None

    @pytest.mark.parametrize(
        ("devices", "build", "driver", "state", "text"),
        [
            (["Card A", "Card B"], "12.8", "12.9", State.OK, "cuda:0 Card A, cuda:1 Card B"),
            ([], None, None, State.OK, "no NVIDIA driver"),
            ([], None, "12.8", State.WARNING, "torch was built without it"),
            ([], "13.0", "12.8", State.WARNING, "sees no device"),
        ],
    )
    def test_cuda(
        self,
        devices: list[str],
        build: str | None,
        driver: str | None,
        state: State,
        text: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(devices))
        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(devices))
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: devices[index])
        monkeypatch.setattr(torch.version, "cuda", build)
        monkeypatch.setattr(checks_torch, "driver_version", lambda: driver)
        finding = found(checks_torch.check_cuda)["CUDA"]
        assert finding.state is state
        assert text in finding.value

    @pytest.mark.parametrize(
        ("cpu", "cuda", "reason", "state", "text"),
        [
            (True, True, "", State.OK, "CPU and CUDA (/ops/_C.so)"),
            (True, False, "", State.OK, "CPU (/ops/_C.so)"),
            (True, False, "built without CUDA kernels", State.WARNING, "CPU: built without CUDA kernels"),
            (False, False, "no library", State.WARNING, "none: no library; the slower reference runs"),
        ],
    )
    def test_ops(
        self, cpu: bool, cuda: bool, reason: str, state: State, text: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import aliked_ops

        backend = aliked_ops.Backend(cpu=cpu, cuda=cuda, library=Path("/ops/_C.so"), reason=reason)
        monkeypatch.setattr(aliked_ops, "backend", lambda: backend)
        finding = found(checks_torch.check_ops)["compiled ops"]
        assert (finding.state, finding.value) == (state, text)

    def test_ops_that_are_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        hide(monkeypatch, checks_torch, "aliked_ops")
        assert found(checks_torch.check_ops)["compiled ops"].state is State.MISSING
        assert found(checks_torch.check_backend) == {}

    def test_what_will_run_is_what_an_extractor_runs(self) -> None:
        from aliked_ros.frontend.extractor import Extractor

        try:
            info = Extractor.from_pretrained(offline=True).info
        except WeightsError as error:
            pytest.skip(f"no weights on this machine: {error}")
        value = found(checks_torch.check_backend)["will run"].value
        assert f"{info.model} on {info.device} in {info.precision}" in value

    def test_damaged_weights(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "aliked-n16.pth").write_bytes(b"not the published file")
        monkeypatch.setenv("ALIKED_WEIGHTS_DIR", str(tmp_path))
        finding = found(checks_torch.check_weights)["weights aliked-n16"]
        assert finding.state is State.MISSING
        assert str(tmp_path) in finding.value
        assert finding.remedy == "aliked-ros weights aliked-n16"

    def test_weights_that_are_not_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("aliked_ros.network.weights.locate", lambda model: None)
        findings = found(checks_torch.check_weights)
        assert {finding.state for finding in findings.values()} == {State.WARNING}
        assert len(findings) == 4

    def test_a_manifest_that_is_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def missing() -> None:
            raise WeightsError("the manifest is not installed")

        monkeypatch.setattr("aliked_ros.network.weights.manifest", missing)
        assert found(checks_torch.check_weights)["weights"].state is State.MISSING
