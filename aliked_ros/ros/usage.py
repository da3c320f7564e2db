# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What a node's command says to ``--help``, and to arguments that ROS would ignore in silence."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rclpy.utilities import remove_ros_args

from aliked_ros.config import Config, NamedOption, full_name

_WIDTH = 100  # columns
_HELP = ("-h", "--help")
_EXIT_WRONG_USAGE = 2  # as argparse's


@dataclass(frozen=True)
class Usage:
    """How a node's command is used.

    Args:
        name: of the command.
        summary: what the node is.
        groups: its configurations with the prefix of their parameters.
    """

    name: str
    summary: str
    groups: Sequence[tuple[str, type[Config]]]

    def exit_code(self, arguments: Sequence[str] | None) -> int | None:
        """The exit code where the node is not to run: help was asked for and is printed, or an argument is none.

        Args:
            arguments: the command line with its ROS arguments; ``None`` takes the process's own.
        """
        others = _others(sys.argv[1:] if arguments is None else arguments)
        if not others:
            return None
        if any(word in _HELP for word in others):
            sys.stdout.write(self.text())
            return 0
        sys.stderr.write(
            f"{self.name}: arguments that are no ROS arguments: {' '.join(others)}; give parameters as "
            f"`--ros-args -p NAME:=VALUE`; `{self.name} --help` lists them\n"
        )
        return _EXIT_WRONG_USAGE

    def text(self) -> str:
        """What ``--help`` prints."""
        start = f"""\
usage: {self.name} [--ros-args [-p NAME:=VALUE ...] [--params-file FILE] [-r FROM:=TO ...]]

{textwrap.fill(self.summary, _WIDTH)}

-p sets a parameter, --params-file takes a YAML file of them, and -r renames a topic or, as __node
and __ns, the node. All of it works behind `ros2 run aliked_ros {self.name}`, too.

parameters and their defaults:
"""
        return start + "".join(self._parameters())

    def _parameters(self) -> Iterator[str]:
        for prefix, config in self.groups:
            for named in config.options():
                meaning = textwrap.fill(
                    named.option.describe(), _WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6
                )
                yield f"  {full_name(prefix, named.name)}:={shown_default(named)}\n{meaning}\n"


def shown_default(named: NamedOption) -> str:
    """An option's default as YAML has it."""
    return json.dumps(list(named.default) if named.is_list else named.default, ensure_ascii=False)


def _others(arguments: Sequence[str]) -> list[str]:
    """The arguments that are not for ROS; none where ROS cannot tell: rclpy's start says why."""
    try:
        return list(remove_ros_args(list(arguments)))
    except RuntimeError:  # the base of rclpy's errors, which have no public name
        return []
