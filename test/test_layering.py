# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Imports point downwards: what each folder may know of the others, and what it may not drag in."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "aliked_ros"
CORE = {"errors", "config", "features", "camera", "mask", "transport"}
ALLOWED = {
    "network": CORE,
    "engine": CORE | {"network"},
    "frontend": CORE | {"network", "engine"},
    "slam": CORE,
    "io": CORE,
    "sim": CORE | {"io"},
    "bench": CORE | {"network", "engine", "frontend", "io", "sim"},
    "offline": CORE | {"network", "engine", "frontend", "slam", "io", "sim"},
    "evaluation": CORE | {"network", "engine", "frontend", "io", "sim", "bench", "slam"},
    "ros": CORE | {"network", "engine", "frontend", "slam", "io", "sim", "bench"},
    "cli": CORE | {"network", "engine", "frontend", "slam", "io", "sim", "bench", "offline", "evaluation"},
}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE)


def imported_modules(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative imports hide the layers"
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downwards(path: Path) -> None:
    layer = path.relative_to(PACKAGE).parts[0]
    known = set(ALLOWED) | CORE
    for name in imported_modules(path):
        parts = name.split(".")
        if parts[0] == "aliked_ros" and len(parts) > 1 and parts[1] in known:
            target = parts[1]
            assert target == layer or target in ALLOWED[layer], f"{layer} must not import {name}"


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("aliked_ros", ["torch", "rclpy", "cv2"]),
        ("aliked_ros.io.sources.opening", ["torch", "rclpy"]),
        ("aliked_ros.sim.simulation", ["torch", "rclpy"]),
        ("aliked_ros.slam.backend", ["torch", "rclpy"]),
        ("aliked_ros.frontend.frontend", ["rclpy"]),
        ("aliked_ros.cli.main", ["torch", "rclpy"]),
    ],
)
def test_heavy_modules_stay_out(module: str, forbidden: list[str]) -> None:
    code = f"import sys, {module}; print([name for name in {forbidden!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_package_works_without_compiled_ops_and_ros() -> None:
    code = """
import sys
sys.modules["rclpy"] = None
import numpy as np
from aliked_ros import Extractor
extractor = Extractor.from_pretrained("aliked-t16", device="cpu", score_threshold=0.0, max_keypoints=50)
assert "reference" in extractor.info.backend, extractor.info.backend
image = (np.random.default_rng(0).random((64, 64, 3)) * 255).astype(np.uint8)
print(len(extractor(image)))
"""
    environment = {**os.environ, "ALIKED_OPS": "reference"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert 0 < int(done.stdout) <= 50
