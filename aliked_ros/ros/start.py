# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Where the nodes' processes begin: signals are heeded before what takes long to import is imported.

``python -m aliked_ros.ros.start NODE ...`` runs a node as its installed command does.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

_MODULES = {
    name: f"aliked_ros.ros.{name}" for name in ("tracker", "player", "odometry", "rtabmap_relay", "vins_relay", "demo")
}


def tracker() -> NoReturn:
    """Runs the tracker with the process's own arguments and ends the process."""
    _start("tracker")


def player() -> NoReturn:
    """Runs the player likewise."""
    _start("player")


def odometry() -> NoReturn:
    """Runs the odometry node likewise."""
    _start("odometry")


def rtabmap_relay() -> NoReturn:
    """Runs the relay to rtabmap likewise."""
    _start("rtabmap_relay")


def vins_relay() -> NoReturn:
    """Runs the relay to VINS-Fusion likewise."""
    _start("vins_relay")


def demo() -> NoReturn:
    """Runs the demo likewise."""
    _start("demo")


def _start(name: str) -> NoReturn:
    # Nothing has been begun that would have to be ended; whoever imports next takes the signals over.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    code = importlib.import_module(_MODULES[name]).main()
    from aliked_ros.ros.signals import end_process

    end_process(code)


def _leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  the signature is given
    os._exit(0)


def main() -> int:
    """Runs the node that the first argument names; returns the exit code where there is no such node."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in _MODULES:
        sys.stderr.write(f"usage: python -m aliked_ros.ros.start {'|'.join(_MODULES)} ...; got {name!r}\n")
        return 2
    del sys.argv[1]
    _start(name)


if __name__ == "__main__":
    raise SystemExit(main())
