# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The sources hold nothing that could run what a file or a parameter says."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted(path for folder in ("aliked_ros", "custom_ops/aliked_ops") for path in (ROOT / folder).rglob("*.py"))
UNSAFE_IMPORTS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "pty", "commands"}
UNSAFE_CALLS = {"eval", "exec", "os.system", "os.popen", "subprocess.getoutput", "yaml.load", "yaml.unsafe_load"}
# Who fetches, and who starts processes (this interpreter with a module of ours, as a list of words).
NETWORK = {"aliked_ros/network/weights.py"}
PROCESSES = {"aliked_ros/ros/child.py", "aliked_ros/cli/checks.py", "aliked_ros/bench/memory.py"}


def names_imported(tree: ast.Module) -> set[str]:
    nodes = list(ast.walk(tree))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_runs_nothing_it_reads(path: Path) -> None:
    tree, name = ast.parse(path.read_text(encoding="utf-8")), path.relative_to(ROOT).as_posix()
    roots = {module.split(".")[0] for module in names_imported(tree)}
    assert not roots & UNSAFE_IMPORTS
    assert "subprocess" not in roots or name in PROCESSES
    assert not roots & {"urllib", "http", "socket", "requests", "ftplib"} or name in NETWORK
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        check_call(call, f"{name}:{call.lineno}")


def check_call(call: ast.Call, where: str) -> None:
    function = ast.unparse(call.func)
    keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    assert function not in UNSAFE_CALLS, where
    assert keywords.get("shell", "False") == "False", where
    assert keywords.get("allow_pickle", "False") == "False", where
    if function == "torch.load":
        assert keywords.get("weights_only") == "True", where
