# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""After the repair the exported CMake files name this environment's include folders, and nothing else has changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tools.repair_cmake import Includes, repair_prefix, repair_text

INCLUDES = Includes(Path("/env/include/python3.12"), Path("/env/lib/python3.12/site-packages/numpy/_core/include"))
EXPORTED = (
    "set_target_properties(demo_msgs::demo_msgs__rosidl_generator_py PROPERTIES\n"
    '  INTERFACE_INCLUDE_DIRECTORIES "${{_IMPORT_PREFIX}}/include/demo_msgs;{python};{numpy}"\n)\n'
)


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """A prefix with one exported file in each place where wheels put them."""
    text = EXPORTED.format(
        python="/opt/python/cp312-cp312/include/python3.12",
        numpy="/opt/python/cp312-cp312/lib/python3.12/site-packages/numpy/_core/include",
    )
    for name in ("share/demo_msgs/cmake/demoExport.cmake", "lib/cmake/demo/nested/demoExport.cmake"):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    (tmp_path / "share/demo_msgs/cmake/plain.cmake").write_text("find_package(Python3 REQUIRED)\n")
    return tmp_path


def test_foreign_folders_are_replaced(prefix: Path) -> None:
    changed = repair_prefix(prefix, INCLUDES)
    assert [path.name for path in changed] == ["demoExport.cmake", "demoExport.cmake"]
    for path in changed:
        assert path.read_text() == EXPORTED.format(python=INCLUDES.python, numpy=INCLUDES.numpy)


def test_second_repair_changes_nothing(prefix: Path) -> None:
    repair_prefix(prefix, INCLUDES)
    assert repair_prefix(prefix, INCLUDES) == []


@pytest.mark.parametrize(
    "text",
    [
        'set(X "${_IMPORT_PREFIX}/include/python3.12")',  # relative to where it was installed: right already
        'set(X "/usr/include/demo;/usr/include/python")',
        "# numpy/core/include is where NumPy's headers were",
        'set(X "/usr/lib/numpy/f2py")',
    ],
)
def test_other_paths_stay(text: str) -> None:
    assert repair_text(text, INCLUDES) == text


@pytest.mark.parametrize("core", ["core", "_core"])
def test_headers_of_either_numpy_are_found(core: str) -> None:
    text = f'"/a/include/python3.9;/b/site-packages/numpy/{core}/include"'
    assert repair_text(text, INCLUDES) == f'"{INCLUDES.python};{INCLUDES.numpy}"'


def test_own_folders_exist() -> None:
    includes = Includes.of_this_environment()
    assert (includes.python / "Python.h").is_file()
    assert includes.numpy == Path(np.get_include())
