# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What a part of the node contributes to /diagnostics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Finding:
    """How a part of the node is doing."""

    values: Mapping[str, str] = field(default_factory=dict)  # key-value pairs
    warning: str = ""  # one line for people; empty when all is well


def joined(findings: Iterable[Finding]) -> Finding:
    """Several findings as one."""
    every = list(findings)
    values = {key: value for finding in every for key, value in finding.values.items()}
    return Finding(values, "; ".join(finding.warning for finding in every if finding.warning))


FindingSource = Callable[[], Finding]
