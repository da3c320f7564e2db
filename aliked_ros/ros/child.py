# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""A node as a process of its own, started and ended by this one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from aliked_ros.errors import AlikedError

_STOP_TIMEOUT_S = 30.0
_SHOWN_LINES = 5


class ChildError(AlikedError):
    """A node's process ended when it should not have, did not end when it should have, or ended badly."""


class NodeProcess:
    """Runs a node's module in another process, as a context manager.

    Leaving the context ends the process: by SIGINT after success, and it must then exit with 0; by force after a
    failure, in whatever state it is.

    Args:
        module: such as ``aliked_ros.ros.tracker``.
        ros_arguments: what follows ``--ros-args``.
        log: gets all the process prints.
        environment: variables that differ from this process's.
        prefix: a command that becomes the node's, such as ``ip netns exec NAME``.
    """

    def __init__(
        self,
        module: str,
        ros_arguments: Sequence[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        self._module = module
        self._log = log
        self._command = [*prefix, sys.executable, "-m", module, "--ros-args", *ros_arguments]
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._was_stopped = False

    def __enter__(self) -> NodeProcess:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=self._environment
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        process = self._running_process()
        if self._was_stopped:
            return
        if error is None:
            self.stop()
        elif process.poll() is None:
            self.kill()

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._running_process().pid

    def resident_mb(self) -> float:
        """Resident memory of the process, in MB (10⁶ bytes).

        Raises:
            ChildError: the process has ended, or the system is not Linux, which alone tells.
        """
        self.require_running()
        try:
            status = Path(f"/proc/{self._running_process().pid}/status").read_text(encoding="utf-8")
            line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        except (OSError, StopIteration) as error:
            raise ChildError(f"the memory of {self._module} cannot be read: {error}; only Linux tells") from error
        return int(line.split()[1]) * 1024 / 1e6

    def require_running(self) -> None:
        """Raises ChildError when the process has ended, with the last it said."""
        code = self._running_process().poll()
        if code is not None:
            raise ChildError(f"{self._module} ended with exit code {code}: {self._last_words()}")

    def kill(self) -> None:
        """Ends the process by SIGKILL, as a crash does, and waits for its end."""
        process = self._running_process()
        self._was_stopped = True
        process.kill()
        process.wait()

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """Ends the process by a signal; SIGINT is what Ctrl-C sends.

        Raises:
            ChildError: it does not end, or not with exit code 0.
        """
        process = self._running_process()
        self.require_running()
        process.send_signal(number)
        self._was_stopped = True
        try:
            code = process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            process.kill()
            process.wait()
            raise ChildError(
                f"{self._module} did not end within {_STOP_TIMEOUT_S:g} s of {number.name}; see {self._log}"
            ) from error
        if code != 0:
            raise ChildError(f"{self._module} ended with exit code {code}: {self._last_words()}")

    def _running_process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "a NodeProcess is a context manager"
        return self._process

    def _last_words(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return " | ".join(said[-_SHOWN_LINES:]) or f"it said nothing; see {self._log}"
