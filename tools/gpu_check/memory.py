# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What one engine takes of the device's memory, in a process that has nothing else there."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import torch

from aliked_ros.bench.frames import fit, load_frames
from aliked_ros.engine.cuda_engine import CudaEngine
from aliked_ros.network.weights import load
from tools.gpu_check.benchmark import LIMITS, SIZE
from tools.gpu_check.rows import Row


def run(options: argparse.Namespace) -> Iterator[Row]:  # noqa: ARG001  every part is called so
    """Beyond the context, by the driver's count, which other processes change, too, and by the engine's."""
    images = [fit(frame, SIZE) for frame in load_frames()[1][:4]]
    torch.zeros(1, device="cuda")
    torch.cuda.synchronize()  # the context is there
    before = torch.cuda.mem_get_info()[0]
    engine = CudaEngine(load("aliked-n16"), "fp16")
    for image in images:
        engine.extract(image, LIMITS)
    taken = (before - torch.cuda.mem_get_info()[0]) / 2**20
    note = f"{engine.memory_bytes / 2**20:.0f} MiB of it allocated by the engine, the rest for its kernels"
    yield Row("memory", "aliked-n16 fp16, device memory", value=taken, unit="MiB", target=200.0, note=note)
