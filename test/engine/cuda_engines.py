# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The CUDA engine's library as tests use it: on a device, and in the emulator that stands for one."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from aliked_ops import cuda_engine

from tools.build_cuda_engine import build_emulated_engine

DEVICES = [
    "emulated",
    pytest.param(
        "device",
        marks=[pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")],
    ),
]


@pytest.fixture(scope="session")
def emulated_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library for the emulator, kept from run to run as all that is compiled."""
    return build_emulated_engine(Path(__file__).resolve().parents[2] / "build" / "ops" / "emulated")


@pytest.fixture(scope="module", params=DEVICES)
def cuda_library(request: pytest.FixtureRequest) -> Iterator[ctypes.CDLL]:
    """The library that engines use while a test runs."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "emulated":
            patch.setattr(cuda_engine, "LIBRARY_PATH", request.getfixturevalue("emulated_library"))
        cuda_engine.library.cache_clear()
        yield cuda_engine.library()
    cuda_engine.library.cache_clear()
