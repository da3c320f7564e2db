# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The nodes use no network of their own, unpickle nothing, start nothing; what parameters name is read, never run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from bag_samples import CAMERA, make_frames
from node_harness import TIMEOUT_S, Station, TrackerBench, parameter_arguments

from aliked_ros.camera import TUM_CAMERAS
from aliked_ros.io.calibration import write_camera
from aliked_ros.io.tum_writer import TumWriter
from aliked_ros.ros.child import NodeProcess

pytestmark = pytest.mark.ros

HARNESS = Path(__file__).parent
SMALL = {"model": "aliked-t16", "device": "cpu"}


def audited(module: str, log: Path, **more: str) -> dict[str, str]:
    path = os.pathsep.join([str(HARNESS), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {"AUDITED_MODULE": f"aliked_ros.ros.{module}", "AUDIT_LOG": str(log), "PYTHONPATH": path, **more}


def run_audited(module: str, log: Path, *, weights: str = "", **parameters: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **audited(module, log, AUDITED_WEIGHTS=weights)}
    command = [sys.executable, "-m", "audited_node", "--ros-args", *parameter_arguments(**parameters)]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, env=environment, check=False)


def events(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def station() -> Iterator[Station]:
    station = Station()
    yield station
    station.close()


@pytest.fixture
def sequence(tmp_path: Path) -> Path:
    directory = tmp_path / "sequence"
    with TumWriter(directory, CAMERA) as writer:
        for frame in make_frames(2):
            writer.write(frame)
    return directory


def test_a_tracker_at_work_does_nothing_of_the_kind(
    station: Station, tmp_path: Path, textured_image: np.ndarray
) -> None:
    bench, log = TrackerBench(station, tmp_path / "tracker.log"), tmp_path / "audit"
    arguments = parameter_arguments(**SMALL)
    with NodeProcess("audited_node", arguments, bench.log, audited("tracker", log)):
        bench.wait_until_ready()
        assert bench.track(textured_image).num_features > 0
        assert bench.track(textured_image).num_features > 0
    assert events(log) == []


def test_nor_does_a_player(sequence: Path, tmp_path: Path) -> None:
    log, calibration = tmp_path / "audit", tmp_path / "camera.yaml"
    write_camera(calibration, TUM_CAMERAS["fr2"])
    done = run_audited("player", log, input=sequence, calibration=calibration, rate=0.0)
    assert (done.returncode, "played 2 frames" in done.stderr) == (0, True), done.stderr
    assert events(log) == []


def test_missing_weights_are_not_fetched_but_the_command_is_named(tmp_path: Path) -> None:
    log = tmp_path / "audit"
    done = run_audited("tracker", log, weights=str(tmp_path), **SMALL)
    assert done.returncode == 1
    assert "run `aliked-ros weights aliked-t16` once" in done.stderr
    assert "Traceback" not in done.stderr
    assert events(log) == []


def test_only_a_node_that_is_told_to_tries_to_fetch_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also shows that the hooks of the other tests see and stop what they should."""
    log = tmp_path / "audit"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    done = run_audited("tracker", log, weights=str(tmp_path), offline=False, **SMALL)
    assert done.returncode == 1
    assert "cannot be fetched" in done.stderr
    assert [event.split()[0] for event in events(log)] == ["urllib.Request"]


@pytest.mark.parametrize(
    ("module", "parameter"), [("tracker", "weights"), ("player", "input"), ("player", "calibration")]
)
def test_names_that_look_like_commands_are_names(module: str, parameter: str, sequence: Path, tmp_path: Path) -> None:
    marker, log = tmp_path / "marker", tmp_path / "audit"
    name = f"$(touch {marker}) `touch {marker}`; touch {marker} | touch {marker}"
    parameters = {"tracker": SMALL, "player": {"input": sequence}}[module]
    done = run_audited(module, log, **{**parameters, parameter: f'"{name}"'})
    assert done.returncode == 1
    assert name in done.stderr
    assert not marker.exists()
    assert events(log) == []
