# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Parameter files on a command line that have nothing for a node: ROS 2 says nothing of them.

A file is written for nodes by their full names; under a namespace or another name it matches no longer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

_PARAMETERS = "ros__parameters"


def files_without(node: str, arguments: Sequence[str]) -> Iterator[str]:
    """A line about each parameter file that has no section for a node.

    Args:
        node: full name.
        arguments: the command line.
    """
    for option, path in pairwise(arguments):
        if option != "--params-file":
            continue
        names = _nodes_in(Path(path))
        if names and not any(_matches(name, node) for name in names):
            yield (
                f"{path} has no parameters for {node}, only for {', '.join(names)}: nothing is taken from it; write "
                f"{node} or /** there"
            )


def _nodes_in(path: Path) -> tuple[str, ...]:
    """Whom a file has parameters for; nobody where it cannot be read, which rclpy has complained of."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return ()
    return tuple(_sections(values, ""))


def _sections(values: Any, prefix: str) -> Iterator[str]:
    """Names may be written as one key, or as nested ones (rcl_yaml_param_parser)."""
    if not isinstance(values, Mapping):
        return
    for key, inner in values.items():
        if key == _PARAMETERS:
            yield prefix
        else:
            yield from _sections(inner, f"{prefix}/{str(key).strip('/')}")


def _matches(pattern: str, node: str) -> bool:
    """Whether a name in a file means a node; * stands for one part of it and ** for any number of them."""
    wildcards = {"**": r"(/\w+)*", "*": r"/\w+"}
    parts = pattern.strip("/").split("/")
    return re.fullmatch("".join(wildcards.get(part, f"/{re.escape(part)}") for part in parts), node) is not None
