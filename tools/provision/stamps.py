# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Stamps: what a step was done for, so that it is done again only when that changes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path


def digest(values: Iterable[str], files: Iterable[Path] = ()) -> str:
    """The SHA-256 over values, and over the names and contents of files, in a fixed order."""
    state = hashlib.sha256()
    for value in values:
        state.update(f"{len(value)}:{value}".encode())
    for path in sorted(set(files)):
        content = path.read_bytes()
        state.update(f"{path}:{len(content)}:".encode())
        state.update(content)
    return state.hexdigest()


class Stamp:
    """A file that keeps the digest of the inputs a finished step was made from.

    It lies inside what the step makes, so that whoever deletes that deletes the stamp with it.
    """

    def __init__(self, path: Path, outputs: Iterable[Path] = ()) -> None:
        self._path = path
        self._outputs = tuple(outputs)

    def matches(self, inputs: str) -> bool:
        """Whether the step was finished for these inputs and what it made is still there."""
        if not all(output.exists() for output in self._outputs):
            return False
        try:
            return self._path.read_text(encoding="ascii") == inputs
        except FileNotFoundError:
            return False

    def clear(self) -> None:
        """Forgets the step: from here on it counts as unfinished."""
        self._path.unlink(missing_ok=True)

    def write(self, inputs: str) -> None:
        """Marks the step as finished for these inputs."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(inputs, encoding="ascii")
