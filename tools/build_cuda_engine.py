# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Builds the CUDA engine: a plain shared library without torch, for the GPUs found or those asked for.

`TORCH_CUDA_ARCH_LIST` names architectures as torch understands it ("8.7", "8.6;9.0+PTX"); without it the GPUs of this
machine decide, and without any of those `DEFAULT_ARCHITECTURES`. The C++ compiler can build the same sources to run in
an emulator of CUDA on a processor, which is for tests.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tools.compiling import BuildError, Compilation, build_library, digest_of, find_compiler, run

ROOT = Path(__file__).resolve().parents[1]
OPS = ROOT / "custom_ops"
SOURCES = OPS / "csrc" / "cuda_engine"
LIBRARY = "_cuda_engine.so"
EMULATED_LIBRARY = "_cuda_engine_emulated.so"
DEFAULT_ARCHITECTURES = "7.5;8.0;8.6;8.7;8.9;9.0+PTX"

_FLAGS = ("-std=c++17", "-O3", "-cudart", "static", "-Xcompiler", "-fPIC,-fvisibility=hidden")
_EMULATED_FLAGS = (
    *("-std=c++17", "-O2", "-march=native", "-ffp-contract=off", "-fPIC", "-fvisibility=hidden", "-pthread"),
    # A device faults on addresses that are not aligned to what is read there.
    *("-fsanitize=alignment", "-fsanitize-undefined-trap-on-error"),
    *("-fno-strict-aliasing", "-Wno-unknown-pragmas", "-DALIKED_EMULATE", f"-I{OPS / 'emulator'}"),
)


def build_cuda_engine(output_dir: Path, architectures: str = "") -> Path:
    """Build the CUDA engine into a folder unless it is there from the same sources, flags and compiler.

    Args:
        output_dir: where the library goes.
        architectures: as in TORCH_CUDA_ARCH_LIST; empty for what that says, or for the GPUs found.

    Raises:
        BuildError: there is no nvcc, an architecture is unknown, or the compilation failed.
    """
    nvcc = find_nvcc()
    flags = (*_FLAGS, *architecture_flags(architectures or chosen_architectures()))
    digest = digest_of((nvcc, run([nvcc, "--version"]), flags), cuda_engine_sources(), OPS)

    def compilations(folder: Path) -> list[Compilation]:
        return _compilations([nvcc, *flags, f'-DALIKED_BUILD="{digest}"'], folder)

    def link(built: Path, objects: Sequence[Path]) -> list[str]:
        return [nvcc, "-shared", "-cudart", "static", "-o", str(built), *map(str, objects)]

    return build_library(output_dir / LIBRARY, digest, compilations, link)


def build_emulated_engine(output_dir: Path) -> Path:
    """Build the CUDA engine for the emulator into a folder, likewise.

    Raises:
        BuildError: there is no compiler, or the compilation failed.
    """
    command = [*find_compiler(), *_EMULATED_FLAGS]
    sources = [*cuda_engine_sources(), *sorted((OPS / "emulator").glob("*.h"))]
    digest = digest_of((command, run([command[0], "--version"])), sources, OPS)

    def compilations(folder: Path) -> list[Compilation]:
        return _compilations([*command, f'-DALIKED_BUILD="{digest}"', "-x", "c++"], folder)

    def link(built: Path, objects: Sequence[Path]) -> list[str]:
        return [command[0], "-shared", "-pthread", "-o", str(built), *map(str, objects)]

    return build_library(output_dir / EMULATED_LIBRARY, digest, compilations, link)


def _compilations(command: Sequence[str], folder: Path) -> list[Compilation]:
    jobs = [(folder / f"{source.stem}.o", source) for source in sorted(SOURCES.glob("*.cu"))]
    return [(target, [*command, "-c", str(source), "-o", str(target)]) for target, source in jobs]


def cuda_engine_sources() -> list[Path]:
    """Every file that the library is made of, absolute."""
    return [*sorted(SOURCES.iterdir()), OPS / "csrc" / "checkpoint.h"]


def find_nvcc() -> str:
    """The command of CUDA's compiler: below $CUDA_HOME, on the path, or in /usr/local/cuda.

    Raises:
        BuildError: there is none.
    """
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH") or "/usr/local/cuda"
    candidates = (shutil.which("nvcc", path=str(Path(home) / "bin")), shutil.which("nvcc"))
    for found in candidates:
        if found:
            return found
    raise BuildError("no nvcc: install the CUDA toolkit (12 or later) or set CUDA_HOME")


def chosen_architectures() -> str:
    """The architectures asked for, or else of the GPUs found, or else those we name."""
    asked = os.environ.get("TORCH_CUDA_ARCH_LIST", "")
    if asked:
        return asked
    command = ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        listed = []
    found = sorted({name for name in listed if re.fullmatch(r"\d+\.\d", name)}) or _by_torch()
    return ";".join(found) if found else DEFAULT_ARCHITECTURES


def _by_torch() -> list[str]:
    """The GPUs that torch sees; a Jetson of old has no nvidia-smi that answers."""
    try:
        import torch
    except ImportError:
        return []
    capabilities = {torch.cuda.get_device_capability(i) for i in range(torch.cuda.device_count())}
    return [f"{major}.{minor}" for major, minor in sorted(capabilities)]


def architecture_flags(architectures: str) -> list[str]:
    """The compiler's flags for a list like "8.6;9.0+PTX".

    Raises:
        BuildError: a name is not understood.
    """
    flags: list[str] = []
    for name in re.split(r"[;\s,]+", architectures.strip()):
        understood = re.fullmatch(r"(\d+)\.(\d)(a?)(\+PTX)?", name)
        if understood is None:
            raise BuildError(f"TORCH_CUDA_ARCH_LIST: {name!r} is not understood; write names like 8.7 or 9.0+PTX")
        number = "".join(understood.group(1, 2, 3))
        flags += ["-gencode", f"arch=compute_{number},code=sm_{number}"]
        if understood.group(4):
            flags += ["-gencode", f"arch=compute_{number},code=compute_{number}"]
    return flags
