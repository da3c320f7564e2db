# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import dataclasses
import logging
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import torch
from ops_cases import ROOT
from setuptools import Distribution

from tools import build_ops
from tools.build_engine import LIBRARY as ENGINE_LIBRARY

LIBRARY_NAME = f"_C{sysconfig.get_config_var('EXT_SUFFIX')}"


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A file that stands for a compiled library: these tests are about where it goes."""
    path = tmp_path / "compiled" / "library"
    path.parent.mkdir()
    path.write_bytes(b"compiled")
    return path


def command(tmp_path: Path, *, inplace: bool = False) -> build_ops.BuildOps:
    package = tmp_path / "source" / "aliked_ops"
    package.mkdir(parents=True)
    distribution = Distribution(
        {
            "name": "x",
            "packages": ["aliked_ops"],
            "package_dir": {"aliked_ops": str(package)},
            "ext_modules": [build_ops.ops_extension()],
        }
    )
    build = build_ops.BuildOps(distribution)
    build.build_lib, build.build_temp, build.inplace = str(tmp_path / "lib"), str(tmp_path / "temp"), inplace
    build.ensure_finalized()
    return build


def unavailable() -> Path:
    raise build_ops.OpsBuildError("no compiler here")


def no_engine() -> Path:
    raise build_ops.BuildError("no compiler for the engine")


@pytest.fixture(autouse=True)
def engine(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that stands for the CPU engine's library."""
    path = tmp_path_factory.mktemp("engine") / ENGINE_LIBRARY
    path.write_bytes(b"engine")
    monkeypatch.setattr(build_ops, "obtain_engine", lambda: path)
    return path


def test_the_extension_names_every_source() -> None:
    extension = build_ops.ops_extension()
    named = {ROOT / path for path in (*extension.sources, *extension.depends)}
    present = {
        path for folder in ("csrc", "include") for path in (ROOT / "custom_ops" / folder).rglob("*.*") if path.is_file()
    }
    assert named == present


def test_build_puts_the_library_into_the_build_folder(
    tmp_path: Path, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_ops, "obtain_library", lambda: library)
    build = command(tmp_path)
    build.run()
    target = tmp_path / "lib" / "aliked_ops" / LIBRARY_NAME
    assert target.read_bytes() == b"compiled"
    engine = tmp_path / "lib" / "aliked_ops" / ENGINE_LIBRARY
    assert engine.read_bytes() == b"engine"
    assert build.get_outputs() == [str(target), str(engine)]
    assert not list((tmp_path / "source").rglob("*.so"))


def test_build_in_place_puts_the_library_beside_the_package(
    tmp_path: Path, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_ops, "obtain_library", lambda: library)
    build = command(tmp_path, inplace=True)
    build.run()
    target = tmp_path / "source" / "aliked_ops" / LIBRARY_NAME
    assert target.read_bytes() == b"compiled"
    assert target.with_name(ENGINE_LIBRARY).read_bytes() == b"engine"
    assert build.get_output_mapping() == {str(tmp_path / "lib" / "aliked_ops" / LIBRARY_NAME): str(target)}


@pytest.mark.parametrize("inplace", [False, True])
def test_what_cannot_be_compiled_is_one_line_and_no_failure(
    tmp_path: Path, inplace: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("ALIKED_OPS_REQUIRED", raising=False)
    monkeypatch.setattr(build_ops, "obtain_library", unavailable)
    monkeypatch.setattr(build_ops, "obtain_engine", no_engine)
    build = command(tmp_path, inplace=inplace)
    with caplog.at_level(logging.WARNING):
        build.run()
    assert [record.getMessage() for record in caplog.records] == [
        "no compiler for the engine; the readable network will run in place of the CPU engine",
        "no compiler here; the slower pure-torch operators will be used",
    ]
    assert build.get_outputs() == []
    assert build.get_output_mapping() == {}
    assert not list(tmp_path.rglob("*.so"))


def test_what_cannot_be_compiled_fails_where_it_is_required(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALIKED_OPS_REQUIRED", "1")
    monkeypatch.setattr(build_ops, "obtain_library", unavailable)
    with pytest.raises(build_ops.OpsBuildError, match="no compiler here"):
        command(tmp_path).run()


def test_an_engine_that_cannot_be_compiled_fails_where_it_is_required(
    tmp_path: Path, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALIKED_OPS_REQUIRED", "1")
    monkeypatch.setattr(build_ops, "obtain_library", lambda: library)
    monkeypatch.setattr(build_ops, "obtain_engine", no_engine)
    with pytest.raises(build_ops.BuildError, match="for the engine"):
        command(tmp_path).run()


def test_a_replaced_library_stays_whole_for_those_who_use_it(tmp_path: Path, library: Path) -> None:
    target = tmp_path / "target.so"
    target.write_bytes(b"old")
    with target.open("rb") as in_use:
        build_ops._install(library, target)
        assert in_use.read() == b"old"
    assert target.read_bytes() == b"compiled"
    assert [path.name for path in tmp_path.glob("*.so*")] == ["target.so"]


def test_without_torch_it_says_so(tmp_path: Path) -> None:
    """In a fresh interpreter, where importing torch fails as it does when it is not installed."""
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n")
    environ = os.environ | {"PYTHONPATH": str(tmp_path), "ALIKED_OPS_REQUIRED": ""}
    done = subprocess.run(
        [sys.executable, "-m", "tools.build_ops"], capture_output=True, text=True, check=False, env=environ, cwd=ROOT
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"torch is not installed in {sys.prefix}: custom_ops cannot be compiled (No module")
    assert done.stderr.count("\n") == 1


def test_a_compiler_that_does_not_run_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "/nonexistent/c++")
    with pytest.raises(build_ops.OpsBuildError, match=r"C\+\+ compiler '/nonexistent/c\+\+' does not run"):
        build_ops.make_recipe(with_cuda=False)


def test_a_compiler_without_openmp_is_used_with_one_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As clang without libomp."""
    found = shutil.which(os.environ.get("CXX", "c++"))
    if found is None:
        pytest.skip("no C++ compiler")
    compiler = tmp_path / "c++"
    compiler.write_text(f'#!/bin/sh\ncase "$*" in *-fopenmp*) exit 1;; esac\nexec {found} "$@"\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    recipe = build_ops.make_recipe(with_cuda=False)
    assert not any("openmp" in flag for flag in recipe.cxx_flags)
    assert recipe.link_flags == ()
    assert f"{compiler} has no OpenMP" in caplog.text


@pytest.fixture
def recipe() -> build_ops.Recipe:
    if shutil.which(os.environ.get("CXX", "c++")) is None:
        pytest.skip("no C++ compiler")
    return build_ops.make_recipe(with_cuda=False)


def test_the_key_is_that_of_all_that_goes_in(
    recipe: build_ops.Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert torch.__version__ in recipe.tools
    key = recipe.key()
    assert key == build_ops.make_recipe(with_cuda=False).key()
    others = [
        dataclasses.replace(recipe, cxx_flags=("-O0",)),
        dataclasses.replace(recipe, nvcc_flags=("-O0",)),
        dataclasses.replace(recipe, link_flags=("-lm",)),
        dataclasses.replace(recipe, architectures="9.0"),
        dataclasses.replace(recipe, tools=("torch 1.0",)),
    ]
    assert len({key, *(other.key() for other in others)}) == 6
    # A header that changes, in a copy of the sources.
    copy = tmp_path / "custom_ops"
    shutil.copytree(build_ops.OPS, copy, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    monkeypatch.setattr(build_ops, "OPS", copy)
    moved = dataclasses.replace(recipe, sources=tuple(build_ops.sources(with_cuda=False)))
    assert moved.key() == key
    header = copy / "include" / "aliked_ops" / "deform.h"
    header.write_text(header.read_text() + "\n")
    assert moved.key() != key


def test_native_instructions_make_another_library(recipe: build_ops.Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "-march=native" not in recipe.cxx_flags
    monkeypatch.setenv("ALIKED_NATIVE", "1")
    native = build_ops.make_recipe(with_cuda=False)
    assert "-march=native" in native.cxx_flags
    assert native.key() != recipe.key()


def test_an_unchanged_recipe_compiles_once(
    recipe: build_ops.Recipe, library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = []

    def compile_(recipe: build_ops.Recipe, scratch: Path) -> Path:
        compiled.append(recipe)
        assert scratch.is_dir()
        return library

    monkeypatch.setattr(build_ops, "_build_directory", lambda: tmp_path / "kept")
    monkeypatch.setattr(build_ops, "_compile", compile_)
    first, second = build_ops._obtain(recipe), build_ops._obtain(recipe)
    assert first == second
    assert first.read_bytes() == b"compiled"
    assert len(compiled) == 1
    assert [path.name for path in first.parent.iterdir()] == ["_C.so"]
    build_ops._obtain(dataclasses.replace(recipe, cxx_flags=("-O0",)))
    assert len(compiled) == 2


def test_a_failed_cuda_compilation_leaves_the_cpu(
    library: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def obtain(with_cuda: bool) -> Path:
        if with_cuda:
            raise build_ops.OpsBuildError("nvcc failed")
        return library

    monkeypatch.delenv("ALIKED_OPS_REQUIRED", raising=False)
    monkeypatch.setattr(build_ops, "cuda_usable", lambda: True)
    monkeypatch.setattr(build_ops, "make_recipe", lambda with_cuda: with_cuda)
    monkeypatch.setattr(build_ops, "_obtain", obtain)
    assert build_ops.obtain_library() == library
    assert "nvcc failed; compiling for the CPU only" in caplog.text
    monkeypatch.setenv("ALIKED_OPS_REQUIRED", "1")
    with pytest.raises(build_ops.OpsBuildError, match="nvcc failed"):
        build_ops.obtain_library()


def test_architectures_are_those_asked_for_else_those_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_CUDA_ARCH_LIST", "8.7")
    assert build_ops._architectures() == "8.7"
    monkeypatch.delenv("TORCH_CUDA_ARCH_LIST")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert build_ops._architectures() == build_ops.DEFAULT_ARCHITECTURES
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda i: [(9, 0), (8, 6), (9, 0)][i])
    assert build_ops._architectures() == "8.6;9.0+PTX"


def test_a_source_that_does_not_compile_is_an_error_with_its_reason(
    recipe: build_ops.Recipe, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.cpp"
    broken.write_text("#error deliberately broken\n")
    with pytest.raises(build_ops.OpsBuildError, match="compiling custom_ops failed"):
        build_ops._compile(dataclasses.replace(recipe, sources=(broken,)), tmp_path / "scratch")
    captured = capfd.readouterr()
    assert "deliberately broken" in captured.out + captured.err
