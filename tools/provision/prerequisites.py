# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What has to be on the machine before the set-up can begin, and the packages that bring it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tools.provision.console import SetupError

OLDEST_PYTHON, NEWEST_PYTHON = (3, 10), (3, 13)
OLDEST_CMAKE = (3, 20)

_PROBE = """
import importlib.util, json, os, pathlib, sys, sysconfig
print(json.dumps({
    # Inside a virtual environment, the Python that it was made from; the same under whatever name it was started.
    "executable": os.path.realpath(getattr(sys, "_base_executable", sys.executable)),
    "version": list(sys.version_info[:3]),
    "venv": all(importlib.util.find_spec(name) is not None for name in ("venv", "ensurepip")),
    "headers": pathlib.Path(sysconfig.get_path("include"), "Python.h").is_file(),
}))
"""


@dataclass(frozen=True)
class Interpreter:
    """A Python on this machine and what it can do."""

    executable: str
    version: tuple[int, int, int]
    has_venv: bool
    has_headers: bool

    @property
    def supported(self) -> bool:
        """Whether the project runs on this version."""
        return OLDEST_PYTHON <= self.version[:2] <= NEWEST_PYTHON


@dataclass(frozen=True)
class Missing:
    """A thing that is not there, and the line that tells how to get it."""

    what: str
    package: str  # of Debian and Ubuntu

    def __str__(self) -> str:
        return f"missing: {self.what} (apt install {self.package})"


def probe_interpreter(executable: str) -> Interpreter | None:
    """Asks a Python what it is; ``None`` when it does not run."""
    try:
        answer = subprocess.run([executable, "-I", "-c", _PROBE], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    facts = json.loads(answer.stdout)
    major, minor, patch = facts["version"]
    return Interpreter(facts["executable"], (major, minor, patch), facts["venv"], facts["headers"])


def choose_interpreter(candidates: Iterable[str]) -> Interpreter:
    """The first candidate that is a Python this project runs on.

    Raises:
        SetupError: none is.
    """
    seen = []
    for candidate in candidates:
        path = shutil.which(candidate)
        interpreter = probe_interpreter(path) if path else None
        if interpreter is None:
            continue
        if interpreter.supported:
            return interpreter
        seen.append(f"{interpreter.executable} is {'.'.join(map(str, interpreter.version))}")
    found = "; ".join(seen) or "none was found"
    raise SetupError(
        f"Python 3.{OLDEST_PYTHON[1]} to 3.{NEWEST_PYTHON[1]} is needed: {found}",
        "apt install python3 python3-venv python3-dev, or name another one with `make PYTHON=/path/to/python3.12`",
    )


def default_candidates() -> list[str]:
    """The Python that runs this, then every supported one on the path, newest last as it has the fewest wheels."""
    names = [f"python3.{minor}" for minor in range(NEWEST_PYTHON[1] - 1, OLDEST_PYTHON[1] - 1, -1)]
    return [sys.executable, *names, f"python3.{NEWEST_PYTHON[1]}"]


def missing_tools(interpreter: Interpreter, environment: Mapping[str, str] = os.environ) -> list[Missing]:
    """Everything that is missing on this machine, in the order in which it would be needed."""
    path = environment.get("PATH")
    python = "python{}.{}".format(*interpreter.version[:2])
    compiler = environment.get("CXX", "").split()[:1] or ["c++"]
    missing = []
    if not interpreter.has_venv:
        missing.append(Missing(f"the modules venv and ensurepip of {interpreter.executable}", f"{python}-venv"))
    if not interpreter.has_headers:
        missing.append(Missing(f"the C headers of {interpreter.executable}", f"{python}-dev"))
    if not any(shutil.which(name, path=path) for name in (*compiler, "g++", "clang++")):
        missing.append(Missing("a C++ compiler", "g++"))
    if not any(shutil.which(name, path=path) for name in ("cc", "gcc", "clang")):
        missing.append(Missing("a C compiler", "gcc"))
    if not shutil.which("make", path=path):
        missing.append(Missing("make", "make"))
    cmake = shutil.which("cmake", path=path)
    if cmake is None:
        missing.append(Missing("CMake", "cmake"))
    elif (version := cmake_version(cmake)) < OLDEST_CMAKE:
        wanted, found = (".".join(map(str, numbers)) for numbers in (OLDEST_CMAKE, version))
        missing.append(Missing(f"CMake {wanted} or newer ({cmake} is {found})", "cmake"))
    return missing


def cmake_version(cmake: str) -> tuple[int, int]:
    """The version of a CMake; (0, 0) when it does not tell."""
    answer = subprocess.run([cmake, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"version (\d+)\.(\d+)", answer.stdout)
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)


def require_tools(interpreter: Interpreter) -> None:
    """Raises SetupError with one line for each thing that is missing."""
    missing = missing_tools(interpreter)
    if missing:
        packages = " ".join(item.package for item in missing)
        raise SetupError("\n".join(map(str, missing)), f"sudo apt install {packages}")
