# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""`make gpu-check` as far as it goes without a GPU: its table, its verdicts and its limits of time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from aliked_ros.features import Features
from tools.gpu_check import __main__ as check_all
from tools.gpu_check import sanitizer, tests
from tools.gpu_check.gates import agreement
from tools.gpu_check.processes import start, wait
from tools.gpu_check.report import as_markdown, as_text, exit_status
from tools.gpu_check.rows import FAILED, NOT_RUN, PASSED, Row, check, figure, from_dict, not_run

ROOT = Path(__file__).resolve().parents[2]
MACHINE = {"device": "a GPU", "date": "2026-11-26"}
JUNIT = """<testsuites><testsuite>
<testcase classname="test.engine.test_a" name="test_one"/>
<testcase classname="test.engine.test_a" name="test_two"><skipped message="no"/></testcase>
{more}</testsuite></testsuites>"""


def test_targets_are_met_or_missed() -> None:
    assert figure("benchmark", "a", [3, 1, 2, 4, 5], target=3).is_met is True
    assert figure("benchmark", "a", [3, 1, 2, 4, 5], target=2.9).is_met is False
    assert Row("benchmark", "ratio", value=11, target=12, at_least=True).is_met is False
    assert Row("benchmark", "ratio", value=13, target=12, at_least=True).is_met is True
    assert Row("benchmark", "a", target=1).is_met is None
    measured = figure("benchmark", "a", [3, 1, 2, 4, 5])
    assert (measured.low, measured.value, measured.high) == (2, 3, 4)
    assert from_dict(measured.as_dict()) == measured


def test_the_table_says_everything() -> None:
    rows = [
        check("tests", "all", True, "7 passed"),
        figure("benchmark", "whole frame", [0.2, 0.21, 0.22], target=0.4),
        Row("benchmark", "ratio", value=11.0, unit="times", target=12.0, at_least=True),
        not_run("peers", "kornia", "kornia is not installed"),
    ]
    for table in (as_text(MACHINE, rows), as_markdown(MACHINE, rows)):
        for text in ("a GPU", "2026-11-26", "7 passed", "0.21 ms", "0.205 to 0.215", "≤ 0.4 met", "≥ 12 missed",
                     "not run", "kornia is not installed"):  # fmt: skip
            assert text in table, (text, table)
    assert exit_status(rows) == 0, "a missed target is no failure"
    assert exit_status([*rows, check("gates", "n16", False)]) == 1


def test_tests_are_counted() -> None:
    (row,) = tests.summarise(JUNIT.format(more=""))
    assert (row.state, row.note) == (PASSED, "1 passed, 0 failed, 1 skipped")
    more = '<testcase classname="test.ops.test_b" name="test_x[1]"><failure>no</failure></testcase>'
    row, failed = tests.summarise(JUNIT.format(more=more))
    assert (row.state, failed.state, failed.name) == (FAILED, FAILED, "ops.test_b.test_x[1]")
    (row,) = tests.summarise("<testsuites/>")
    assert row.state == FAILED, "where nothing ran nothing passed"


@pytest.mark.parametrize(
    ("status", "output", "state"),
    [
        (0, "exercised a\nexercised b\n========= ERROR SUMMARY: 0 errors", PASSED),
        (0, "exercised a\n========= ERROR SUMMARY: 3 errors", FAILED),
        (1, "exercised a\n========= ERROR SUMMARY: 0 errors", FAILED),
        (0, "========= ERROR SUMMARY: 0 errors", FAILED),
        (139, "exercised a", FAILED),
    ],
)
def test_the_sanitizer_is_judged(status: int, output: str, state: str) -> None:
    assert sanitizer.judge(status, output).state == state


def test_agreement_with_recorded_keypoints() -> None:
    descriptors = np.eye(3, 8, dtype=np.float32)
    recorded = np.array([[10.0, 10.0], [20.0, 20.0], [30.0, 30.0]], np.float32)
    ours = np.array([[10.1, 10.0], [19.95, 20.0], [33.0, 30.0]], np.float32)
    ours_descriptors = descriptors.copy()
    ours_descriptors[1] = -ours_descriptors[1]  # its pixel is another one: the network takes a step there
    features = Features(ours, np.ones(3, np.float32), ours_descriptors, 64, 64)
    share, cosine = agreement(features, recorded, descriptors, 0.25)
    assert share == pytest.approx(2 / 3)
    assert cosine == 1.0
    assert agreement(features, recorded, descriptors, 0.0) == (0.0, 0.0)


def test_a_process_that_takes_too_long_ends_with_its_children(tmp_path: Path) -> None:
    mark = tmp_path / "child"
    code = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(mark)!r}, 'w').write(str(child.pid))\n"
        "time.sleep(60)\n"
    )
    process = start([sys.executable, "-c", code])
    deadline = time.monotonic() + 30
    while not (mark.is_file() and mark.read_text()) and time.monotonic() < deadline:
        time.sleep(0.01)
    status, _ = wait(process, 0.1)
    assert status is None
    child = int(mark.read_text())
    while time.monotonic() < deadline and is_running(child):
        time.sleep(0.01)
    assert not is_running(child)


def is_running(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.is_file() and stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_workers_that_fail_or_take_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_all, "start", lambda _: start([sys.executable, "-c", "raise SystemExit('no device')"]))
    (row,) = check_all.in_process("gates", 60, quick=True)
    assert (row.part, row.state) == ("gates", FAILED)
    assert "no device" in row.note
    monkeypatch.setattr(check_all, "start", lambda _: start([sys.executable, "-c", "import time; time.sleep(60)"]))
    (row,) = check_all.in_process("compiled", 0.2, quick=True)
    assert (row.part, row.state) == ("peers", NOT_RUN)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a device")
def test_without_a_device_it_says_so_and_ends_with_2() -> None:
    command = [sys.executable, "-m", "tools.gpu_check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("gpu-check: torch ")
    assert "sees no CUDA device" in line
    wrong = subprocess.run([*command, "--only", "gates,nothing"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert "parts are build, tests, gates" in wrong.stderr


def test_make_passes_options_on() -> None:
    # Under `make test` this make is a second level of the first, and would tell of it in lines of its own.
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")}
    command = ["make", "-n", "gpu-check", "PYTHON=python9", "GPU=--quick"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "python9 -m tools.gpu_check --quick"
