# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""A node's process is told to end at each moment of its executor's round; test_faults_signals.py has the other moments.

The executor is held up wherever it consults a callback group, which is public, long enough for the end to be begun.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from node_harness import TIMEOUT_S, started
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node

from aliked_ros.ros.process import SpinThread
from aliked_ros.ros.signals import exit_in_time

pytestmark = pytest.mark.ros

HELD_UP_S = 0.2
MOMENTS = ("asked before the wait", "found ready", "begun", "executed", "ended")
ENDINGS = {
    "SIGINT": "os.kill(os.getpid(), signal.SIGINT)",
    "SIGTERM": "os.kill(os.getpid(), signal.SIGTERM)",
    "shutdown": "rclpy.shutdown()",
}
PROCESS = """
import os, signal, sys
sys.path.append({directory!r})
import rclpy
from test_process import HeldUpNode
from aliked_ros.ros.process import run_callbacks

def end():
    print("told to end", flush=True)
    {ending}

sys.exit(run_callbacks(lambda: HeldUpNode({moment!r}, end), []))
"""


class HeldUpNode(Node):  # type: ignore[misc]  # rclpy may not be installed where types are checked
    """Has one callback, which is ready from the beginning, and holds its executor up at one moment of its first round.

    Args:
        moment: one of MOMENTS.
        act: is called at that moment.
        options: of rclpy's Node.
    """

    def __init__(self, moment: str, act: Callable[[], object], **options: Any) -> None:
        super().__init__("held_up", **options)
        self._awaited: str | None = moment
        self._act = act
        self.create_guard_condition(lambda: self.reach("executed"), _Group(self.reach)).trigger()

    def reach(self, moment: str) -> None:
        if moment == self._awaited:
            self._awaited = None
            self._act()
            time.sleep(HELD_UP_S)


class _Group(MutuallyExclusiveCallbackGroup):  # type: ignore[misc]  # as above
    def __init__(self, reach: Callable[[str], None]) -> None:
        super().__init__()
        self._reach = reach
        self._asked = 0

    def can_execute(self, entity: Any) -> bool:
        self._reach(MOMENTS[self._asked % 2])
        self._asked += 1
        return bool(super().can_execute(entity))

    def beginning_execution(self, entity: Any) -> bool:
        self._reach("begun")
        return bool(super().beginning_execution(entity))

    def ending_execution(self, entity: Any) -> None:
        self._reach("ended")
        super().ending_execution(entity)


@pytest.mark.parametrize("moment", MOMENTS)
def test_spinning_ends_without_an_error_at_any_moment(ros_context: Any, moment: str) -> None:
    reached, stop = threading.Event(), threading.Event()
    node = HeldUpNode(moment, reached.set, context=ros_context)
    try:
        with SpinThread([node], stop) as spin:
            assert reached.wait(TIMEOUT_S)
        assert stop.is_set()
        assert not spin.is_spinning
        assert not spin.has_failed
    finally:
        node.destroy_node()


def test_what_another_thread_destroys_does_not_end_the_spinning(
    ros_context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Node("spun", context=ros_context)
    try:
        with SpinThread([node], threading.Event()) as spin:
            original, failures = spin._executor.spin_once, iter(range(5))

            def spin_once() -> None:
                if next(failures, None) is not None:
                    raise rclpy_implementation.InvalidHandle("cannot use Destroyable")
                original()

            monkeypatch.setattr(spin._executor, "spin_once", spin_once)
            done = threading.Event()
            spin._executor.create_task(done.set)
            assert done.wait(10.0)
            assert next(failures, None) is None
            assert spin.is_spinning
        spin = SpinThread([node], threading.Event())
        monkeypatch.setattr(spin._executor, "spin_once", failing)
        spin.__enter__()
        spin._thread.join(10.0)
        with pytest.raises(rclpy_implementation.InvalidHandle):
            spin.__exit__()
    finally:
        node.destroy_node()


def failing() -> None:
    raise rclpy_implementation.InvalidHandle("for ever")


def test_spinning_ends_when_nothing_comes(ros_context: Any) -> None:
    node, executed = Node("idle", context=ros_context), threading.Event()
    condition = node.create_guard_condition(executed.set)
    try:
        with SpinThread([node], threading.Event()) as spin:
            condition.trigger()
            assert executed.wait(TIMEOUT_S)
        assert not spin.is_spinning
    finally:
        node.destroy_node()


def test_a_callbacks_error_ends_it_and_is_raised(ros_context: Any) -> None:
    node, stop = Node("failing", context=ros_context), threading.Event()

    def fail() -> None:
        raise LookupError("of the callback")

    node.create_guard_condition(fail).trigger()
    spin = SpinThread([node], stop)
    try:
        with pytest.raises(LookupError, match="of the callback"), spin:
            assert stop.wait(TIMEOUT_S)
        assert spin.has_failed
    finally:
        node.destroy_node()


@pytest.mark.parametrize("ending", list(ENDINGS))
@pytest.mark.parametrize("moment", ["found ready", "begun", "executed"])
def test_a_process_ends_well_at_any_moment(tmp_path: Path, moment: str, ending: str) -> None:
    program = PROCESS.format(directory=str(Path(__file__).parent), ending=ENDINGS[ending], moment=moment)
    log = tmp_path / "log"
    with started(log, "-c", program) as process:
        assert process.wait(TIMEOUT_S) == 0, log.read_text()
    assert "told to end" in log.read_text()


class Leaver:
    """What is asked for an exit code, and to leave."""

    def code(self) -> int:
        return 0

    def leave(self) -> None:
        return


def test_nothing_is_held_once_a_process_is_about_to_end() -> None:
    """rclpy's shutdown and an executor that another thread lets go of at that moment get into each other's way."""
    for _ in range(300):
        leaver, stop = Leaver(), threading.Event()
        held = weakref.ref(leaver)
        with exit_in_time(stop, leaver.code, leaver.leave):
            stop.set()
        del leaver
        assert held() is None
