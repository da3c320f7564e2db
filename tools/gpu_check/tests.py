# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Runs the tests that need a CUDA device, each file in a process of its own, and counts them."""

from __future__ import annotations

import re
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

from tools.gpu_check.processes import ROOT, start, wait
from tools.gpu_check.rows import Row, check, not_run, unfinished

FOLDERS = ("test/engine", "test/ops", "test/frontend")  # those that do without ROS
_MARKED = re.compile(r"mark\.cuda\b|from (cuda_engines|ops_cases) import")
_NOTHING_COLLECTED = 5  # pytest's exit status
_MISSING = re.compile(r"No module named '([\w.]+)'")


def files() -> list[Path]:
    """The files with tests that are marked ``cuda``."""
    found = (path for folder in FOLDERS for path in sorted((ROOT / folder).glob("test_*.py")))
    return [path for path in found if _MARKED.search(path.read_text(encoding="utf-8"))]


def run(seconds: float) -> Iterator[Row]:
    """A row for each file, which may crash without taking the others along, and one for each test that failed."""
    deadline = time.monotonic() + seconds
    for path in files():
        left = deadline - time.monotonic()
        yield from run_file(path, left) if left > 0 else [unfinished("tests", _name(path), seconds)]


def run_file(path: Path, seconds: float) -> list[Row]:
    """What became of the tests of one file."""
    name = _name(path)
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.xml"
        options = ["-q", "-m", "cuda", "-p", "no:cacheprovider", f"--junit-xml={results}"]
        status, output = wait(start([sys.executable, "-m", "pytest", *options, str(path)]), seconds)
        if status is None:
            return [unfinished("tests", name, seconds)]
        rows = judge(name, status, output, results.read_text() if results.is_file() else "")
    if any(row.state == "failed" for row in rows):
        print(output, file=sys.stderr)
    return rows


def judge(name: str, status: int, output: str, junit: str) -> list[Row]:
    """Rows out of pytest's exit status, output and report in JUnit's form: the counts, then each test that failed."""
    missing = _MISSING.search(output)
    if status not in (0, 1) and missing is not None:
        return [not_run("tests", name, f"{missing[1].split('.')[0]} is not installed")]
    if status == _NOTHING_COLLECTED:
        return []
    if not junit or status not in (0, 1):
        return [check("tests", name, False, f"pytest ended with status {status}")]
    passed, skipped, failed = 0, 0, []
    for case in ElementTree.fromstring(junit).iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(f"{name}::{case.get('name', '')}")
        elif case.find("skipped") is not None:
            skipped += 1
        else:
            passed += 1
    note = f"{passed} passed, {len(failed)} failed, {skipped} skipped"
    if not failed and passed == 0:
        return [not_run("tests", name, f"all {skipped} were skipped")]
    return [check("tests", name, not failed, note), *(check("tests", each, False) for each in failed)]


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT / "test"))
