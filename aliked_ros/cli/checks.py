# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What one check of ``aliked-ros doctor`` found."""

from __future__ import annotations

import enum
import importlib.metadata
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass


class State(enum.Enum):
    """How good a finding is."""

    OK = enum.auto()
    WARNING = enum.auto()  # everything runs, but not as well as it could
    MISSING = enum.auto()  # nothing runs before this is there


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    name: str
    state: State
    value: str
    remedy: str = ""  # what to do; empty where there is nothing to do


def is_importable(module: str) -> bool:
    """Whether a module is there, without running it."""
    return importlib.util.find_spec(module) is not None


def version_of(*distributions: str) -> str:
    """The version of the first of these distributions that is installed, or that none states it."""
    found = {name.lower().replace("_", "-"): version for name, version in _installed()}
    return next((found[name] for name in distributions if name in found), "version not stated")


def _installed() -> Iterator[tuple[str, str]]:
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name:  # a half removed package has none
            yield name, distribution.version


def installed_names() -> list[str]:
    """The names of the installed distributions, lower case with hyphens."""
    return [name.lower().replace("_", "-") for name, _ in _installed()]


def load_error(code: str) -> str:
    """Why this Python code fails; empty when it does not.

    It runs in a process of its own, as what does not fit together can end the process that loads it.
    """
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if answer.returncode == 0:
        return ""
    return (answer.stderr.strip().splitlines() or [f"ended with status {answer.returncode}"])[-1]
