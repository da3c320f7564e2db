# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Compiles what the check needs: the operators with their CUDA kernels, and both engines."""

from __future__ import annotations

import sys
import time

from tools.gpu_check.processes import start, wait
from tools.gpu_check.rows import Row, check, unfinished


def run(seconds: float) -> list[Row]:
    """Builds at the same time what is not built yet."""
    commands = {"operators": ["tools.build_ops"], "engines": ["tools.build_engine", "--cuda"]}
    begin = time.monotonic()
    running = {name: start([sys.executable, "-m", *command]) for name, command in commands.items()}
    rows = []
    for name, process in running.items():
        status, output = wait(process, begin + seconds - time.monotonic())
        if status is None:
            rows.append(unfinished("build", name, seconds))
            continue
        if status != 0:
            print(output, file=sys.stderr)
        note = f"after {time.monotonic() - begin:.0f} s" if status == 0 else "see what the compiler says above"
        rows.append(check("build", name, status == 0, note))
    return rows
