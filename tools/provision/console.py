# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Progress on the terminal, everything else in a log file."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

_TAIL_LINES = 25
_POLL_S = 0.5
_REPORT_EVERY_S = 30.0


class SetupError(Exception):
    """The set-up cannot go on: what happened, what to do about it, and the end of the output that tells why."""

    def __init__(self, message: str, remedy: str, output: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy
        self.output = output


class Console:
    """Prints a line for each step and runs commands whose output goes to the log."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._started_s = time.monotonic()
        self._transient = sys.stdout.isatty()
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("", encoding="utf-8")

    @contextmanager
    def timed(self, title: str) -> Iterator[None]:
        """Announces a step and, when it ends well, tells how long it took."""
        self._started_s = time.monotonic()
        self.note(f"{title} ...")
        yield
        self.note(f"{title}: done in {time.monotonic() - self._started_s:.1f} s")

    def note(self, text: str) -> None:
        """Prints a line."""
        print(text, flush=True)

    def run(
        self, command: Sequence[str | Path], *, environment: Mapping[str, str], directory: Path, remedy: str
    ) -> None:
        """Runs a command, its output in the log.

        Raises:
            SetupError: the command cannot be started or fails; carries the last lines that it printed.
        """
        words = [str(word) for word in command]
        with self._log.open("ab") as log:
            log.write(f"\n$ {' '.join(words)}\n".encode())
            log.flush()
            start = log.tell()
            try:
                process = subprocess.Popen(
                    words, env=dict(environment), cwd=directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
            except OSError as error:
                raise SetupError(f"{words[0]} cannot be started: {error.strerror}", remedy) from error
            status = self._wait(process)
        if status != 0:
            message = f"`{' '.join(words[:6])}{' ...' if len(words) > 6 else ''}` ended with status {status}"
            raise SetupError(message, remedy, self._tail(start))

    def _wait(self, process: subprocess.Popen[bytes]) -> int:
        reported_s = time.monotonic()
        try:
            while True:
                try:
                    return process.wait(timeout=_POLL_S)
                except subprocess.TimeoutExpired:
                    now_s = time.monotonic()
                if self._transient:
                    print(f"\r... {now_s - self._started_s:.0f} s", end="", flush=True)
                elif now_s - reported_s >= _REPORT_EVERY_S:
                    reported_s = now_s
                    self.note(f"... {now_s - self._started_s:.0f} s")
        except BaseException:  # an interrupted set-up must not leave the command running behind it
            process.terminate()
            process.wait()
            raise
        finally:
            if self._transient:
                print("\r" + " " * 20 + "\r", end="", flush=True)

    def _tail(self, start: int) -> str:
        with self._log.open("rb") as log:
            log.seek(start)
            lines = log.read().decode("utf-8", "replace").splitlines()
        return "\n".join(lines[-_TAIL_LINES:])
