# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Text files of numbers, read so that an error names the file and the line."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from aliked_ros.errors import SourceError


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file that are neither empty nor comments (#), with their numbers from 1.

    Raises:
        SourceError: the file is missing or no text.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}: is no text file ({error.reason})") from error
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line.strip()


def parse_numbers(texts: list[str], where: str) -> list[float]:
    """Numbers, all finite; SourceError naming the place and the first that is none."""
    numbers = []
    for text in texts:
        try:
            number = float(text)
        except ValueError:
            raise SourceError(f"{where}: {text!r} is no number") from None
        if not math.isfinite(number):
            raise SourceError(f"{where}: {text!r} is not finite")
        numbers.append(number)
    return numbers


def read_numbers(path: Path, columns: int, separator: str | None = None, at_least: bool = False) -> list[list[float]]:
    """The rows of a table of numbers.

    Args:
        path: the file; empty lines and comments (#) are skipped.
        columns: how many numbers a line has.
        separator: between them; ``None`` for spaces.
        at_least: whether a line may have more.

    Raises:
        SourceError: the file cannot be read or has no line, or a line is wrong: which, and how.
    """
    rows = []
    for number, line in read_lines(path):
        texts = line.split(separator)
        if len(texts) < columns or (len(texts) > columns and not at_least):
            more = " or more" if at_least else ""
            raise SourceError(f"{path}, line {number}: has {len(texts)} columns, needs {columns}{more}")
        rows.append(parse_numbers(texts, f"{path}, line {number}"))
    if not rows:
        raise SourceError(f"{path}: holds no line of numbers")
    return rows
