# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Processes of the check: with our packages on their path, and ended when their time is over."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def environment() -> dict[str, str]:
    """This process's, with the repository's packages before all others."""
    own = (ROOT, ROOT / "custom_ops")
    paths = [*map(str, own), *filter(None, [os.environ.get("PYTHONPATH", "")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}


def start(command: Sequence[str]) -> subprocess.Popen[str]:
    """Starts a command in the repository's folder, in a session of its own."""
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )


def wait(process: subprocess.Popen[str], seconds: float) -> tuple[int | None, str]:
    """The exit status and the output; ``None`` when the time was over, and the process and its children were ended."""
    try:
        output, _ = process.communicate(timeout=max(seconds, 0.1))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        return None, output
    return process.returncode, output
