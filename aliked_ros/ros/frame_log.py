# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The log of every image, written by a thread of its own: a slow or full disk costs parts of the log, no image."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aliked_ros.errors import AlikedError
from aliked_ros.io.folders import expanded
from aliked_ros.ros.finding import Finding
from aliked_ros.ros.log_files import LogEntry, LogFile, open_log_file
from aliked_ros.ros.mailbox import Mailbox
from aliked_ros.ros.node_config import LogConfig
from aliked_ros.ros.process import one_line

_RETRY_S = 5.0  # between attempts to write after one failed
_FINISH_S = 1.0  # the node has to end, too
_SLOW_FOR_S = 5.0  # how long a full queue is worth a warning


class FrameLog:
    """The log as the parameters have it: off, to a file, to another one.

    Args:
        log: the node's logger.
        retry_s: seconds between attempts to write after one failed.
        finish_s: longest wait for the rest to be written.
    """

    def __init__(self, log: Any, retry_s: float = _RETRY_S, finish_s: float = _FINISH_S) -> None:
        self._log = log
        self._retry_s = retry_s
        self._finish_s = finish_s
        self._config = LogConfig()
        self._writer: LogWriter | None = None

    @property
    def wants_messages(self) -> bool:
        """Whether the log holds messages, so that they are made even if nobody subscribes."""
        return self._writer is not None and self._config.path.endswith(".mcap")

    def use(self, config: LogConfig) -> None:
        """Begins the log, goes on as before, or begins another; the one before is completed on its own time.

        Raises:
            ConfigError: the path's home folder cannot be found; the log goes on as before.
        """
        if config == self._config:
            return
        if config.path == self._config.path:
            if self._writer is not None:
                self._writer.resize(config.queue_size)
            self._config = config
            return
        writer = (
            LogWriter(expanded(config.path, "log.path"), config.queue_size, self._log, self._retry_s)
            if config.path
            else None
        )
        before, self._writer, self._config = self._writer, writer, config
        if before is not None:
            before.finish()

    def offer(self, make: Callable[[], LogEntry]) -> None:
        """Logs an image, if there is a log; returns at once."""
        writer = self._writer
        if writer is not None:
            writer.offer(make())

    def stop(self) -> None:
        """Completes the log; returns when it is, or when that takes too long."""
        before, self._writer, self._config = self._writer, None, LogConfig()
        if before is not None:
            before.finish()
            if not before.join(self._finish_s):
                self._log.error(f"log.path: {before.waiting} images still wait for the disk; they are not waited for")

    def finding(self) -> Finding:
        """How the log is doing, for /diagnostics."""
        return Finding() if self._writer is None else self._writer.finding()


class LogWriter:
    """A log and the thread that writes it.

    What cannot be written is left out, counted and told of; then it is tried again in a new file, every few seconds.

    Args:
        path: the file, or what its name is made from.
        queue_size: images that may wait.
        log: the node's logger.
        retry_s: seconds between attempts to write after one failed.
    """

    def __init__(self, path: Path, queue_size: int, log: Any, retry_s: float = _RETRY_S) -> None:
        self._path = path
        self._log = log
        self._retry_s = retry_s
        self._mailbox: Mailbox[LogEntry] = Mailbox(queue_size)
        self._file: LogFile | None = None
        self._try_again_at_s = 0.0
        self._error = ""
        self._written = 0
        self._unwritten = 0  # by failures
        self._overflow_lock = threading.Lock()  # the tracker's thread and the executor's
        self._overflowed = 0  # by a queue that was full
        self._overflowed_at_s = float("-inf")
        self._thread = threading.Thread(target=self._run, name="frame log", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Images that are to be written still."""
        return len(self._mailbox)

    def offer(self, entry: LogEntry) -> None:
        """Has an entry written; the oldest that waits is left out where there is no room."""
        self._leave_out(self._mailbox.put(entry))

    def resize(self, queue_size: int) -> None:
        """Lets so many images wait from now on."""
        self._leave_out(self._mailbox.resize(queue_size))

    def _leave_out(self, dropped: int) -> None:
        if not dropped:
            return
        with self._overflow_lock:
            is_first = not self._overflowed
            self._overflowed += dropped
            self._overflowed_at_s = time.monotonic()
        if is_first:
            self._log.warning(f"{self._path}: the disk is too slow for the log; images are left out of it")

    def finish(self) -> None:
        """Takes no more, and ends when all that waits is written."""
        self._mailbox.finish()

    def join(self, timeout_s: float) -> bool:
        """Waits for the end; whether it came in time."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def finding(self) -> Finding:
        """How the log is doing, for /diagnostics."""
        file = self._file
        values = {
            "log_file": str(file.path) if file is not None else "",
            "log_written": str(self._written),
            "log_lost": str(self._unwritten + self._overflowed),
        }
        if self._error:
            return Finding(values, f"the log is not written: {self._error}")
        is_slow = time.monotonic() - self._overflowed_at_s < _SLOW_FOR_S
        return Finding(values, "the disk is too slow for the log: images are left out of it" if is_slow else "")

    def _run(self) -> None:
        self._attempt(self._open)
        while (entry := self._mailbox.take()) is not None:
            self._handle(entry)
        if self._file is not None and not self._attempt(self._file.close):
            self._log.error(f"the end of the log is missing: {self._error}")

    def _handle(self, entry: LogEntry) -> None:
        if self._file is None and time.monotonic() >= self._try_again_at_s:
            self._attempt(self._open)
        file = self._file
        if file is None or not self._attempt(lambda: self._write(file, entry)):
            self._unwritten += 1

    def _open(self) -> None:
        self._file = open_log_file(self._path)
        if not self._error:
            self._log.info(f"every image is logged to {self._file.path}")

    def _write(self, file: LogFile, entry: LogEntry) -> None:
        if file.write(entry):
            self._written += 1
        if self._error:
            self._error = ""
            self._log.info(f"the log is written again, to {file.path}; {self._unwritten} images are missing")

    def _attempt(self, action: Callable[[], None]) -> bool:
        """Does something and returns whether it worked; the first failure of a row is told."""
        try:
            action()
        except (AlikedError, OSError) as error:
            self._give_up(one_line(error))
            return False
        except Exception as error:  # noqa: BLE001  a thread that ends in silence would leave a log without an end
            self._log.error(f"the log failed\n{traceback.format_exc()}")
            self._give_up(f"{type(error).__name__}: {one_line(error)}")
            return False
        return True

    def _give_up(self, error: str) -> None:
        if not self._error:
            self._log.error(f"the log is not written, images are: {error}; trying again every {self._retry_s:g} s")
        self._error = error
        self._try_again_at_s = time.monotonic() + self._retry_s
        file, self._file = self._file, None
        if file is not None:
            self._written -= file.unsafe
            self._unwritten += file.unsafe
            file.abandon()
