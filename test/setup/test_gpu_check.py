# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""`make gpu-check` as far as it goes without a GPU: its table, its verdicts and its limits of time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aliked_ros.features import Features
from tools.gpu_check import __main__ as check_all
from tools.gpu_check import sanitizer, tests
from tools.gpu_check.gates import agreement
from tools.gpu_check.processes import start, wait
from tools.gpu_check.report import as_markdown, as_text, exit_status
from tools.gpu_check.rows import (
    FAILED,
    NOT_RUN,
    PASSED,
    UNFINISHED,
    Row,
    check,
    figure,
    from_dict,
    not_run,
    unfinished,
)  # fmt: skip

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
    assert exit_status([*rows, unfinished("gates", "n16", 60)]) == 1
    assert exit_status([*rows, unfinished("peers", "kornia", 60), check("peers", "kornia", False)]) == 0


def test_tests_are_counted() -> None:
    (row,) = tests.judge("ops/test_b.py", 0, "", JUNIT.format(more=""))
    assert (row.state, row.note) == (PASSED, "1 passed, 0 failed, 1 skipped")
    more = '<testcase classname="test.ops.test_b" name="test_x[1]"><failure>no</failure></testcase>'
    row, failed = tests.judge("ops/test_b.py", 1, "", JUNIT.format(more=more))
    assert (row.state, failed.state, failed.name) == (FAILED, FAILED, "ops/test_b.py::test_x[1]")
    (row,) = tests.judge("ops/test_b.py", 0, "", "<testsuites/>")
    assert row.state == NOT_RUN, "where nothing ran nothing passed"
    assert tests.judge("ops/test_b.py", 5, "no tests ran", "<testsuites/>") == []
    (row,) = tests.judge("ops/test_b.py", 2, "E   ModuleNotFoundError: No module named 'poselib.core'", "<testsuites/>")
    assert (row.state, row.note) == (NOT_RUN, "poselib is not installed")
    (row,) = tests.judge("ops/test_b.py", -11, "Fatal Python error: Segmentation fault", "")
    assert (row.state, row.note) == (FAILED, "pytest ended with status -11")


def test_every_file_with_tests_for_a_device_is_found() -> None:
    found = {path.name for path in tests.files()}
    assert {"test_cuda.py", "test_cuda_engine.py", "test_cuda_faults.py", "test_matchers.py",
            "test_deform_conv2d.py", "test_get_patches.py"} <= found  # fmt: skip
    assert "test_cpu_engine.py" not in found


def test_one_file_that_crashes_or_hangs_leaves_the_others_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    mark = "import pytest, os, time\n@pytest.mark.cuda\ndef test_a():\n    "
    bodies = {"a": "pass", "b": "os.abort()", "c": "import no_such_module", "d": "time.sleep(60)", "e": "pass"}
    for name, body in bodies.items():
        (tmp_path / f"test_{name}.py").write_text(mark + body + "\n")
    (tmp_path / "test_f.py").write_text("import no_such_module\n" + mark + "pass\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = cuda: x\n")
    monkeypatch.setattr(tests, "files", lambda: sorted(tmp_path.glob("test_*.py")))
    monkeypatch.setattr(tests, "_name", lambda path: path.stem)
    rows = [row for path in tests.files() for row in tests.run_file(path, 5.0)]
    states = {row.name: row.state for row in rows}
    assert states["test_a"] == states["test_e"] == PASSED
    assert states["test_b"] == states["test_c"] == FAILED
    assert states["test_d"] == UNFINISHED
    assert states["test_f"] == NOT_RUN
    late = list(tests.run(0.0))
    assert [row.state for row in late] == [UNFINISHED] * 6
    assert exit_status(late) == 1
    capfd.readouterr()


@pytest.mark.parametrize(
    ("tool", "status", "output", "state"),
    [
        ("memcheck", 0, "exercised a\nexercised b\n========= ERROR SUMMARY: 0 errors", PASSED),
        ("memcheck", 0, "exercised a\n========= ERROR SUMMARY: 3 errors", FAILED),
        ("memcheck", 1, "exercised a\n========= ERROR SUMMARY: 0 errors", FAILED),
        ("memcheck", 0, "========= ERROR SUMMARY: 0 errors", FAILED),
        ("memcheck", 139, "exercised a", FAILED),
        (
            "racecheck",
            0,
            "exercised a\n========= RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 warnings)",
            PASSED,
        ),
        ("racecheck", 0, "exercised a\n========= RACECHECK SUMMARY: 2 hazards displayed (1 error, 1 warning)", FAILED),
        ("racecheck", 0, "exercised a\n========= ERROR SUMMARY: 0 errors", FAILED),
    ],
)
def test_the_sanitizer_is_judged(tool: str, status: int, output: str, state: str) -> None:
    assert sanitizer.judge(tool, status, output).state == state


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


def worker(code: str) -> Any:
    """Starts other code in a worker's place; it has the file for the rows as ``path``."""

    def begin(command: list[str]) -> Any:
        path = command[command.index("--json") + 1]
        return start([sys.executable, "-c", f"import json, time; path = {path!r}\n{code}"])

    return begin


WRITES = f"open(path, 'a').write(json.dumps({figure('benchmark', 'first', [1.0]).as_dict()!r}) + '\\n')\n"


@pytest.mark.parametrize(
    ("part", "end", "state"),
    [
        ("gates", "raise SystemExit('no device')", FAILED),
        ("gates", "import os; os.abort()", FAILED),
        ("compiled", "time.sleep(60)", UNFINISHED),
    ],
)
def test_what_a_worker_found_before_it_failed_counts(
    part: str, end: str, state: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    half = "open(path, 'a').write('[half a line')\n"
    monkeypatch.setattr(check_all, "start", worker(WRITES + half + end))
    found, rest = check_all.in_process(part, 1.0 if state == UNFINISHED else 60.0, quick=True)
    assert (found.name, found.value) == ("first", 1.0)
    assert (rest.state, rest.name) == (state, f"{part}, the rest")
    assert "no device" in rest.note or "no device" not in end
    capfd.readouterr()


def test_parts_share_one_limit_and_run_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    now, calls = [0.0], []

    def part(name: str, seconds: float) -> list[Row]:
        calls.append((name, seconds))
        now[0] += 150.0
        return [check(name, name, True)]

    monkeypatch.setattr(check_all.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(check_all.build, "run", lambda seconds: part("build", seconds))
    monkeypatch.setattr(check_all.tests, "run", lambda seconds: part("tests", seconds))
    monkeypatch.setattr(check_all.sanitizer, "run", part)
    monkeypatch.setattr(check_all, "in_process", lambda name, seconds, quick: part(name, seconds))
    rows = list(check_all.run_parts(check_all.PARTS, quick=False))
    assert [name for name, _ in calls] == ["build", "memory", "gates", "benchmark"]
    assert all(seconds <= check_all.LIMITS_S[name] for name, seconds in calls)
    assert calls[-1][1] == check_all.TOTAL_S - 450
    assert [row.state for row in rows] == [PASSED] * 4 + [UNFINISHED] * 5
    assert check_all.TOTAL_S < 480


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_check_ends_its_processes_and_keeps_what_it_found(number: int, tmp_path: Path) -> None:
    mark, result = tmp_path / "child", tmp_path / "gpu.json"
    code = f"""
import sys
from tools.gpu_check import __main__ as check_all
from tools.gpu_check.rows import check
begin = check_all.start
child = "import os, time; open({str(mark)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
check_all.start = lambda command: begin([sys.executable, "-c", child])
check_all.machine = lambda: {{"device": "none"}}
check_all.build.run = lambda seconds: [check("build", "engines", True)]
sys.exit(check_all.main(["--only", "build,gates", "--json", {str(result)!r}]))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environment, text=True, **pipes)
    try:
        deadline = time.monotonic() + 60
        while not (mark.is_file() and mark.read_text()) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(number)
        output, errors = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 1
    assert "interrupted" in errors
    assert "passed" in output
    assert [row["state"] for row in json.loads(result.read_text())["rows"]] == [PASSED, UNFINISHED]
    assert not is_running(int(mark.read_text()))


@pytest.mark.parametrize("missing", ["torch", "numpy"])
def test_without_torch_or_numpy_it_says_so(missing: str, tmp_path: Path) -> None:
    (tmp_path / f"{missing}.py").write_text(f"raise ImportError('no {missing} here')\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    command = [sys.executable, "-m", "tools.gpu_check"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert f"no {missing} here" in line
    assert "PYTHON=..." in line


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
    assert "parts are build, memory, gates" in wrong.stderr


def test_make_passes_options_on() -> None:
    # Under `make test` this make is a second level of the first, and would tell of it in lines of its own.
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")}
    command = ["make", "-n", "gpu-check", "PYTHON=python9", "GPU=--quick"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "python9 -m tools.gpu_check --quick"
