# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The command line: help, versions, and what errors become."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import aliked_ros
from aliked_ros.cli.entry import run_command
from aliked_ros.cli.main import COMMANDS, build_parser, main
from aliked_ros.errors import ConfigError, SourceError


def command(*argv: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "aliked_ros.cli.main", *argv], capture_output=True, text=True, check=False
    )


def namespace(verbose: int = 0) -> argparse.Namespace:
    return argparse.Namespace(verbose=verbose)


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["--help"])
    assert raised.value.code == 0
    text = capsys.readouterr().out
    for name in ("pair", "seq", "slam", "weights", "bag", "sim", "bench", "doctor"):
        assert f"\n    {name}" in text


@pytest.mark.parametrize("name", ["pair", "seq", "slam", "weights", "bag", "sim", "bench", "doctor"])
def test_every_command_has_help_and_a_function(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main([name, "--help"])
    assert raised.value.code == 0
    assert "--verbose" in capsys.readouterr().out


def test_the_commands_are_modules_with_a_parser() -> None:
    assert len(COMMANDS) == len({module.__name__ for module in COMMANDS})
    args = build_parser().parse_args(["weights", "-vv"])
    assert callable(args.run)
    assert args.verbose == 2


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["--version"])
    assert raised.value.code == 0
    assert capsys.readouterr().out.strip() == f"aliked-ros {aliked_ros.__version__}"


@pytest.mark.parametrize("argv", [[], ["paint"], ["seq"], ["pair", "folder", "--top_k", "many"]])
def test_wrong_usage_is_status_2(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(argv)
    assert raised.value.code == 2


def test_parsing_imports_nothing_heavy() -> None:
    code = (
        "import json, sys\n"
        "from aliked_ros.cli.main import build_parser\n"
        "build_parser().format_help()\n"
        "print(json.dumps([name for name in ('torch', 'cv2', 'rclpy', 'rosbags', 'mcap') if name in sys.modules]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_an_error_is_one_line_and_status_1(tmp_path: Path) -> None:
    done = command("seq", str(tmp_path / "absent"), "--no_display", "--output", str(tmp_path / "out"))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {tmp_path / 'absent'}: no such file")
    assert len(done.stderr.splitlines()) == 1


def test_verbose_adds_where_it_comes_from(tmp_path: Path) -> None:
    done = command("seq", str(tmp_path / "absent"), "--no_display", "-v")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")


def test_an_option_out_of_range_is_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", str(tmp_path / "sequence"), "--frames", "0"]) == 2
    assert capsys.readouterr().err == "error: frames must be at least 1, got 0\n"


@pytest.mark.parametrize(
    ("error", "status"),
    [(SourceError("gone"), 1), (ConfigError("odd"), 2), (KeyboardInterrupt(), 130)],
)
def test_statuses(error: BaseException, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(_: argparse.Namespace) -> int:
        raise error

    assert run_command(fail, namespace()) == status
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_command_decides_its_own_status() -> None:
    assert run_command(lambda _: 7, namespace()) == 7


def test_a_bug_is_not_hidden() -> None:
    def fail(_: argparse.Namespace) -> int:
        return {}["absent"]

    with pytest.raises(KeyError):
        run_command(fail, namespace())


def test_a_closed_pipe_is_quiet() -> None:
    code = (
        "import sys\n"
        "from argparse import Namespace\n"
        "from aliked_ros.cli.entry import run_command\n"
        "def chatter(args):\n"
        "    for _ in range(100000): print('a line')\n"
        "    return 0\n"
        "sys.exit(run_command(chatter, Namespace(verbose=0)))\n"
    )
    read, write = os.pipe()
    process = subprocess.Popen([sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    os.close(read)
    _, errors = process.communicate()
    assert errors == ""
    assert process.returncode == 141
