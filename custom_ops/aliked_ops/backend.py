# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Find and load the compiled operators, or say why the references run instead."""

from __future__ import annotations

import os
import re
import struct
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from aliked_ops import registration

ENVIRONMENT_VARIABLE = "ALIKED_OPS"
_BUILD_HINT = "build the operators with `python -m tools.build_ops`"
# Written into the library by csrc/bindings_cpu.cpp; read before loading, since a library made for another torch can
# crash the process instead of failing to load.
_STAMP = re.compile(rb"aliked_ops built for torch=([^\s\0]+) cuda=([^\s\0]+)\0")


@dataclass(frozen=True)
class Backend:
    """Which implementation of the operators runs in this process."""

    cpu: bool  # compiled kernels are used for CPU tensors
    cuda: bool  # compiled kernels are used for CUDA tensors
    library: Path | None  # the loaded library; None when none is
    reason: str  # why the reference runs where it does; "" when compiled kernels run everywhere

    def compiled_for(self, device: torch.device | str) -> bool:
        """Whether tensors on this device meet compiled kernels."""
        kind = torch.device(device).type
        return (kind == "cpu" and self.cpu) or (kind == "cuda" and self.cuda)

    def name_for(self, device: torch.device | str) -> str:
        """`compiled` or `reference`, for reports."""
        return "compiled" if self.compiled_for(device) else "reference"


def backend() -> Backend:
    """Return which implementation runs, from which library, and if not the compiled one, why."""
    return _BACKEND


def _reference(reason: str) -> Backend:
    return Backend(cpu=False, cuda=False, library=None, reason=reason)


def load(directory: Path) -> Backend:
    """Load the library in this directory that fits this torch; never raises for one that does not.

    Raises:
        ValueError: the environment variable ALIKED_OPS is neither unset, `auto` nor `reference`.
    """
    choice = os.environ.get(ENVIRONMENT_VARIABLE, "") or "auto"
    if choice not in ("auto", "reference"):
        raise ValueError(f"{ENVIRONMENT_VARIABLE} must be 'auto' or 'reference', got {choice!r}")
    if choice == "reference":
        return _reference(f"{ENVIRONMENT_VARIABLE}=reference is set")
    # This interpreter's own name first: several environments may build in one source tree.
    own = directory / f"_C{sysconfig.get_config_var('EXT_SUFFIX')}"
    candidates = sorted(directory.glob("_C*.so"), key=lambda path: (path != own, path.name))
    if not candidates:
        return _reference(f"no compiled library in {directory}; {_BUILD_HINT}")
    refusals = []
    for path in candidates:
        refusal = _refusal(path) or _load_error(path)
        if not refusal:
            return _loaded(path)
        refusals.append(f"{path}: {refusal}")
    return _reference("; ".join([*refusals, _BUILD_HINT]))


def _refusal(path: Path) -> str:
    """Why the library cannot belong to this torch; "" if it may."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return f"cannot be read: {error}"
    stamp = _STAMP.search(content)
    if stamp is None:
        return "is not a library of these operators"
    if _is_cut_off(content):
        return "is cut off"
    built_for, built_cuda = (text.decode() for text in stamp.groups())
    if built_for != _release(torch.__version__):
        return f"was built for torch {built_for}, this is {torch.__version__}"
    if built_cuda not in ("none", torch.version.cuda):
        return f"was built for CUDA {built_cuda}, this torch has {torch.version.cuda or 'none'}"
    return ""


def _is_cut_off(content: bytes) -> bool:
    """Whether a 64-bit ELF file ends before its section table, which comes last: loading it would be a bus error."""
    if not content.startswith(b"\x7fELF\x02"):
        return False
    order = "<" if content[5] == 1 else ">"
    (table_offset,) = struct.unpack_from(f"{order}Q", content, 0x28)
    entry_size, entries = struct.unpack_from(f"{order}HH", content, 0x3A)
    return bool(table_offset + entry_size * entries > len(content))


def _release(version: str) -> str:
    found = re.match(r"\d+\.\d+\.\d+", version)
    return found.group() if found else version


def _load_error(path: Path) -> str:
    try:
        load_library: Callable[[str], None] = torch.ops.load_library
        load_library(str(path))
    except (OSError, RuntimeError) as error:
        return f"does not load: {error}"
    return ""


def _loaded(path: Path) -> Backend:
    registration.register()
    cuda = bool(torch._C._dispatch_has_kernel_for_dispatch_key("aliked_ops::get_patches", "CUDA"))
    without_cuda = f"{path} was built without CUDA kernels; CUDA tensors use the reference"
    wants_cuda = torch.version.cuda is not None
    return Backend(cpu=True, cuda=cuda, library=path, reason=without_cuda if wants_cuda and not cuda else "")


_BACKEND = load(Path(__file__).parent)
