# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Tables that grow line by line: what readers make of them, and what a full disk does."""

from __future__ import annotations

import csv
import errno
import os
from pathlib import Path

import numpy as np
import pytest
from small_disk import fill, small_disk

from aliked_ros.errors import SourceError
from aliked_ros.io.csv_log import CsvLog
from aliked_ros.io.outputs import create_beside

COLUMNS = ("name", "number", "share")


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_line_is_in_the_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    log = CsvLog(path, COLUMNS)
    assert path.read_text() == "name,number,share\n"
    log.write({"name": 'left, "ü"', "number": 2**60, "share": None})
    assert rows_of(path) == [{"name": 'left, "ü"', "number": str(2**60), "share": "nan"}]
    log.close()
    log.close()
    with pytest.raises(SourceError, match="was closed"):
        log.write({"name": "", "number": 0, "share": 0})


def test_a_missing_column_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="share"):
        CsvLog(tmp_path / "a.csv", COLUMNS).write({"name": "", "number": 0})


def test_numpy_reads_it_with_absent_values_as_nan(tmp_path: Path) -> None:
    log = CsvLog(tmp_path / "a.csv", COLUMNS)
    for number in range(3):
        log.write({"name": "left", "number": number, "share": None if number == 0 else number})
    table = np.genfromtxt(tmp_path / "a.csv", delimiter=",", names=True, dtype=None, encoding="utf-8")
    assert table["number"].tolist() == [0, 1, 2]
    np.testing.assert_array_equal(table["share"], [np.nan, 1.0, 2.0])


def test_a_full_disk_leaves_whole_lines(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 64) as disk:
        log = CsvLog(disk / "a.csv", COLUMNS)
        written, reason = 0, ""
        try:
            while written < 10_000:
                log.write({"name": "x" * 100, "number": written, "share": 0.5})
                written += 1
        except SourceError as error:
            reason = str(error)
        assert "a.csv: cannot be written (No space left on device); make room" in reason
        assert 100 < written < 10_000
        rows = rows_of(disk / "a.csv")
        assert [int(row["number"]) for row in rows] == list(range(written))
        assert all(len(row) == 3 and row["share"] == "0.5" for row in rows)


def test_a_disk_that_is_full_from_the_start(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 64) as disk:
        fill(disk)
        with pytest.raises(SourceError, match="No space left on device"):
            CsvLog(disk / "a.csv", COLUMNS)
        with pytest.raises(SourceError, match="No space left on device"):
            CsvLog(Path("/dev/full"), COLUMNS)


def test_a_write_that_fails_half_way_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = CsvLog(tmp_path / "a.csv", COLUMNS)
    log.write({"name": "whole", "number": 1, "share": 1.0})
    write, calls = os.write, []

    def half(file: int, data: bytes) -> int:
        calls.append(len(data))
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data[: len(data) // 2])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half)
        with pytest.raises(SourceError, match="No space left on device"):
            log.write({"name": "half", "number": 2, "share": 1.0})
    assert len(calls) == 2
    log.write({"name": "again", "number": 3, "share": 1.0})
    assert [row["name"] for row in rows_of(tmp_path / "a.csv")] == ["whole", "again"]


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No such file or directory"):
        CsvLog(tmp_path / "nowhere" / "a.csv", COLUMNS)


def test_a_name_that_is_taken_gets_a_number(tmp_path: Path) -> None:
    made = [create_beside(tmp_path / "run.csv") for _ in range(3)]
    assert [path.name for path in made] == ["run.csv", "run-2.csv", "run-3.csv"]
    with pytest.raises(SourceError, match="No such file or directory"):
        create_beside(tmp_path / "nowhere" / "run.csv")
