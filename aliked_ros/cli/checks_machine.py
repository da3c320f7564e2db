# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Checks of Python, the processor and the packages that are not needed everywhere."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

from aliked_ros.cli.checks import Finding, State, is_importable, version_of

# Names in /proc/cpuinfo: those of x86 and, for bfloat16, also that of Arm.
_FEATURES = {"AVX2": {"avx2"}, "AVX-512": {"avx512f"}, "bf16": {"avx512_bf16", "bf16"}, "AMX": {"amx_tile"}}
_CPUINFO = Path("/proc/cpuinfo")

# Module, its distributions, what its absence means, and what it is for.
_PACKAGES = (
    ("numpy", ("numpy",), State.MISSING, "arrays"),
    ("cv2", ("opencv-python-headless", "opencv-python"), State.MISSING, "images"),
    ("poselib", ("poselib",), State.MISSING, "geometric verification"),
    ("tqdm", ("tqdm",), State.MISSING, "progress"),
    ("yaml", ("pyyaml",), State.MISSING, "calibrations"),
    ("rosbags", ("rosbags",), State.WARNING, "bags"),
    ("mcap", ("mcap",), State.WARNING, "bags in mcap"),
    ("skimage", ("scikit-image",), State.WARNING, "simulated sequences"),
    ("gtsam", ("gtsam",), State.WARNING, "the reference SLAM backend"),
    ("matplotlib", ("matplotlib",), State.WARNING, "pictures of trajectories and benchmarks"),
    ("kornia", ("kornia",), State.OK, "the matcher lightglue, and comparison with another implementation"),
)


def check_python() -> Iterator[Finding]:
    """The interpreter."""
    version = platform.python_version()
    if (3, 10) <= sys.version_info[:2] <= (3, 13):
        yield Finding("Python", State.OK, f"{version} ({sys.executable})")
    else:
        remedy = "make the environment with a Python from 3.10 to 3.13: `make PYTHON=python3.12 setup`"
        yield Finding("Python", State.WARNING, f"{version} ({sys.executable}), which is not tested", remedy)


def check_cpu() -> Iterator[Finding]:
    """The processor and the instructions that matter for speed."""
    flags, model = read_cpuinfo(_CPUINFO)
    features = [name for name, names in _FEATURES.items() if names & flags]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    name = model or platform.processor() or platform.machine()
    yield Finding("CPU", State.OK, f"{name}, {cores} cores, {', '.join(features) or 'no wide vectors known'}")


def read_cpuinfo(path: Path) -> tuple[frozenset[str], str]:
    """The flags and the model name of the first processor; empty on systems that do not tell."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset(), ""
    fields: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    flags = fields.get("flags", fields.get("Features", ""))
    return frozenset(flags.split()), fields.get("model name", "")


def check_optional_packages() -> Iterator[Finding]:
    """The packages beside torch and ROS."""
    for module, distributions, absence, purpose in _PACKAGES:
        if is_importable(module):
            yield Finding(module, State.OK, version_of(*distributions))
        else:
            yield Finding(module, absence, f"not installed; for {purpose}", f"pip install {distributions[0]}")
