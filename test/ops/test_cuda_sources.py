# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The CUDA sources compile for every GPU we name, on machines with nvcc but without a GPU."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from ops_cases import OPS_SOURCES
from torch.utils import cpp_extension

ARCHITECTURES = (75, 80, 86, 87, 89, 90)
INCLUDES = [f"-I{OPS_SOURCES / 'include'}", f"-I{OPS_SOURCES / 'csrc'}"]
KERNELS = sorted((OPS_SOURCES / "csrc" / "cuda").glob("*.cu"))
ENGINE = [
    path for path in sorted((OPS_SOURCES / "csrc" / "cuda_engine").glob("*.cu")) if "__global__" in path.read_text()
]


@pytest.fixture(scope="module")
def nvcc() -> str:
    found = shutil.which("nvcc")
    if found is None and cpp_extension.CUDA_HOME is not None:
        found = shutil.which("nvcc", path=str(Path(cpp_extension.CUDA_HOME) / "bin"))
    if found is None:
        pytest.skip("no nvcc")
    return found


def test_there_are_kernels_to_compile() -> None:
    assert {path.name for path in KERNELS} == {"deform_conv2d.cu", "get_patches.cu"}
    assert {"block1.cu", "block2.cu", "deform.cu", "score.cu", "detect.cu", "select.cu", "describe.cu"} < {
        path.name for path in ENGINE
    }


@pytest.mark.parametrize("source", [*KERNELS, *ENGINE], ids=lambda path: path.name)
def test_kernels_compile_alone(nvcc: str, source: Path, tmp_path: Path) -> None:
    listed = subprocess.run([nvcc, "--list-gpu-arch"], check=True, capture_output=True, text=True).stdout
    missing = [arch for arch in ARCHITECTURES if f"compute_{arch}" not in listed]
    assert not missing, f"{nvcc} does not know {missing}; CUDA 11.8 or newer does"
    targets = [flag for arch in ARCHITECTURES for flag in ("-gencode", f"arch=compute_{arch},code=sm_{arch}")]
    target = tmp_path / "kernels.o"
    # Architectures at the same time, and with little optimisation, which takes longest and finds no fault.
    flags = ["-std=c++17", "--threads", "0", "-Xcicc", "-O1", "-Xptxas", "-O0"]
    flags += ["--Werror=all-warnings", "-Wno-deprecated-gpu-targets"]
    done = subprocess.run(
        [nvcc, "-c", *flags, *targets, *INCLUDES, source, "-o", target], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert target.stat().st_size > 0


def test_cuda_binding_compiles(nvcc: str, tmp_path: Path) -> None:
    cuda_headers = headers_of(nvcc)
    torch_headers = [Path(path) for path in cpp_extension.include_paths()]
    if not any((path / "c10/cuda/CUDAStream.h").is_file() for path in torch_headers):
        pytest.skip("this torch comes without its CUDA headers")
    # A torch for the CPU lacks this one header, which its build generates.
    macros = tmp_path / "c10" / "cuda" / "impl" / "cuda_cmake_macros.h"
    macros.parent.mkdir(parents=True)
    macros.write_text("#pragma once\n")
    includes = [*INCLUDES, *(f"-isystem{path}" for path in (*torch_headers, cuda_headers, tmp_path))]
    compiler = [
        os.environ.get("CXX", "c++"),
        f"-std=c++{torch_standard()}",
        "-fsyntax-only",
        "-Wall",
        "-Wextra",
        "-Werror",
    ]
    source = OPS_SOURCES / "csrc" / "bindings_cuda.cpp"
    done = subprocess.run([*compiler, *includes, source], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def headers_of(nvcc: str) -> Path:
    """The folder that nvcc takes cuda_runtime.h from; it may be a script that calls the real one."""
    command = [nvcc, "-M", "-x", "cu", os.devnull]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return next(Path(name).parent for name in listed if name.endswith("/cuda_runtime.h"))


def torch_standard() -> int:
    """The C++ standard of this torch's headers."""
    release = tuple(int(number) for number in re.findall(r"\d+", torch.__version__)[:2])
    return 20 if release >= (2, 10) else 17


def test_kernels_are_free_of_torch() -> None:
    sources = [
        path
        for folder in ("include", "csrc/cuda", "csrc/cuda_engine", "csrc/cpu")
        for path in (OPS_SOURCES / folder).rglob("*.*")
    ]
    assert len(sources) > 8
    for path in sources:
        assert not re.search(r"#include\s*[<\"](torch|ATen|c10)/", path.read_text()), path
