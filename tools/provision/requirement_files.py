# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Reads the files under requirements/, the one place where Python packages and their versions are named."""

from __future__ import annotations

from pathlib import Path

DIRECTORY = Path(__file__).resolve().parents[2] / "requirements"


def requirements_path(name: str) -> Path:
    """The file that lists the requirements called ``name``."""
    return DIRECTORY / f"{name}.txt"


def read_requirements(name: str) -> list[str]:
    """The requirements in one file, without comments and empty lines."""
    lines = requirements_path(name).read_text(encoding="utf-8").splitlines()
    return [stripped for line in lines if (stripped := line.split("#", 1)[0].strip())]
