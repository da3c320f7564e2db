# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Folders and files that output goes to."""

from __future__ import annotations

import tempfile
from pathlib import Path

from aliked_ros.errors import ConfigError, SourceError


def expanded(path: str, name: str) -> Path:
    """The path of an option of this name, with ~ and ~USER replaced by home folders.

    Raises:
        ConfigError: there is no such user, or no home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ConfigError(
            f"{name}: the home folder in {path!r} cannot be found; write the path out, or name a user of this machine"
        ) from error


def make_output_folder(path: Path) -> Path:
    """Makes a folder with its parents and makes sure that files can be written there before any work.

    Raises:
        SourceError: it cannot be made or written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        # Permission bits say nothing about read-only mounts or root, so only a real file proves it.
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise SourceError(
            f"{path}: cannot write to this folder ({error.strerror}); choose another output folder"
        ) from error
    return path
