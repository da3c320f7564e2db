# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Builds the engines, plain shared libraries without torch, by calling the compilers.

    python -m tools.build_engine           # for the CPU: every processor of this machine's architecture
    python -m tools.build_engine --cuda    # for the CPU and for CUDA; needs nvcc

The CPU engine's kernels are compiled once for each instruction set and chosen when the library runs.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.build_cuda_engine import build_cuda_engine
from tools.compiling import BuildError, Compilation, build_library, digest_of, find_compiler, run

ROOT = Path(__file__).resolve().parents[1]
CSRC = ROOT / "custom_ops" / "csrc"
SOURCES = CSRC / "engine"
DESTINATION = ROOT / "custom_ops" / "aliked_ops"
LIBRARY = "_cpu_engine.so"

_FLAGS = ("-std=c++17", "-O3", "-fPIC", "-fvisibility=hidden", "-pthread", "-Wall", "-Wextra")
# Products and sums may contract to fused multiply-adds; nothing else of -ffast-math. GCC's AVX-512 intrinsics warn of
# their own undefined vectors (GCC bug 105593).
_KERNEL_FLAGS = ("-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-Wno-maybe-uninitialized")
_AVX2 = ("-mavx2", "-mfma")
_AVX512 = (*_AVX2, "-mavx512f", "-mavx512vl", "-mavx512bw", "-mavx512dq")
VARIANTS: dict[str, dict[str, tuple[str, ...]]] = {
    "x86_64": {"baseline": (), "avx2": _AVX2, "avx512": _AVX512, "avx512bf16": (*_AVX512, "-mavx512bf16")},
}


def build_cpu_engine(output_dir: Path = DESTINATION, compiler: str = "", machine: str = "") -> Path:
    """Build the CPU engine into a folder unless it is there from the same sources, flags and compiler.

    Args:
        output_dir: where the library goes.
        compiler: command of the C++ compiler; empty for $CXX, g++ or clang++, whichever is found first.
        machine: architecture to build for, as the compiler's; empty for this machine's.

    Raises:
        BuildError: there is no compiler, or it failed.
    """
    command = shlex.split(compiler) or find_compiler()
    possible = VARIANTS.get(machine or platform.machine(), {"baseline": ()})
    variants = {name: flags for name, flags in possible.items() if _understands(command, flags)}
    parts = (command, run([*command, "--version"]), _FLAGS, _KERNEL_FLAGS, variants)
    digest = digest_of(parts, engine_sources(), CSRC)
    return build_library(
        output_dir / LIBRARY,
        digest,
        lambda folder: _compilations(command, variants, digest, folder),
        lambda built, objects: [*command, "-shared", "-pthread", "-o", str(built), *map(str, objects)],
    )


def _understands(command: list[str], flags: tuple[str, ...]) -> bool:
    """Whether the compiler knows these flags; an older one leaves the newest instruction sets out."""
    probe = [*command, *flags, "-x", "c++", "-fsyntax-only", os.devnull]
    try:
        return subprocess.run(probe, capture_output=True, check=False).returncode == 0
    except OSError as error:
        raise BuildError(f"{shlex.join(command)}: {error}") from error


def _compilations(
    command: list[str], variants: dict[str, tuple[str, ...]], digest: str, folder: Path
) -> list[Compilation]:
    jobs: list[Compilation] = []
    available = [*(f"-DALIKED_HAS_{name}" for name in variants), f'-DALIKED_BUILD="{digest}"']
    for source in sorted(SOURCES.glob("*.cpp")):
        target = folder / f"{source.stem}.o"
        jobs.append((target, [*command, *_FLAGS, *available, "-c", str(source), "-o", str(target)]))
    kernels = SOURCES / "kernels" / "variant.cpp"
    for name, flags in variants.items():
        target = folder / f"kernels_{name}.o"
        variant = [*_KERNEL_FLAGS, *flags, f"-DALIKED_VARIANT={name}"]
        jobs.append((target, [*command, *_FLAGS, *variant, "-c", str(kernels), "-o", str(target)]))
    return jobs


def engine_sources() -> list[Path]:
    """Every file that the CPU engine is made of, absolute."""
    return [*sorted(path for path in SOURCES.rglob("*") if path.is_file()), CSRC / "checkpoint.h"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Build for this machine; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.build_engine", description="builds the compiled engines")
    parser.add_argument("--cuda", action="store_true", help="also for CUDA, with nvcc; see TORCH_CUDA_ARCH_LIST")
    options = parser.parse_args(arguments)
    try:
        print(build_cpu_engine())
        if options.cuda:
            print(build_cuda_engine(DESTINATION))
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
