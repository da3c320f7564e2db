# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The memory that /diagnostics shows, and that goes back to the system."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest
import torch

from aliked_ros.ros.memory import memory_values, release_memory

# In a process of its own: a heap that others have used may hold as much already, which then counts before and after.
HOLD = """
from aliked_ros.ros.memory import memory_values

before = float(memory_values("cpu")["rss_mb"])
ballast = b"x" * 200_000_000
print(float(memory_values("")["rss_mb"]) - before)
"""

# Blocks that are small enough to come from the heap, and one behind them, which keeps it from shrinking by itself.
FREE_AND_RELEASE = """
from aliked_ros.bench.peak import own_resident_mb
from aliked_ros.ros.memory import release_memory

blocks = [bytearray(60_000) for _ in range(2000)]
last = bytearray(60_000)
del blocks
before = own_resident_mb()
release_memory()
print(before - own_resident_mb())
"""


def test_the_process_has_its_resident_memory() -> None:
    assert printed_number(HOLD) == pytest.approx(200.0, abs=20.0)


def test_cuda_memory_is_that_of_the_device_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "memory_allocated", {"cuda:1": 3_000_000}.__getitem__)
    monkeypatch.setattr(torch.cuda, "memory_reserved", {"cuda:1": 8_400_000}.__getitem__)
    values = memory_values("cuda:1", 120_000_000)
    assert (values["cuda_allocated_mb"], values["cuda_reserved_mb"]) == ("3.0", "8.4")
    assert values["cuda_engine_mb"] == "120.0"
    assert set(memory_values("cpu")) == {"rss_mb"}


def test_a_lost_device_has_nothing_to_give_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "empty_cache", lost)
    release_memory()


def lost() -> None:
    raise RuntimeError("CUDA error: unspecified launch failure")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_memory_grows_with_tensors() -> None:
    before_mb = float(memory_values("cuda:0")["cuda_allocated_mb"])
    ballast = torch.ones(50_000_000, dtype=torch.uint8, device="cuda:0")
    assert float(memory_values("cuda:0")["cuda_allocated_mb"]) - before_mb == pytest.approx(len(ballast) / 1e6, abs=1.0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_what_no_tensor_holds_goes_back_to_the_device() -> None:
    ballast = torch.ones(50_000_000, dtype=torch.uint8, device="cuda:0")
    reserved_mb = float(memory_values("cuda:0")["cuda_reserved_mb"])
    del ballast
    release_memory()
    assert reserved_mb - float(memory_values("cuda:0")["cuda_reserved_mb"]) > 40


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be asked for it")
def test_what_was_freed_goes_back_to_the_system() -> None:
    assert printed_number(FREE_AND_RELEASE) > 100


def printed_number(program: str) -> float:
    """What a program prints, run by a Python of its own."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return float(done.stdout)
