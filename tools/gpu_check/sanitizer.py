# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""compute-sanitizer over every operator and every kernel of the engine: memory errors, and races in shared memory."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from tools.build_cuda_engine import find_nvcc
from tools.compiling import BuildError
from tools.gpu_check.processes import start, wait
from tools.gpu_check.rows import Row, check, not_run, unfinished

# Each tool's summary; racecheck counts hazards, of which a warning is one, too.
_SUMMARIES = {
    "memcheck": re.compile(r"ERROR SUMMARY: (\d+) error"),
    "racecheck": re.compile(r"RACECHECK SUMMARY: (\d+) hazard"),
}


def run(tool: str, seconds: float) -> list[Row]:
    """What ``memcheck`` or ``racecheck`` finds."""
    name, program = f"compute-sanitizer {tool}", _find()
    if program is None:
        return [not_run("sanitizer", name, "compute-sanitizer is not installed")]
    command = [program, "--tool", tool, sys.executable, "-m", "tools.gpu_check.exercise", tool]
    status, output = wait(start(command), seconds)
    if status is None:
        return [unfinished("sanitizer", name, seconds)]
    row = judge(tool, status, output)
    if row.state != "passed":
        print(output, file=sys.stderr)
    return [row]


def judge(tool: str, status: int, output: str) -> Row:
    """A row out of what the tool printed."""
    name, found = f"compute-sanitizer {tool}", _SUMMARIES[tool].search(output)
    exercised = output.count("exercised ")
    if found is None:
        return check("sanitizer", name, False, f"it ended with status {status} and no summary")
    return check("sanitizer", name, status == 0 and found[1] == "0" and exercised > 0,
                 f"{found[1]} errors in {exercised} exercises")  # fmt: skip


def _find() -> str | None:
    try:
        beside = str(Path(find_nvcc()).resolve().parent)
    except BuildError:
        beside = ""
    return shutil.which("compute-sanitizer") or shutil.which("compute-sanitizer", path=beside)
