# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Shared libraries out of sources: compiled in parallel, and only when something that they are made of has changed."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


class BuildError(RuntimeError):
    """The compiler is missing or refused the sources."""


Compilation = tuple[Path, Sequence[str]]  # an object file, and the command that makes it


def build_library(
    library: Path,
    digest: str,
    compilations: Callable[[Path], Sequence[Compilation]],
    link: Callable[[Path, Sequence[Path]], Sequence[str]],
) -> Path:
    """Build a library unless it is there already.

    Args:
        library: where it goes.
        digest: of all that it is made of; the library must contain it as text.
        compilations: of the objects, in a folder.
        link: the command that makes a library of objects.

    Raises:
        BuildError: a command failed.
    """
    if library.is_file() and digest.encode() in library.read_bytes():
        return library
    library.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=library.parent, prefix=".compile-") as folder:
        jobs = compilations(Path(folder))
        with ThreadPoolExecutor(int(os.environ.get("MAX_JOBS") or os.cpu_count() or 1)) as executor:
            list(executor.map(run, [command for _, command in jobs]))
        built = Path(folder) / library.name
        run(link(built, [target for target, _ in jobs]))
        # Renamed into place: a process that runs the old library keeps it.
        built.replace(library)
    return library


def run(command: Sequence[str]) -> str:
    """Run a command; what it printed.

    Raises:
        BuildError: it failed, with what it said.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise BuildError(f"{shlex.join(command)}: {error}") from error
    if done.returncode != 0:
        raise BuildError(f"{shlex.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def digest_of(parts: object, sources: Iterable[Path], root: Path) -> str:
    """SHA-256 of what else determines a library, and of its sources by their names below a folder."""
    content = hashlib.sha256(repr(parts).encode())
    for source in sources:
        content.update(source.relative_to(root).as_posix().encode() + b"\0" + source.read_bytes())
    return content.hexdigest()


def find_compiler() -> list[str]:
    """The command of the C++ compiler: $CXX, or the first one found.

    Raises:
        BuildError: there is none.
    """
    if os.environ.get("CXX"):
        return shlex.split(os.environ["CXX"])
    for name in ("g++", "clang++", "c++"):
        if shutil.which(name):
            return [name]
    raise BuildError("no C++ compiler: install g++ 9 or later, or clang, or set CXX")
