# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""``aliked-ros weights`` with files that are good, damaged, and absent; never with the real network."""

from __future__ import annotations

from pathlib import Path

import pytest

from aliked_ros.cli.main import main
from aliked_ros.errors import WeightsError
from aliked_ros.network import weights

MODEL = "aliked-t16"


@pytest.fixture
def good() -> bytes:
    """The content of the smallest file, which the set-up has put somewhere."""
    entry = weights.entry_of(MODEL)
    path = weights.locate(MODEL)
    assert path is not None, "the set-up provides the weights"
    return weights.verified_bytes(path, entry)


@pytest.fixture
def only(good: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The one folder that weights are looked for in, once the good file was read from where it really is."""
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setattr(weights, "search_directories", lambda: [folder])
    monkeypatch.setattr(weights, "cache_directory", lambda: folder)
    return folder


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, good: bytes) -> list[str]:
    """The network: keeps the models asked for, and delivers the good file."""
    asked: list[str] = []

    def fetch(entry: weights.WeightsEntry, path: Path) -> None:
        asked.append(entry.model)
        path.write_bytes(good)

    monkeypatch.setattr(weights, "_fetch", fetch)
    return asked


def test_a_good_file_is_left_alone(
    good: bytes, only: Path, server: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    file = only / weights.entry_of(MODEL).file
    file.write_bytes(good)
    assert main(["weights", MODEL]) == 0
    assert server == []
    header, row = capsys.readouterr().out.splitlines()
    assert header.split() == ["model", "MB", "sha256", "file"]
    assert row.split() == [MODEL, f"{len(good) / 1e6:.1f}", "ok", str(file)]


def test_a_missing_file_is_fetched_once(only: Path, server: list[str], good: bytes) -> None:
    assert main(["weights", MODEL]) == 0
    assert main(["weights", MODEL]) == 0
    assert server == [MODEL]
    assert (only / weights.entry_of(MODEL).file).read_bytes() == good


def test_a_damaged_file_is_replaced_where_it_lies(only: Path, server: list[str], good: bytes) -> None:
    file = only / weights.entry_of(MODEL).file
    file.write_bytes(good[:-1] + b"!")
    assert main(["weights", MODEL]) == 0
    assert server == [MODEL]
    assert file.read_bytes() == good


def test_check_and_offline_change_nothing(
    only: Path, server: list[str], good: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    file = only / weights.entry_of(MODEL).file
    assert main(["weights", MODEL, "--check"]) == 1
    assert "not on this machine" in capsys.readouterr().out
    assert main(["weights", MODEL, "--offline"]) == 1
    file.write_bytes(b"damaged")
    for option in ("--check", "--offline"):
        assert main(["weights", MODEL, option]) == 1
        text = capsys.readouterr().out
        assert "missing or wrong" in text
        assert "SHA-256" in text
    assert server == []
    assert file.read_bytes() == b"damaged"


def test_a_directory_gets_a_copy_of_what_is_there(only: Path, server: list[str], good: bytes, tmp_path: Path) -> None:
    name = weights.entry_of(MODEL).file
    (only / name).write_bytes(good)
    target = tmp_path / "asked" / "for"
    assert main(["weights", MODEL, "--directory", str(target), "--offline"]) == 0
    assert (target / name).read_bytes() == good
    assert server == []
    (only / name).unlink()
    assert main(["weights", MODEL, "--directory", str(tmp_path / "other")]) == 0
    assert (tmp_path / "other" / name).read_bytes() == good
    assert server == [MODEL]


def test_what_is_fetched_is_verified(
    only: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(weights, "_fetch", lambda entry, path: path.write_bytes(b"hostile"))
    assert main(["weights", MODEL]) == 1
    assert "SHA-256" in capsys.readouterr().out
    assert list(only.iterdir()) == []


def test_an_unknown_model_is_an_error(only: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["weights", "aliked-n64"])
    assert raised.value.code == 2
    assert "unknown model 'aliked-n64'; known: aliked-t16" in capsys.readouterr().err


def test_one_bad_model_does_not_hide_the_others(
    good: bytes, only: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(entry: weights.WeightsEntry, path: Path) -> None:
        raise WeightsError("the network is down")

    monkeypatch.setattr(weights, "_fetch", fail)
    (only / weights.entry_of(MODEL).file).write_bytes(good)
    assert main(["weights"]) == 1
    text = capsys.readouterr().out
    assert text.count("missing or wrong") == 3
    assert text.count("the network is down") == 3
    assert f"{MODEL} " in text


def test_the_matchers_weights_are_fetched_on_request(
    only: Path, server: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["weights", "--check", "aliked-lightglue"]) == 1
    assert "fetch it with `aliked-ros weights aliked-lightglue`" in capsys.readouterr().out
    assert main(["weights", "aliked-lightglue"]) == 1, "the server has something else"
    assert "is not d975e965b105" in capsys.readouterr().out
    assert server == ["aliked-lightglue"]
