# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Which parameter files have something for a node."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from aliked_ros.ros.parameter_files import files_without

# What rclpy of Kilted takes for /tracker and for /robot/tracker, as tried.
TAKEN = {
    "/**": (True, True),
    "**": (True, True),
    "/*": (True, False),
    "tracker": (True, False),
    "/tracker": (True, False),
    "/robot/tracker": (False, True),
    "robot/tracker": (False, True),
    "/robot/*": (False, True),
    "/*/tracker": (False, True),
    "/**/tracker": (True, True),
    "/track": (False, False),
}


def written(path: Path, key: str) -> str:
    path.write_text(f'"{key}":\n  ros__parameters:\n    max_keypoints: 10\n')
    return str(path)


@pytest.mark.parametrize(("key", "taken"), TAKEN.items())
def test_names_and_wildcards_match_as_in_ros(tmp_path: Path, key: str, taken: tuple[bool, bool]) -> None:
    path = written(tmp_path / "p.yaml", key)
    for node, is_taken in zip(("/tracker", "/robot/tracker"), taken, strict=True):
        assert bool(list(files_without(node, ["--ros-args", "--params-file", path]))) is not is_taken


def test_a_file_of_several_nodes_and_nested_names(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("player: {ros__parameters: {rate: 1.0}}\nrobot:\n  tracker: {ros__parameters: {depth: true}}\n")
    assert list(files_without("/robot/tracker", ["--params-file", str(path)])) == []
    assert list(files_without("/tracker", ["--params-file", str(path)])) == [
        f"{path} has no parameters for /tracker, only for /player, /robot/tracker: nothing is taken from it; write "
        "/tracker or /** there"
    ]


@pytest.mark.parametrize("content", [None, "", "[1, 2", "just words", "a: 1"])
def test_files_that_name_nobody_are_not_our_business(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "p.yaml"
    if content is not None:
        path.write_text(content)
    assert list(files_without("/tracker", ["--params-file", str(path), "--params-file"])) == []


def test_the_tracker_says_so(tmp_path: Path) -> None:
    from node_harness import run_node

    path = written(tmp_path / "p.yaml", "front")
    done = run_node("aliked_ros.ros.tracker", ["--params-file", path, "-p", "cameras:=left"])
    (line,) = [line for line in done.stderr.splitlines() if "[WARN]" in line]
    assert f"{path} has no parameters for /tracker, only for /front" in line
