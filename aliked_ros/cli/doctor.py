# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""``aliked-ros doctor``: what this machine has, what is missing, and what to do about it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict

from aliked_ros.cli.checks import Finding, State
from aliked_ros.cli.checks_machine import check_cpu, check_optional_packages, check_python
from aliked_ros.cli.checks_ros import check_cv_bridge, check_messages, check_middleware, check_ros, check_transport
from aliked_ros.cli.checks_torch import (
    check_backend,
    check_cuda,
    check_engine,
    check_ops,
    check_torch,
    check_weights,
)

_MARKS = {State.OK: "ok", State.WARNING: "warn", State.MISSING: "missing"}

CHECKS: tuple[Callable[[], Iterable[Finding]], ...] = (
    check_python,
    check_cpu,
    check_ros,
    check_middleware,
    check_transport,
    check_messages,
    check_torch,
    check_cuda,
    check_ops,
    check_engine,
    check_backend,
    check_weights,
    check_optional_packages,
    check_cv_bridge,
)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand ``doctor``."""
    summary = "what this machine has and what is missing"
    parser = subparsers.add_parser(
        "doctor",
        help=summary,
        description=f"Prints {summary}. The exit status is 1 when something is missing without which nothing runs.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints the findings; 1 when something needed is missing, else 0."""
    findings = [finding for check in CHECKS for finding in check()]
    print(as_json(findings) if args.json else as_table(findings), flush=True)
    return int(any(finding.state is State.MISSING for finding in findings))


def as_table(findings: Iterable[Finding]) -> str:
    """One line for each finding, its remedy below it."""
    rows = list(findings)
    name_width = max(len(row.name) for row in rows)
    mark_width = max(len(mark) for mark in _MARKS.values())
    indent = " " * (mark_width + name_width + 4)
    lines = []
    for row in rows:
        lines.append(f"{_MARKS[row.state]:<{mark_width}}  {row.name:<{name_width}}  {row.value}")
        if row.remedy:
            lines.append(f"{indent}-> {row.remedy}")
    return "\n".join(lines)


def as_json(findings: Iterable[Finding]) -> str:
    """The findings as a JSON object: ``findings`` (name, state, value, remedy) and ``python``."""
    content = [{**asdict(finding), "state": _MARKS[finding.state]} for finding in findings]
    return json.dumps({"python": sys.executable, "findings": content}, indent=2)
