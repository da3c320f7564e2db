# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The manifests agree with each other and name every ROS package that the sources import."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

import aliked_ros

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"aliked_ros": ROOT, "aliked_msgs": ROOT / "aliked_msgs"}
# The Python modules of ROS packages that carry another name than their package.
ROS_MODULES = {
    *("ament_index_python", "aliked_msgs", "builtin_interfaces", "cv_bridge", "diagnostic_msgs", "geometry_msgs"),
    *("launch", "launch_ros", "launch_testing", "message_filters", "nav_msgs", "rcl_interfaces", "rclpy", "rosbag2_py"),
    *("rosgraph_msgs", "rosidl_runtime_py", "sensor_msgs", "std_msgs", "std_srvs", "tf2_msgs", "tf2_ros"),
    *("unique_identifier_msgs", "visualization_msgs"),
}
ROSDEP_KEYS = {"cv2": "python3-opencv", "numpy": "python3-numpy", "skimage": "python3-skimage", "tqdm": "python3-tqdm"}
ROSDEP_KEYS["yaml"] = "python3-yaml"


def manifest(name: str) -> ElementTree.Element:
    return ElementTree.parse(PACKAGES[name] / "package.xml").getroot()


def dependencies(name: str) -> set[str]:
    tags = ("depend", "exec_depend")
    return {str(element.text) for tag in tags for element in manifest(name).iter(tag)}


def imported(directory: Path) -> Iterator[tuple[str, Path]]:
    """The top-level modules that the files below a directory import, anywhere in them."""
    for path in sorted(directory.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((alias.name.split(".")[0], path) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                yield node.module.split(".")[0], path


@pytest.mark.parametrize("name", PACKAGES)
def test_a_manifest_is_complete(name: str) -> None:
    root = manifest(name)
    assert root.tag == "package"
    assert root.get("format") == "3"
    assert root.findtext("name") == name
    assert root.findtext("license") == "BSD-3-Clause"
    assert re.fullmatch(r"[^@\s]+@[^@\s]+", root.find("maintainer").get("email", ""))  # type: ignore[union-attr]
    assert len(str(root.findtext("description"))) > 20


@pytest.mark.parametrize("name", PACKAGES)
def test_a_manifest_passes_the_ros_parser(name: str) -> None:
    package = pytest.importorskip("catkin_pkg.package", reason="catkin_pkg is not installed")
    warnings: list[str] = []
    package.parse_package(str(PACKAGES[name]), warnings=warnings).validate(warnings=warnings)
    assert warnings == []


def test_build_types() -> None:
    assert manifest("aliked_ros").findtext("export/build_type") == "ament_python"
    assert manifest("aliked_msgs").findtext("export/build_type") == "ament_cmake"
    assert manifest("aliked_msgs").findtext("member_of_group") == "rosidl_interface_packages"


def test_versions_agree() -> None:
    assert {str(manifest(name).findtext("version")) for name in PACKAGES} == {aliked_ros.__version__}


@pytest.mark.parametrize("directory", ["aliked_ros", "launch"])
def test_every_imported_ros_package_is_declared(directory: str) -> None:
    declared = dependencies("aliked_ros")
    undeclared = {
        (ROSDEP_KEYS.get(module, module), str(path.relative_to(ROOT)))
        for module, path in imported(ROOT / directory)
        if (module in ROS_MODULES or module in ROSDEP_KEYS) and ROSDEP_KEYS.get(module, module) not in declared
    }
    assert undeclared == set()


def test_messages_declare_the_packages_their_fields_are_from() -> None:
    text = "\n".join(path.read_text() for path in (ROOT / "aliked_msgs/msg").glob("*.msg"))
    used = set(re.findall(r"^(\w+)/\w+ ", text, re.MULTILINE))
    assert used == {"std_msgs", "builtin_interfaces"}
    assert used <= dependencies("aliked_msgs")


def test_licence_texts_are_there() -> None:
    assert "Copyright 2026 The aliked_ros developers" in (ROOT / "LICENSE").read_text()
    assert "Copyright (c) 2022, Zhao Xiaoming" in (ROOT / "weights/README.md").read_text()
