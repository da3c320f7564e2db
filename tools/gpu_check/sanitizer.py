# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""compute-sanitizer's memcheck over every operator and every kernel of the engine."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tools.build_cuda_engine import find_nvcc
from tools.compiling import BuildError
from tools.gpu_check.processes import start, wait
from tools.gpu_check.rows import Row, check, not_run

_NAME = "compute-sanitizer memcheck"


def begin() -> subprocess.Popen[str] | None:
    """Starts the tool where it is installed."""
    tool = _find()
    if tool is None:
        return None
    return start([tool, "--tool", "memcheck", sys.executable, "-m", "tools.gpu_check.exercise"])


def finish(process: subprocess.Popen[str] | None, seconds: float) -> list[Row]:
    """What it found."""
    if process is None:
        return [not_run("sanitizer", _NAME, "compute-sanitizer is not installed")]
    status, output = wait(process, seconds)
    if status is None:
        return [not_run("sanitizer", _NAME, f"not finished within {seconds:.0f} s")]
    row = judge(status, output)
    if row.state != "passed":
        print(output, file=sys.stderr)
    return [row]


def judge(status: int, output: str) -> Row:
    """A row out of what the tool printed."""
    found = re.search(r"ERROR SUMMARY: (\d+) error", output)
    exercised = output.count("exercised ")
    if found is None:
        return check("sanitizer", _NAME, False, f"it ended with status {status} and no summary")
    return check("sanitizer", _NAME, status == 0 and found[1] == "0" and exercised > 0,
                 f"{found[1]} errors in {exercised} exercises")  # fmt: skip


def _find() -> str | None:
    try:
        beside = str(Path(find_nvcc()).resolve().parent)
    except BuildError:
        beside = ""
    return shutil.which("compute-sanitizer") or shutil.which("compute-sanitizer", path=beside)
