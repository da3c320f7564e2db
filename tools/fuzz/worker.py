# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The process that the cases run in; it may crash or hang, and the one that started it will tell.

``python -m tools.fuzz.worker REQUEST``, a JSON file. Each line of its standard output is a JSON object: a find, or what
a round came to.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import rclpy
from rclpy.signals import SignalHandlerOptions

from tools.fuzz.file_target import FileTarget
from tools.fuzz.result_target import ResultTarget
from tools.fuzz.sensor_target import SensorTarget
from tools.fuzz.serving import Target, serve


def main(request_path: str) -> int:
    """Runs the rounds that were asked for."""
    request = json.loads(Path(request_path).read_text(encoding="utf-8"))
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    makers: dict[str, Callable[[], Target]] = {
        "sensor": lambda: SensorTarget(request["seed"], request["deadline"]),
        "result": lambda: ResultTarget(request["seed"]),
        "file": lambda: FileTarget(request["seed"], Path(request["folder"])),
    }
    serve(request, makers)
    rclpy.shutdown()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
