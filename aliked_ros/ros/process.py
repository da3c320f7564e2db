# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What every node's process does around its node: signals, spinning, log lines, exit code.

The executor spins in a thread of its own and the main thread waits. Python runs signal handlers in the main thread
between two instructions, so SIGINT and SIGTERM end any wait there at once, never interrupt a callback, and never
become a traceback, whatever the node is doing.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import rclpy
from rclpy.exceptions import NameValidationException, ParameterException
from rclpy.executors import ExternalShutdownException, ShutdownException, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from aliked_ros.errors import AlikedError, ConfigError


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """Yields an event that SIGINT and SIGTERM set; a second signal acts as usual, for who can't wait."""
    stop = threading.Event()
    previous: dict[int, Any] = {}

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  the signature is given
        stop.set()
        signal.signal(number, previous[number])

    for handled in (signal.SIGINT, signal.SIGTERM):
        previous[handled] = signal.signal(handled, handle)
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def exit_in_time(stop: threading.Event, within_s: float, code: Callable[[], int]) -> Iterator[None]:
    """Ends the process with this exit code when it was asked to stop and the context is not left in time.

    What can't be interrupted, such as the import of a library or a transition that waits for one, must not hold up a
    robot's shutdown; the operating system takes back what the process holds.
    """
    left = threading.Event()

    def watch() -> None:
        stop.wait()
        if not left.wait(within_s):
            logging.shutdown()
            os._exit(code())

    threading.Thread(target=watch, name="exit in time", daemon=True).start()
    try:
        yield
    finally:
        left.set()


class SpinThread:
    """Spins nodes in a thread of its own, as a context manager.

    Args:
        nodes: whose callbacks are executed.
        stop: is set when the thread ends, also because a callback failed; leaving the context raises that error.
    """

    def __init__(self, nodes: Sequence[Node], stop: threading.Event) -> None:
        self._executor = SingleThreadedExecutor()
        for node in nodes:
            self._executor.add_node(node)
        self._stop = stop
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._spin, name="executor", daemon=True)

    @property
    def has_failed(self) -> bool:
        """Whether a callback's error ended the thread."""
        return self._error is not None

    def __enter__(self) -> SpinThread:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except (ExternalShutdownException, ShutdownException):
            pass
        except Exception as error:  # noqa: BLE001  raised again where the context is left
            self._error = error
        finally:
            self._stop.set()


def run(main: Callable[[threading.Event], int], arguments: Sequence[str] | None = None) -> int:
    """Runs a node's main function between rclpy's start and end and returns the exit code.

    Args:
        main: gets the event that asks it to stop.
        arguments: the command line with its ROS arguments; ``None`` takes the process's own.
    """
    with stop_on_signals() as stop:
        try:
            _initialise(arguments)
            with ros_logging():
                return main(stop)
        except (AlikedError, ParameterException, NameValidationException) as error:
            get_logger("aliked_ros").fatal(one_line(error))
            return 1
        except rclpy_implementation.RCLError as error:
            get_logger("aliked_ros").debug(traceback.format_exc())
            get_logger("aliked_ros").fatal(f"ROS 2 refuses: {one_line(error)}{_security_hint()}")
            return 1
        finally:
            if rclpy.ok():
                rclpy.shutdown()


def _initialise(arguments: Sequence[str] | None) -> None:
    """Starts rclpy; ConfigError when a remapping or parameter on the command line or its file cannot be read."""
    try:
        rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:  # the base of rclpy's errors, which have no public name
        raise ConfigError(f"ROS arguments cannot be used: {one_line(error)}{_security_hint()}") from error


def _security_hint() -> str:
    """The likely remedy where security is on: its keys are missing, or the middleware is built without it."""
    return "; docs/security.md has the steps" if os.environ.get("ROS_SECURITY_ENABLE") == "true" else ""


def one_line(error: BaseException) -> str:
    """An error's message without line breaks."""
    return " ".join(str(error).split())


class _RosHandler(logging.Handler):
    """Sends what the front-end logs to ROS's console and log files, as the nodes' own lines."""

    def emit(self, record: logging.LogRecord) -> None:
        logger, text = get_logger("aliked_ros"), self.format(record)
        # One call for each severity: rclpy refuses a call site that logs with several.
        if record.levelno >= logging.ERROR:
            logger.error(text)
        elif record.levelno >= logging.WARNING:
            logger.warning(text)
        elif record.levelno >= logging.INFO:
            logger.info(text)
        else:
            logger.debug(text)


@contextmanager
def ros_logging() -> Iterator[None]:
    """Routes Python's log of this package to ROS while the context lasts."""
    package = logging.getLogger("aliked_ros")
    handler, level = _RosHandler(), package.level
    handler.setFormatter(logging.Formatter("%(message)s"))
    package.addHandler(handler)
    package.setLevel(logging.DEBUG)  # ROS's own level decides
    try:
        yield
    finally:
        package.removeHandler(handler)
        package.setLevel(level)
