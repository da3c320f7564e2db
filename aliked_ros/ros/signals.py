# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""SIGINT and SIGTERM: heeded whatever a node is doing, and obeyed in time."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

from rclpy.logging import LoggingSeverity, get_logger, set_logger_level

# Together less than the two seconds within which a robot may expect a node to be gone.
_EXIT_WITHIN_S, _ABANDON_WITHIN_S, _LEAVE_WITHIN_S = 1.0, 0.1, 0.3
_PATIENCE_S = 1.0  # between the first signal and one that means more than that


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """Yields an event that SIGINT and SIGTERM set.

    More signals at once change nothing: under `ros2 launch` one Ctrl-C comes twice, from the terminal and from the
    launch. Later ones raise KeyboardInterrupt, for who can't wait. After a signal, further ones are ignored for the
    short rest of the process's life, in which nobody could handle them.
    """
    stop = threading.Event()
    previous: dict[int, Any] = {}
    came_at_s: list[float] = []

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  the signature is given
        # No lock may be taken here, and so no event set: the code that this interrupts may hold that lock.
        came_at_s.append(time.monotonic())
        if came_at_s[-1] - came_at_s[0] > _PATIENCE_S:
            raise KeyboardInterrupt

    with _signals_set(stop):
        for handled in (signal.SIGINT, signal.SIGTERM):
            previous[handled] = signal.signal(handled, handle)
        try:
            yield stop
        finally:
            for number, handler in previous.items():
                signal.signal(number, signal.SIG_IGN if came_at_s else handler)


@contextmanager
def _signals_set(event: threading.Event) -> Iterator[None]:
    """Has a thread set the event when a signal comes that has a handler, whatever the main thread is doing."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def watch() -> None:
        while os.read(reader, 1):
            event.set()
        os.close(reader)

    threading.Thread(target=watch, name="signals", daemon=True).start()
    previous = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(previous)
        os.close(writer)


@contextmanager
def exit_in_time(
    stop: threading.Event,
    code: Callable[[], int],
    leave: Callable[[], None],
    is_worth_waiting: Callable[[], bool] = lambda: True,
) -> Iterator[None]:
    """Ends the process with this exit code when it was asked to stop and the context is not left in time.

    What can't be interrupted, such as the import of a library or a transition that waits for one, must not hold up a
    robot's shutdown; the operating system takes back what the process holds.

    Args:
        stop: asks to stop.
        code: says the exit code.
        leave: takes the node out of the graph, where others would see it for long after a process that just ends.
        is_worth_waiting: whether what is under way when the signal comes is of use to anyone.
    """
    left = threading.Event()
    ending = threading.Lock()  # of who ends the process, for good

    def watch() -> None:
        stop.wait()
        if left.wait(_EXIT_WITHIN_S if is_worth_waiting() else _ABANDON_WITHIN_S) or not ending.acquire(blocking=False):
            return
        exit_code = code()  # before callbacks that still run find their node gone
        leaving = threading.Thread(target=_quietly, args=(leave,), name="leave", daemon=True)
        leaving.start()
        leaving.join(_LEAVE_WITHIN_S)
        end_process(exit_code)

    watcher = threading.Thread(target=watch, name="exit in time", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        left.set()
        ending.acquire()  # what goes wrong because the node is leaving must not become the exit code
        if stop.is_set():
            # It must not be the last to hold an executor: rclpy's shutdown, which comes next, and the end of an
            # executor in another thread fail on each other (Context._remove_callback).
            watcher.join()


def _quietly(leave: Callable[[], None]) -> None:
    # What is still at work finds its node gone, which is nothing to tell anyone about.
    set_logger_level("aliked_ros", LoggingSeverity.FATAL)
    try:
        leave()
    except Exception as error:  # noqa: BLE001  the others may be leaving, too, and the process ends in any case
        get_logger("aliked_ros").debug(f"the graph could not be left: {error}")


def end_process(code: int) -> NoReturn:
    """Ends the process at once, when all that matters has been closed.

    The interpreter's own way out takes libraries like torch apart, piece by piece, for up to a second.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
