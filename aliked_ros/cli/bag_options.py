# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The options that the subcommands of ``aliked-ros bag`` share."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from aliked_ros.cli.options import add_option


def add_bag_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    summary: str,
    run: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    """Adds a subcommand of ``bag``."""
    parser = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
    # Without a default, so that it does not undo a -v that stands before the subcommand.
    parser.add_argument("-v", "--verbose", action="count", default=argparse.SUPPRESS, help="say more")
    parser.set_defaults(run=run)
    return parser


def add_input(parser: argparse.ArgumentParser) -> None:
    """Adds what is read, and which part of it."""
    parser.add_argument(
        "input", help="a TUM directory, a bag, a video, a folder of images, or camera0 with --duration_s"
    )
    add_option(parser, "start_s", type=float, default=0.0, metavar="S", help="seconds to skip [0]")
    add_option(parser, "duration_s", type=float, default=None, metavar="S", help="seconds to read [to the end]")
    add_option(parser, "image_topic", default=None, metavar="TOPIC", help="which images of a bag [its only ones]")


def add_force(parser: argparse.ArgumentParser) -> None:
    """Adds ``--force``."""
    parser.add_argument("--force", action="store_true", help="replace the output where it exists")
