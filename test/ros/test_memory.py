# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The memory that /diagnostics shows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aliked_ros.ros.memory import memory_values


def test_the_process_has_its_resident_memory() -> None:
    before_mb = float(memory_values("cpu")["rss_mb"])
    ballast = np.ones(200_000_000, np.uint8)
    after_mb = float(memory_values("")["rss_mb"])
    assert after_mb - before_mb == pytest.approx(len(ballast) / 1e6, abs=20.0)


def test_cuda_memory_is_that_of_the_device_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "memory_allocated", {"cuda:1": 3_000_000}.__getitem__)
    monkeypatch.setattr(torch.cuda, "memory_reserved", {"cuda:1": 8_400_000}.__getitem__)
    values = memory_values("cuda:1")
    assert (values["cuda_allocated_mb"], values["cuda_reserved_mb"]) == ("3.0", "8.4")
    assert set(memory_values("cpu")) == {"rss_mb"}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_memory_grows_with_tensors() -> None:
    before_mb = float(memory_values("cuda:0")["cuda_allocated_mb"])
    ballast = torch.ones(50_000_000, dtype=torch.uint8, device="cuda:0")
    assert float(memory_values("cuda:0")["cuda_allocated_mb"]) - before_mb == pytest.approx(len(ballast) / 1e6, abs=1.0)
