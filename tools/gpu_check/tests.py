# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Runs the tests that need a CUDA device, and counts them."""

from __future__ import annotations

import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from tools.gpu_check.processes import start, wait
from tools.gpu_check.rows import Row, check, not_run

FOLDERS = ("test/engine", "test/ops", "test/frontend")
_NAME = "tests that need a CUDA device"


def run(seconds: float) -> list[Row]:
    """All tests marked ``cuda`` that do without ROS."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.xml"
        options = ["-q", "-m", "cuda", "-p", "no:cacheprovider", f"--junit-xml={results}"]
        process = start([sys.executable, "-m", "pytest", *options, *FOLDERS])
        status, output = wait(process, seconds)
        if status is None:
            return [not_run("tests", _NAME, f"not finished within {seconds:.0f} s")]
        if not results.is_file():
            print(output, file=sys.stderr)
            return [check("tests", _NAME, False, f"pytest ended with status {status}")]
        rows = summarise(results.read_text())
    if rows[0].state != "passed":
        print(output, file=sys.stderr)
    return rows


def summarise(junit: str) -> list[Row]:
    """Rows out of a report in JUnit's form: the counts, then each test that failed."""
    passed, skipped, failed = 0, [], []
    for case in ElementTree.fromstring(junit).iter("testcase"):
        name = f"{case.get('classname', '')}.{case.get('name', '')}".removeprefix("test.")
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(name)
        elif case.find("skipped") is not None:
            skipped.append(name)
        else:
            passed += 1
    note = f"{passed} passed, {len(failed)} failed, {len(skipped)} skipped"
    return [
        check("tests", _NAME, not failed and passed > 0, note),
        *(check("tests", name, False) for name in failed),
    ]
