# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Runs a node's module while Python's audit hooks write down, and forbid, what a node must never do.

Told by the environment: ``AUDITED_MODULE`` to run, ``AUDIT_LOG`` to write to, and ``AUDITED_WEIGHTS``, the only folder
that is searched for weights where it is set. The hooks see this interpreter's own calls; the middleware, which is C++,
goes past them.
"""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path
from typing import Any

from aliked_ros.network import weights

FORBIDDEN = (
    *("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "urllib.Request"),
    *("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn"),
    *("pickle.find_class", "cpython.run_command", "cpython.run_file"),
)


def watch(log: Path) -> None:
    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event in FORBIDDEN:
            with log.open("a") as file:
                file.write(f"{event} {arguments}\n")
            raise PermissionError(f"a node must not: {event}")

    sys.addaudithook(note)


if __name__ == "__main__":
    if folder := os.environ.get("AUDITED_WEIGHTS"):
        weights.search_directories = lambda: [Path(folder)]
    watch(Path(os.environ["AUDIT_LOG"]))
    runpy.run_module(os.environ["AUDITED_MODULE"], run_name="__main__", alter_sys=True)
