# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""How the engines' libraries are built: for which GPUs, and only when something has changed."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from tools import build_cuda_engine
from tools.build_cuda_engine import DEFAULT_ARCHITECTURES, architecture_flags, chosen_architectures, find_nvcc
from tools.compiling import BuildError, Compilation, build_library, digest_of


def test_architectures_become_flags() -> None:
    assert architecture_flags("8.7") == ["-gencode", "arch=compute_87,code=sm_87"]
    assert architecture_flags("8.6; 9.0+PTX")[2:] == [
        *("-gencode", "arch=compute_90,code=sm_90"),
        *("-gencode", "arch=compute_90,code=compute_90"),
    ]
    assert architecture_flags("9.0a") == ["-gencode", "arch=compute_90a,code=sm_90a"]
    assert len(architecture_flags(DEFAULT_ARCHITECTURES)) == 2 * 7
    with pytest.raises(BuildError, match="'Hopper' is not understood"):
        architecture_flags("8.6;Hopper")


def test_architectures_are_those_asked_for_or_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nprintf '8.9\\n8.6\\n8.9\\n'\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setenv("TORCH_CUDA_ARCH_LIST", "7.2")
    assert chosen_architectures() == "7.2"
    monkeypatch.delenv("TORCH_CUDA_ARCH_LIST")
    assert chosen_architectures() == "8.6;8.9"
    tool.write_text("#!/bin/sh\nexit 9\n")
    monkeypatch.setattr(build_cuda_engine, "_by_torch", list)
    assert chosen_architectures() == DEFAULT_ARCHITECTURES
    monkeypatch.setattr(build_cuda_engine, "_by_torch", lambda: ["8.7"])
    assert chosen_architectures() == "8.7"


def test_without_a_compiler_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    with pytest.raises(BuildError, match=r"no nvcc: install the CUDA toolkit \(12 or later\) or set CUDA_HOME"):
        find_nvcc()


def test_a_library_is_built_when_something_has_changed(tmp_path: Path) -> None:
    library = tmp_path / "out" / "library.so"
    source = tmp_path / "source"
    source.write_text("one")
    runs: list[str] = []

    def build(command: str = "import shutil, sys; shutil.copy(*sys.argv[1:])") -> str:
        digest = digest_of(command, [source], tmp_path)

        def compilations(folder: Path) -> list[Compilation]:
            runs.append(digest)
            target = folder / "object"
            (folder / "input").write_text(f"{source.read_text()} {digest}")
            return [(target, [sys.executable, "-c", command, str(folder / "input"), str(target)])]

        build_library(library, digest, compilations, lambda built, objects: ["cp", str(objects[0]), str(built)])
        return library.read_text()

    assert build().startswith("one ")
    assert build().startswith("one ")
    assert len(runs) == 1
    source.write_text("two")
    assert build().startswith("two ")
    assert len(runs) == 2
    with pytest.raises(BuildError, match="no such luck"):
        build("raise SystemExit('no such luck')")
    assert library.read_text().startswith("two "), "the old one stays"
    assert [path.name for path in library.parent.iterdir()] == ["library.so"]
