# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""How the tracker starts and ends: with one clear line when it can't, without a traceback when it is told to."""

from __future__ import annotations

import os
import pickle
import signal
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from node_harness import (
    EXIT_WITHIN_S,
    TIMEOUT_S,
    elapsed_s,
    parameter_arguments,
    require_exit_in_time,
    run_node,
    started,
    wait_until,
)

from aliked_ros.network import weights

pytestmark = pytest.mark.ros

MODULE = "aliked_ros.ros.tracker"


class Hostile:
    """Unpickling this makes a directory: proof that the file's code was run."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.marker),)


def refusal(*arguments: str, **environment: str) -> str:
    """The one line with which the tracker refuses to start."""
    done = run_node(MODULE, arguments, **environment)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if "[FATAL]" in line]
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_a_hostile_weights_file_is_not_run(tmp_path: Path) -> None:
    marker, file = tmp_path / "marker", tmp_path / "aliked-t16.pth"
    file.write_bytes(pickle.dumps(Hostile(marker)))
    line = refusal(*parameter_arguments(model="aliked-t16", weights=file))
    assert f"{file}: SHA-256 " in line
    assert "aliked-ros weights aliked-t16" in line
    assert not marker.exists()
    pickle.loads(file.read_bytes())
    assert marker.exists(), "the file would have done harm"


def test_a_corrupt_weights_file_is_refused(tmp_path: Path) -> None:
    content = weights.obtain("aliked-t16").read_bytes()
    for name, damaged in (("cut", content[:-1]), ("empty", b"")):
        file = tmp_path / f"{name}.pth"
        file.write_bytes(damaged)
        assert f"{file}: SHA-256 " in refusal(*parameter_arguments(model="aliked-t16", weights=file))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-p", "modle:=aliked-t16"], "unknown parameter modle = 'aliked-t16'; did you mean model?"),
        (["-p", "tracking.min_similarty:=0.5"], "did you mean tracking.min_similarity?"),
        (["-p", "robot_name:=bob"], "unknown parameter robot_name"),
        (["-p", "model:=aliked-n8"], "model must be one of aliked-t16"),
        (["-p", "score_threshold:=0"], "score_threshold must be float, got 0; write 1.0 for 1"),
        (["-p", "max_keypoints:=0"], "max_keypoints: 0 is not allowed"),
        (
            ["-p", "log.path:=~no-such-user/run.csv"],
            "log.path: the home folder in '~no-such-user/run.csv' cannot be found",
        ),
        (["-p", "use_sim_timee:=true"], "unknown parameter use_sim_timee = True; did you mean use_sim_time?"),
        (["-p", "cameras:=[1, 2]"], "cameras: a name has up to 63 letters"),
        (["-p", "warmup_width:=16"], "warmup_width must be 0 or at least 32, got 16"),
        (["-p", "overload.policy:=less"], "overload.policy must be one of none"),
        (["-p", "cameras:=[left, right]", "-p", "left.mask:=0,1 2"], "left.mask: "),
        (["-p", "mask:=/no/such.png"], "mask: /no/such.png"),
        (["-p", "source_id:=''"], "source_id must have 1 to 64 bytes"),
        (["-p", "device:=tpu"], "device must be auto, cpu, cuda or cuda:N, got 'tpu'"),
        (["-p", "weights:=/no/such/file"], "/no/such/file: no such weights file"),
        (["--params-file", "/no/such/file.yaml"], "/no/such/file.yaml"),
        (["-r", "__ns:=//"], "ROS arguments cannot be used"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else None,
)
def test_wrong_arguments_are_refused(arguments: list[str], message: str) -> None:
    assert message in refusal(*arguments)


def test_missing_weights_are_refused_without_the_network(tmp_path: Path) -> None:
    line = refusal(*parameter_arguments(model="aliked-t16", weights=tmp_path, offline=True))
    assert str(tmp_path) in line


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["loading", "running"])
def test_signals_end_it_cleanly_and_in_time(
    number: signal.Signals, moment: str, tmp_path: Path, import_lock_s: float
) -> None:
    command = ["-m", MODULE, "--ros-args", "--log-level", "tracker:=debug", *parameter_arguments(model="aliked-t16")]
    awaited, within_s = {
        "loading": ("loading the network", EXIT_WITHIN_S + import_lock_s),
        "running": ("ready: ", EXIT_WITHIN_S),
    }[moment]

    def attempt(directory: Path) -> float:
        log = directory / "log"
        with started(log, *command) as process:
            wait_until(lambda: awaited in log.read_text(), awaited)
            process.send_signal(number)
            taken_s = elapsed_s(lambda: process.wait(TIMEOUT_S))
            assert process.returncode == 0
        assert "FATAL" not in log.read_text()
        return taken_s

    require_exit_in_time(attempt, tmp_path, within_s)
