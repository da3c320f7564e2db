# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""A table that grows line by line and never holds half a line, whatever ends its writing."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from aliked_ros.errors import SourceError


class CsvLog:
    """A .csv file with one line of column names and one for each row; an absent value is written nan.

    Each line is with the operating system before :meth:`write` returns. Not for several threads at once.

    Args:
        path: the file; what it holds is replaced.
        columns: their names, in order.

    Raises:
        SourceError: it cannot be written.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._path = path
        self._columns = tuple(columns)
        self._size = 0  # of whole lines
        try:
            self._file: int | None = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        except OSError as error:
            raise SourceError(f"{path}: cannot be written ({error.strerror}); choose another file") from error
        try:
            self._append(self._columns)
        except SourceError:
            self.close()
            raise

    def write(self, row: Mapping[str, object]) -> None:
        """Appends a row.

        Raises:
            SourceError: it cannot be written, or the log is closed; the file ends with the row before.
            KeyError: a column is missing.
        """
        self._append([row[column] for column in self._columns])

    def close(self) -> None:
        """Safe to repeat."""
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):  # of a disk that failed: every line before has been taken care of
                os.close(file)

    def _append(self, cells: Sequence[object]) -> None:
        if self._file is None:
            raise SourceError(f"{self._path}: the log was closed; start another")
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(["nan" if cell is None else cell for cell in cells])
        data = text.getvalue().encode()
        try:
            written = os.write(self._file, data)
            if written < len(data):  # a disk that fills up takes a part first
                os.write(self._file, data[written:])
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._file, self._size)
                os.lseek(self._file, self._size, os.SEEK_SET)
            raise SourceError(f"{self._path}: cannot be written ({error.strerror}); make room there") from error
        self._size += len(data)
