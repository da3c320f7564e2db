# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Output that is there whole or not at all, and output that replaces nothing."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aliked_ros.errors import SourceError

_MAX_NUMBER = 9999


@contextmanager
def written_whole(path: Path, *, force: bool = False) -> Iterator[Path]:
    """Yields where to write a file or folder of the same name; moves it to ``path`` when the block succeeds.

    Until then ``path`` is left as it is, and after a failure nothing of the attempt remains.

    Raises:
        SourceError: ``path`` exists and ``force`` is not set, or its folder cannot be written.
    """
    if path.exists() and not force:
        raise SourceError(f"{path} exists; choose another name, or replace it with --force")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as error:
        raise SourceError(f"{path}: cannot write there ({error.strerror}); choose another place") from error
    try:
        yield folder / path.name
        _move(folder / path.name, path, folder / f"{path.name}.replaced")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _move(made: Path, path: Path, replaced: Path) -> None:
    """Puts what was made into its place, and what was there before where it will be removed."""
    try:
        if path.exists() or path.is_symlink():
            path.rename(replaced)
        made.rename(path)
    except OSError as error:
        if replaced.exists() and not path.exists():
            replaced.rename(path)
        raise SourceError(f"{path}: cannot be put in place ({error.strerror}); choose another place") from error


def create_beside(path: Path) -> Path:
    """Makes an empty file of this name or, where there is one, of the name with the next free number: ``run-2.csv``.

    Raises:
        SourceError: none can be made there.
    """
    for number in range(1, _MAX_NUMBER + 1):
        candidate = path if number == 1 else path.with_stem(f"{path.stem}-{number}")
        try:
            candidate.touch(exist_ok=False)
        except FileExistsError:
            continue
        except OSError as error:
            raise SourceError(f"{candidate}: cannot be written ({error.strerror}); choose another place") from error
        return candidate
    raise SourceError(f"{path}: there are {_MAX_NUMBER} files of this name; choose another")
