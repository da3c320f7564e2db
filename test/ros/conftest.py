# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of the nodes share: a DDS domain of their own, and a context in it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from aliked_ros.ros.domain import private_domain

_LONGEST_LOCK = """
import threading, time

longest_s, is_over = 0.0, threading.Event()

def watch():
    global longest_s
    before_s = time.monotonic()
    while not is_over.wait(0.001):
        now_s = time.monotonic()
        longest_s, before_s = max(longest_s, now_s - before_s), now_s

thread = threading.Thread(target=watch)
thread.start()
import torch
is_over.set()
thread.join()
print(longest_s)
"""


@pytest.fixture(scope="session", autouse=True)
def domain() -> Iterator[None]:
    """The environment of a run that meets no other; processes started by tests inherit it."""
    with private_domain() as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def ros_context() -> Iterator[Any]:
    """A context of rclpy for nodes that the tests themselves are."""
    import rclpy
    from rclpy.context import Context

    context = Context()
    rclpy.init(args=[], context=context)
    yield context
    rclpy.shutdown(context=context)


@pytest.fixture(scope="session")
def import_lock_s() -> float:
    """How long the import of torch holds Python's lock in one go here: no signal is handled in that time, seconds."""
    done = subprocess.run([sys.executable, "-c", _LONGEST_LOCK], capture_output=True, text=True, check=True)
    return float(done.stdout)
