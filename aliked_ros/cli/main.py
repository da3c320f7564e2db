# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The ``aliked-ros`` command: a list of subcommands, each a module of its own.

A subcommand's module has ``add_parser(subparsers)``, which sets ``run`` to a function of the parsed arguments that
returns the exit status. These modules import what is heavy only when they run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import aliked_ros
from aliked_ros.cli import bag, bench, doctor, evaluate, export, pair, seq, sim, slam, weights
from aliked_ros.cli.entry import add_verbosity, run_command

COMMANDS = (pair, seq, slam, weights, bag, export, sim, bench, evaluate, doctor)


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="aliked-ros",
        description="ALIKED features, matches and tracks: demos, SLAM, weights, bags, exports, simulation.",
    )
    parser.add_argument("--version", action="version", version=f"aliked-ros {aliked_ros.__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    for command in COMMANDS:
        command.add_parser(subparsers)
    for subparser in subparsers.choices.values():
        add_verbosity(subparser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; see :func:`aliked_ros.cli.entry.run_command` for the exit status."""
    args = build_parser().parse_args(argv)
    return run_command(args.run, args)


if __name__ == "__main__":
    sys.exit(main())
