# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of the nodes share: a DDS domain of their own, and a context in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def domain() -> Iterator[None]:
    """The environment of a run that meets no other; processes started by tests inherit it."""
    pytest.importorskip("rclpy", reason="rclpy is not installed")
    from aliked_ros.ros.domain import private_domain

    with private_domain() as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def ros_context(domain: None) -> Iterator[Any]:
    """A context of rclpy for the tests' own nodes."""
    import rclpy
    from rclpy.context import Context

    context = Context()
    rclpy.init(args=[], context=context)
    yield context
    rclpy.shutdown(context=context)
