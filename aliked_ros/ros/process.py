# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What every node's process does around its node: signals, spinning, log lines, exit code.

The executor spins in a thread of its own and the main thread waits. SIGINT and SIGTERM reach a thread of their own,
which sets an event: they end any wait at once, never interrupt a callback, and never become a traceback, whatever the
node is doing.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import rclpy
from rclpy.exceptions import NameValidationException, ParameterException
from rclpy.executors import ExternalShutdownException, ShutdownException, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import get_default_context

from aliked_ros.errors import AlikedError, ConfigError
from aliked_ros.ros.signals import exit_in_time, stop_on_signals
from aliked_ros.ros.usage import Usage

_NodeT = TypeVar("_NodeT", bound=Node)
_LONGEST_LINE = 1000  # characters of an error
_MOST_LOST_HANDLES = 10
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells count


class SpinThread:
    """Spins nodes in a thread of its own, as a context manager.

    The executor is shut down when that thread has ended, never before: rclpy's executors fail in one of several ways
    when they are shut down while they look for work or begin it (github.com/ros2/rclpy/issues/968).

    Args:
        nodes: whose callbacks are executed; at least one, all of one context.
        stop: is set when the thread ends, also because a callback failed; leaving the context raises that error.
    """

    def __init__(self, nodes: Sequence[Node], stop: threading.Event) -> None:
        self._executor = SingleThreadedExecutor(context=nodes[0].context)
        for node in nodes:
            self._executor.add_node(node)
        self._stop = stop
        self._is_ending = False
        self._lost_handles = 0  # in a row
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._spin, name="executor", daemon=True)

    @property
    def has_failed(self) -> bool:
        """Whether a callback's error ended the thread."""
        return self._error is not None

    @property
    def is_spinning(self) -> bool:
        """Whether callbacks are executed, or one still is."""
        return self._thread.is_alive()

    def __enter__(self) -> SpinThread:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_ending = True
        self._executor.create_task(lambda: None)  # ends its wait: mere wake() would have it wait on
        self._thread.join()
        self._executor.shutdown()
        if self._error is not None:
            raise self._error

    def _spin(self) -> None:
        try:
            while self._executor.context.ok() and not self._is_ending:
                self._spin_once()
        except (ExternalShutdownException, ShutdownException):
            pass
        except Exception as error:  # noqa: BLE001  raised again where the context is left
            self._error = error
        finally:
            self._stop.set()

    def _spin_once(self) -> None:
        try:
            self._executor.spin_once()
        except rclpy_implementation.InvalidHandle:
            # Another thread has destroyed a subscription whose events the executor was about to wait for.
            self._lost_handles += 1
            if self._lost_handles > _MOST_LOST_HANDLES:
                raise
        else:
            self._lost_handles = 0


def run(
    main: Callable[[threading.Event], int], arguments: Sequence[str] | None = None, usage: Usage | None = None
) -> int:
    """Runs a node's main function between rclpy's start and end and returns the exit code.

    Args:
        main: gets the event that asks it to stop.
        arguments: the command line with its ROS arguments; ``None`` takes the process's own.
        usage: of a command that has ROS arguments only: answers ``--help``, and refuses others.
    """
    code = None if usage is None else usage.exit_code(arguments)
    if code is not None:
        return code
    with stop_on_signals() as stop:
        try:
            _initialise(arguments)
            with ros_logging():
                return main(stop)
        except KeyboardInterrupt:
            return EXIT_INTERRUPTED
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


def run_callbacks(
    make_node: Callable[[], _NodeT],
    arguments: Sequence[str] | None = None,
    close: Callable[[_NodeT], object] = Node.destroy_node,
    usage: Usage | None = None,
) -> int:
    """Runs a node that consists of its callbacks until a signal ends it, and returns the exit code; see :func:`run`.

    Args:
        make_node: makes the node.
        arguments: as for :func:`run`.
        close: ends what the node has begun, and takes it out of the graph.
        usage: as for :func:`run`.
    """

    def main(stop: threading.Event) -> int:
        node = make_node()
        spin = SpinThread([node], stop)
        with exit_in_time(stop, lambda: int(spin.has_failed), node.destroy_node):
            try:
                with spin:
                    stop.wait()
            finally:
                close(node)
        return 0

    return run(main, arguments, usage)


def _initialise(arguments: Sequence[str] | None) -> None:
    """Starts rclpy, without a log file where none can be written.

    Raises:
        ConfigError: a remapping or parameter on the command line or its file cannot be read.
    """
    try:
        _start_rclpy(arguments)
    except RuntimeError as error:  # the base of rclpy's errors, which have no public name
        if "failed to initialize logging" not in str(error):
            raise ConfigError(f"ROS arguments cannot be used: {one_line(error)}{_security_hint()}") from error
        get_default_context(shutting_down=True)  # gives up the context that failed; the next call makes another
        words = sys.argv if arguments is None else arguments
        _start_rclpy([*words, "--ros-args", "--disable-external-lib-logs"])
        get_logger("aliked_ros").warning(f"there is no log file, see ROS_LOG_DIR: {one_line(error)}")


def _start_rclpy(arguments: Sequence[str] | None) -> None:
    rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)


def _security_hint() -> str:
    """The likely remedy where security is on: its keys are missing, or the middleware is built without it."""
    return "; docs/security.md has the steps" if os.environ.get("ROS_SECURITY_ENABLE") == "true" else ""


def one_line(error: BaseException) -> str:
    """An error's message without line breaks; what a message repeats of hostile input is cut off."""
    line = " ".join(str(error).split())
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}…"


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
