# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Builds the CPU engine, a plain shared library without torch, by calling the C++ compiler.

    python -m tools.build_engine

The kernels are compiled once for each instruction set and chosen when the library runs, so one build serves every
processor of an architecture.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "custom_ops" / "csrc" / "engine"
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


class BuildError(RuntimeError):
    """The compiler is missing or refused the sources."""


def build_cpu_engine(output_dir: Path = DESTINATION, compiler: str = "", machine: str = "") -> Path:
    """Build the library into a folder unless it is there from the same sources, flags and compiler.

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
    library = output_dir / LIBRARY
    digest = _digest(command, variants)
    # The library carries the digest of what it was made of.
    if library.is_file() and digest.encode() in library.read_bytes():
        return library
    output_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output_dir, prefix=".engine-") as folder:
        built = Path(folder) / LIBRARY
        objects = _compile_all(command, variants, digest, Path(folder))
        _run([*command, "-shared", "-pthread", "-o", str(built), *map(str, objects)])
        # Renamed into place: a process that runs the old library keeps it.
        built.replace(library)
    return library


def find_compiler() -> list[str]:
    """The command of the C++ compiler."""
    if os.environ.get("CXX"):
        return shlex.split(os.environ["CXX"])
    for name in ("g++", "clang++", "c++"):
        if shutil.which(name):
            return [name]
    raise BuildError("no C++ compiler: install g++ 9 or later, or clang, or set CXX")


def _understands(command: list[str], flags: tuple[str, ...]) -> bool:
    """Whether the compiler knows these flags; an older one leaves the newest instruction sets out."""
    probe = [*command, *flags, "-x", "c++", "-fsyntax-only", os.devnull]
    try:
        return subprocess.run(probe, capture_output=True, check=False).returncode == 0
    except OSError as error:
        raise BuildError(f"{shlex.join(command)}: {error}") from error


def _compile_all(command: list[str], variants: dict[str, tuple[str, ...]], digest: str, folder: Path) -> list[Path]:
    jobs: list[tuple[Path, list[str]]] = []
    available = [*(f"-DALIKED_HAS_{name}" for name in variants), f'-DALIKED_BUILD="{digest}"']
    for source in sorted(SOURCES.glob("*.cpp")):
        target = folder / f"{source.stem}.o"
        jobs.append((target, [*command, *_FLAGS, *available, "-c", str(source), "-o", str(target)]))
    kernels = SOURCES / "kernels" / "variant.cpp"
    for name, flags in variants.items():
        target = folder / f"kernels_{name}.o"
        variant = [*_KERNEL_FLAGS, *flags, f"-DALIKED_VARIANT={name}"]
        jobs.append((target, [*command, *_FLAGS, *variant, "-c", str(kernels), "-o", str(target)]))
    with ThreadPoolExecutor(os.cpu_count() or 1) as executor:
        list(executor.map(_run, [arguments for _, arguments in jobs]))
    return [target for target, _ in jobs]


def _run(arguments: list[str]) -> None:
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildError(f"{shlex.join(arguments)} failed:\n{done.stderr}")


def engine_sources() -> list[Path]:
    """Every file that the library is made of, absolute."""
    return sorted(path for path in SOURCES.rglob("*") if path.is_file())


def _digest(command: list[str], variants: dict[str, tuple[str, ...]]) -> str:
    """SHA-256 of everything that the library is made of."""
    version = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False).stdout
    content = hashlib.sha256(repr((command, version, _FLAGS, _KERNEL_FLAGS, variants)).encode())
    for source in engine_sources():
        content.update(source.relative_to(SOURCES).as_posix().encode() + b"\0" + source.read_bytes())
    return content.hexdigest()


def main() -> int:
    """Build for this machine; the exit status."""
    try:
        print(build_cpu_engine())
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
