# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Processes that are started and ended for a node."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from aliked_ros.ros.child import ChildError, NodeProcess

GOOD = "import signal, sys; signal.signal(signal.SIGINT, lambda *_: sys.exit(0))"
PARTS = {
    "good": f"{GOOD}\nprint('ready', flush=True)\nsignal.pause()\n",
    "ends": "print('first', flush=True); sys = __import__('sys'); sys.exit('the last word')\n",
    "ends_badly": f"{GOOD.replace('exit(0)', 'exit(3)')}\nprint('ready', flush=True)\nsignal.pause()\n",
}


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, source in PARTS.items():
        (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")


def wait_for(log: Path, text: str) -> None:
    while text not in log.read_text():
        time.sleep(0.01)


def watch(module: str, log: Path) -> None:
    with NodeProcess(module, [], log) as process:
        while True:
            process.require_running()
            time.sleep(0.01)


def end(module: str, log: Path) -> None:
    with NodeProcess(module, [], log):
        wait_for(log, "ready")


def fail(process: NodeProcess, log: Path) -> None:
    with process:
        wait_for(log, "ready")
        raise ZeroDivisionError


def test_a_good_process_ends_when_it_is_told_to(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with NodeProcess("good", [], log) as process:
        wait_for(log, "ready")
        process.require_running()
    with pytest.raises(ChildError, match="good ended with exit code 0: ready"):
        process.require_running()


def test_an_early_end_is_told_with_the_last_words(tmp_path: Path) -> None:
    with pytest.raises(ChildError, match=r"ends ended with exit code 1: first \| the last word"):
        watch("ends", tmp_path / "log")


def test_a_bad_end_is_told(tmp_path: Path) -> None:
    with pytest.raises(ChildError, match="ends_badly ended with exit code 3: ready"):
        end("ends_badly", tmp_path / "log")


def test_a_failure_ends_the_process_by_force(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = NodeProcess("good", [], log)
    with pytest.raises(ZeroDivisionError):
        fail(process, log)
    with pytest.raises(ChildError, match="exit code -9"):
        process.require_running()
