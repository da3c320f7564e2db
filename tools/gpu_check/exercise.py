# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Runs every CUDA operator and every kernel of the CUDA engine, on small inputs, for tools that watch them."""

from __future__ import annotations

import sys

import numpy as np
import torch
from aliked_ops import deform_conv2d, get_patches

from aliked_ros.engine.cuda_engine import CudaEngine
from aliked_ros.network.selection import Grid, Selection
from aliked_ros.network.weights import load
from tools.gpu_check.device import precisions

DEVICE = "cuda"


def exercise_operators() -> None:
    """Forward and backward, in each type that has kernels."""
    torch.manual_seed(0)
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        feature_map = torch.randn((2, 5, 11, 13), device=DEVICE, dtype=dtype, requires_grad=True)
        offset = torch.randn((2, 18, 11, 13), device=DEVICE, dtype=dtype, requires_grad=True)
        weight = torch.randn((4, 5, 3, 3), device=DEVICE, dtype=dtype, requires_grad=True)
        moved = deform_conv2d(feature_map, offset, weight, padding=1)
        torch.autograd.backward(moved.float().sum())
        points = torch.tensor([[0, 0], [12, 10], [-3, 40], [6, 5]], device=DEVICE)
        torch.autograd.backward(get_patches(feature_map[0], points, 3).float().sum())
        torch.cuda.synchronize()
        print(f"exercised operators in {dtype}", flush=True)


def exercise_engine(model: str, precision: str) -> None:
    """With and without a mask, a grid and matching, alone and in a batch; the first time is no graph, the second is."""
    engine = CudaEngine(load(model), precision)
    rng = np.random.default_rng(3)
    images = [rng.integers(0, 256, (101, 150, 3), np.uint8) for _ in range(2)]
    mask = rng.random((101, 150)) > 0.5
    limits = (Selection(200, 0.0), Selection(200, 0.0, Grid(3, 4, 9)), Selection(200, 0.05, mask=mask))
    previous = None
    for selection in (*limits, *limits):
        previous = engine.extract(images[0], selection, previous)
        engine.extract_batch(images, [selection, limits[0]])
    engine.extract(np.full((64, 96), 90, np.uint8), limits[0])
    engine.score_map(images[0])
    print(f"exercised {model} in {precision}: {len(previous or ())} features", flush=True)


def exercise_selection() -> None:
    """Far more candidates than are wanted: of all scores, and of equal ones, which the cut has to tell apart."""
    engine = CudaEngine(load("aliked-t16"), "fp16")
    rng = np.random.default_rng(4)
    noise = rng.integers(0, 256, (256, 352, 3), np.uint8)
    tiles = np.tile(rng.integers(0, 256, (32, 32, 3), np.uint8), (8, 11, 1))
    for image in (noise, tiles):
        found = [len(engine.extract(image, Selection(count, 0.0))) for count in (10, 10, 100)]
        print(f"exercised selection: {found} features", flush=True)


def main(tool: str) -> None:
    """Whatever a tool can watch in a minute."""
    exercise_selection()
    models = ["aliked-t16"] if tool == "racecheck" else ["aliked-t16", "aliked-n16", "aliked-n32"]
    for model, precision in zip(models, ("fp16", "bf16", "fp32"), strict=False):
        if precision in precisions():
            exercise_engine(model, precision)
    if tool == "racecheck":
        return
    exercise_engine("aliked-n16", "fp16")
    exercise_operators()


if __name__ == "__main__":
    main(*sys.argv[1:])
