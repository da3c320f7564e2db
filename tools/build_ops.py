# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Compiles custom_ops/: `python -m tools.build_ops` does it in place, and setup.py through the command `BuildOps`.

The engines (tools/build_engine.py) are compiled with them, the CUDA engine where torch has CUDA. Everything runs
without this, more slowly: where torch, a compiler or nvcc is missing, or the compilation fails, one line says so and
the pure-torch implementation is used.
Environment:

* `ALIKED_OPS_REQUIRED=1`: fail instead.
* `ALIKED_NATIVE=1`: use every instruction of this machine's processor; the library may not run on another.
* `TORCH_CUDA_ARCH_LIST`: GPU architectures; else those of the GPUs found, else `DEFAULT_ARCHITECTURES`.
* `CXX`, `CUDA_HOME`, `MAX_JOBS`: as torch.utils.cpp_extension understands them.

Libraries are kept in build/ops/ by a hash of all that goes into them, so that a repeated set-up compiles nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from setuptools import Distribution, Extension  # type: ignore[import-untyped]
from setuptools.command.build_ext import build_ext  # type: ignore[import-untyped]

from tools.build_cuda_engine import DEFAULT_ARCHITECTURES, build_cuda_engine, cuda_engine_sources
from tools.build_engine import build_cpu_engine, engine_sources
from tools.compiling import BuildError

ROOT = Path(__file__).resolve().parents[1]
OPS = ROOT / "custom_ops"
EXTENSION = "aliked_ops._C"

_LOG = logging.getLogger("aliked_ops.build")


class OpsBuildError(RuntimeError):
    """The operators cannot be compiled here; the message says what is missing."""


def ops_extension() -> Extension:
    """Return the extension as setup.py declares it; torch is not needed before it is built."""
    return Extension(
        EXTENSION,
        sources=[str(path.relative_to(ROOT)) for path in sources(with_cuda=True)],
        depends=[str(path.relative_to(ROOT)) for path in (*headers(), *engine_sources(), *cuda_engine_sources())],
        optional=True,
    )


def sources(with_cuda: bool) -> list[Path]:
    """Return the files to compile, absolute."""
    cpu = [OPS / "csrc" / "bindings_cpu.cpp"]
    cuda = [OPS / "csrc" / "bindings_cuda.cpp", *sorted((OPS / "csrc" / "cuda").glob("*.cu"))]
    return cpu + cuda if with_cuda else cpu


def headers() -> list[Path]:
    """Return what the files include, absolute; the CPU engine has its own."""
    patterns = ("include/**/*.h", "csrc/*.h", "csrc/cpu/*.h", "csrc/cuda/*.h", "csrc/cuda/*.cuh")
    return sorted(path for pattern in patterns for path in OPS.glob(pattern))


class BuildOps(build_ext):  # type: ignore[misc]  # setuptools has no types
    """setuptools' `build_ext`, which compiles with torch's flags, or copies what an earlier build left."""

    def build_extension(self, ext: Extension) -> None:
        """Put the compiled operators where setuptools expects them, or say in one line why there are none."""
        if ext.name != EXTENSION:
            super().build_extension(ext)
            return
        self._build_engines()
        try:
            library = obtain_library()
        except OpsBuildError as error:
            if required():
                raise
            _LOG.warning("%s; the slower pure-torch operators will be used", error)
            return
        _install(library, Path(self.get_ext_fullpath(ext.name)))

    def _build_engines(self) -> None:
        """Put the engines, which are no Python extensions, beside the operators."""
        self._build_engine("CPU", obtain_engine)
        self._build_engine("CUDA", obtain_cuda_engine)

    def _build_engine(self, name: str, obtain: Callable[[], Path | None]) -> None:
        try:
            library = obtain()
        except BuildError as error:
            if required():
                raise
            _LOG.warning("%s; the readable network will run in place of the %s engine", error, name)
        else:
            if library is not None:
                _install(library, self._package / library.name)

    @property
    def _package(self) -> Path:
        return Path(self.build_lib) / "aliked_ops"

    def _built_engines(self) -> list[Path]:
        return sorted(self._package.glob("_*_engine.so"))

    def copy_extensions_to_source(self) -> None:
        """Put what was built into the source tree, for editable installs."""
        super().copy_extensions_to_source()
        package = Path(self.get_finalized_command("build_py").get_package_dir("aliked_ops"))
        for engine in self._built_engines():
            _install(engine, package / engine.name)

    def get_outputs(self) -> list[str]:
        """Return the files that were built, of which there are none where compilation was not possible."""
        outputs = [*super().get_outputs(), *([] if self.inplace else map(str, self._built_engines()))]
        return [path for path in outputs if Path(path).is_file()]

    def get_output_mapping(self) -> dict[str, str]:
        """Return built file to file in the source tree, likewise."""
        return {built: kept for built, kept in super().get_output_mapping().items() if Path(built).is_file()}


def required() -> bool:
    """Whether a failure to compile must end the set-up."""
    return _is_set("ALIKED_OPS_REQUIRED")


def _is_set(variable: str) -> bool:
    return os.environ.get(variable, "") not in ("", "0")


@dataclass(frozen=True)
class Recipe:
    """All that determines the library besides the sources."""

    sources: tuple[Path, ...]
    cxx_flags: tuple[str, ...]
    nvcc_flags: tuple[str, ...]
    link_flags: tuple[str, ...]
    architectures: str  # as in TORCH_CUDA_ARCH_LIST; empty without CUDA
    tools: tuple[str, ...]  # versions of torch and of the compilers

    @property
    def with_cuda(self) -> bool:
        """Whether CUDA kernels are among the sources."""
        return bool(self.architectures)

    def key(self) -> str:
        """SHA-256 over the recipe and the contents of all sources and headers."""
        digest = hashlib.sha256(repr((self.cxx_flags, self.nvcc_flags, self.link_flags)).encode())
        digest.update(repr((self.architectures, self.tools)).encode())
        for path in sorted([*self.sources, *headers()]):
            digest.update(f"{path.relative_to(OPS)}\0{path.stat().st_size}\0".encode())
            digest.update(path.read_bytes())
        return digest.hexdigest()


def obtain_library() -> Path:
    """Return the library compiled for this torch, from an earlier build or a new one.

    Raises:
        OpsBuildError: torch or a compiler is missing, or the compilation failed.
    """
    try:
        import torch.version  # noqa: F401  only here: declaring the extension must not need it
    except ImportError as error:
        raise OpsBuildError(
            f"torch is not installed in {sys.prefix}: custom_ops cannot be compiled ({error})"
        ) from error
    if not cuda_usable():
        return _obtain(make_recipe(with_cuda=False))
    try:
        return _obtain(make_recipe(with_cuda=True))
    except OpsBuildError as error:
        if required():
            raise
        _LOG.warning("%s; compiling for the CPU only", error)
        return _obtain(make_recipe(with_cuda=False))


def obtain_engine() -> Path:
    """Return the CPU engine's library, from an earlier build or a new one.

    Raises:
        BuildError: a compiler is missing or refused the sources.
    """
    return build_cpu_engine(_build_directory() / "engine")


def obtain_cuda_engine() -> Path | None:
    """Return the CUDA engine's library, likewise, or ``None`` where torch has no CUDA to run it beside.

    Raises:
        BuildError: the compiler is missing or refused the sources.
    """
    return build_cuda_engine(_build_directory() / "engine") if _torch_has_cuda() else None


def _torch_has_cuda() -> bool:
    try:
        import torch
    except ImportError:
        return False
    return torch.version.cuda is not None


def cuda_usable() -> bool:
    """Whether torch has CUDA and nvcc exists to compile for it."""
    import torch
    from torch.utils.cpp_extension import CUDA_HOME

    if torch.version.cuda is None:
        return False
    if CUDA_HOME is None or not (Path(CUDA_HOME) / "bin" / "nvcc").is_file():
        _LOG.warning("torch has CUDA %s but there is no nvcc (set CUDA_HOME)", torch.version.cuda)
        return False
    return True


def make_recipe(with_cuda: bool) -> Recipe:
    """Collect the flags and versions for this machine.

    Raises:
        OpsBuildError: the C++ compiler does not run.
    """
    import torch
    from torch.utils.cpp_extension import get_cxx_compiler

    optimise = ["-O3", "-g0", *(["-march=native"] if _is_set("ALIKED_NATIVE") else [])]
    find_compiler: Callable[[], str] = get_cxx_compiler
    compiler = find_compiler()
    macros = _compiler_macros(compiler, optimise)
    openmp = _openmp_flags(compiler)
    define = [f"-DALIKED_CUDA_VERSION={torch.version.cuda}"] if with_cuda else []
    tools = [torch.__version__, str(torch._C._GLIBCXX_USE_CXX11_ABI), platform.machine(), macros]
    return Recipe(
        sources=tuple(sources(with_cuda)),
        cxx_flags=(*optimise, *define, *openmp),
        nvcc_flags=("-O3", *define),
        link_flags=tuple(_openmp_library(openmp, is_clang="__clang__" in macros)),
        architectures=_architectures() if with_cuda else "",
        tools=(*tools, str(torch.version.cuda), _nvcc_version()) if with_cuda else tuple(tools),
    )


def _compiler_macros(compiler: str, flags: list[str]) -> str:
    """What the compiler predefines: its version, the processor and its instructions in one text."""
    command = [compiler, *flags, "-dM", "-E", "-x", "c++", os.devnull]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise OpsBuildError(f"the C++ compiler {compiler!r} does not run ({error}); install one or set CXX") from error


def _openmp_flags(compiler: str) -> list[str]:
    """The flag by which torch's sharing of work between threads, which is compiled into its callers, takes effect."""
    command = [compiler, "-fopenmp", "-include", "omp.h", "-fsyntax-only", "-x", "c++", os.devnull]
    if subprocess.run(command, check=False, capture_output=True).returncode == 0:
        return ["-fopenmp"]
    _LOG.warning("%s has no OpenMP (clang needs libomp): the operators will use one thread on a CPU", compiler)
    return []


def _openmp_library(flags: list[str], is_clang: bool) -> list[str]:
    import torch

    # torch's wheels carry their own OpenMP library, at times under a name of its own. With another one beside it
    # there would be two pools of threads, and ours would not know torch's number of threads.
    bundled = sorted((Path(torch.__file__).parent / "lib").glob("libgomp*.so*"))
    return [str(bundled[0])] if flags and bundled and not is_clang else flags


def _architectures() -> str:
    import torch

    chosen = os.environ.get("TORCH_CUDA_ARCH_LIST", "")
    if chosen:
        return chosen
    found = {torch.cuda.get_device_capability(i) for i in range(torch.cuda.device_count())}
    return ";".join(f"{major}.{minor}" for major, minor in sorted(found)) + "+PTX" if found else DEFAULT_ARCHITECTURES


def _nvcc_version() -> str:
    from torch.utils.cpp_extension import CUDA_HOME

    nvcc = Path(str(CUDA_HOME)) / "bin" / "nvcc"
    return subprocess.run([nvcc, "--version"], check=True, capture_output=True, text=True).stdout


def _obtain(recipe: Recipe) -> Path:
    kept = _build_directory() / recipe.key() / "_C.so"
    if kept.is_file():
        _LOG.info("compiled operators: unchanged (%s)", kept)
        return kept
    _LOG.info("compiling the operators for the CPU%s", f" and CUDA {recipe.architectures}" if recipe.with_cuda else "")
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent, prefix="compile-") as scratch:
        _install(_compile(recipe, Path(scratch)), kept)
    return kept


def _build_directory() -> Path:
    """build/ops/ of the source tree, or the user's cache where that is not writable."""
    if os.access(ROOT, os.W_OK):
        return ROOT / "build" / "ops"
    return Path(os.environ.get("XDG_CACHE_HOME", "") or Path.home() / ".cache") / "aliked_ros" / "ops"


def _compile(recipe: Recipe, scratch: Path) -> Path:
    from torch.utils.cpp_extension import BuildExtension, CppExtension, CUDAExtension

    make_extension: Callable[..., Extension] = CUDAExtension if recipe.with_cuda else CppExtension
    extension = make_extension(
        "_C",
        [str(path) for path in recipe.sources],
        include_dirs=[str(OPS / "include"), str(OPS / "csrc")],
        extra_compile_args={"cxx": list(recipe.cxx_flags), "nvcc": list(recipe.nvcc_flags)},
        extra_link_args=list(recipe.link_flags),
        py_limited_api=True,  # the library registers operators with torch and uses nothing of Python
    )
    command = BuildExtension(Distribution({"name": "aliked_ops", "ext_modules": [extension]}))
    command.build_lib = str(scratch / "lib")
    command.build_temp = str(scratch / "temp")
    command.ensure_finalized()
    try:
        with _environment(recipe):
            command.run()
    except Exception as error:  # setuptools, ninja and torch each raise their own
        raise OpsBuildError(f"compiling custom_ops failed: {error}") from error
    return Path(command.get_ext_fullpath("_C"))


@contextlib.contextmanager
def _environment(recipe: Recipe) -> Iterator[None]:
    """Let torch's build find this environment's ninja and the architectures."""
    changes = {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])}
    if recipe.architectures:
        changes["TORCH_CUDA_ARCH_LIST"] = recipe.architectures
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _install(library: Path, target: Path) -> None:
    """Copy, replacing the target in one step: a running process may have the old file mapped."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copyfile(library, partial)
    partial.replace(target)


def main() -> int:
    """Compile in place; 1 and a line when that is not possible."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    target = OPS / "aliked_ops" / f"_C{sysconfig.get_config_var('EXT_SUFFIX')}"
    try:
        for engine in filter(None, (obtain_engine(), obtain_cuda_engine())):
            _install(engine, target.with_name(engine.name))
        _install(obtain_library(), target)
    except (OpsBuildError, BuildError) as error:
        _LOG.error("%s", error)
        return 1
    _LOG.info("compiled operators: %s", target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
