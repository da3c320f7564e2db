# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""How much memory the node holds, here and on its device, and how it gives that back."""

from __future__ import annotations

import ctypes
import gc
import sys

from aliked_ros.bench.peak import own_resident_mb

_MB = 1e6


def release_memory() -> None:
    """Gives back, to the system and to the device, what nobody holds any more; glibc and torch keep it otherwise."""
    if "torch" in sys.modules:  # else the device has nothing of ours
        from aliked_ros.engine import recovery  # imports torch

        recovery.release_memory()
    else:
        gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries lack it
    if trim is not None:
        trim(0)


def memory_values(device: str, engine_bytes: int = 0) -> dict[str, str]:
    """Key-value pairs of /diagnostics, in MB (10⁶ bytes).

    Args:
        device: where the network runs, such as ``cpu`` or ``cuda:0``; empty before it is loaded.
        engine_bytes: what the compiled engine holds there, which torch knows nothing of.
    """
    values = {"rss_mb": own_resident_mb()}
    if device.startswith("cuda"):
        import torch  # has long been loaded by what runs there

        values["cuda_engine_mb"] = engine_bytes / _MB
        values["cuda_allocated_mb"] = torch.cuda.memory_allocated(device) / _MB  # by tensors
        values["cuda_reserved_mb"] = torch.cuda.memory_reserved(device) / _MB  # by torch, with what it keeps for later
    return {name: f"{value:.1f}" for name, value in values.items()}
