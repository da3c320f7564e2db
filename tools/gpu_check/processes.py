# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Processes of the check: with our packages on their path, and ended when their time is over or the check's own is."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_running: list[subprocess.Popen[str]] = []


def environment() -> dict[str, str]:
    """This process's, with the repository's packages before all others."""
    own = (ROOT, ROOT / "custom_ops")
    paths = [*map(str, own), *filter(None, [os.environ.get("PYTHONPATH", "")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}


def start(command: Sequence[str]) -> subprocess.Popen[str]:
    """Starts a command in the repository's folder, in a session of its own."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    _running.append(process)
    return process


def wait(process: subprocess.Popen[str], seconds: float) -> tuple[int | None, str]:
    """The exit status and the output; ``None`` when the time was over, and the process and its children were ended."""
    try:
        output, _ = process.communicate(timeout=max(seconds, 0.1))
    except subprocess.TimeoutExpired:
        _end(process)
        output, _ = process.communicate()
        return None, output
    finally:
        if process.returncode is not None:
            _running.remove(process)
    return process.returncode, output


def end_all() -> None:
    """Ends what still runs, with its children."""
    while _running:
        process = _running.pop()
        _end(process)
        process.wait()


def _end(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has ended just now
        os.killpg(process.pid, signal.SIGKILL)
