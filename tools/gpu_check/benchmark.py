# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Times of the CUDA engine and of the readable network, on the same images in one process."""

from __future__ import annotations

import argparse
import importlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from unittest import mock

import numpy as np
import torch

from aliked_ros.bench.frames import fit, load_frames
from aliked_ros.engine.base import Image
from aliked_ros.engine.cuda_engine import CudaEngine
from aliked_ros.engine.torch_engine import TorchEngine
from aliked_ros.frontend.config import MODEL_NAMES
from aliked_ros.network import layers
from aliked_ros.network.selection import Selection
from aliked_ros.network.weights import load, load_network
from tools.gpu_check.rows import Row, figure, not_run

SIZE, LARGE = (640, 480), (1920, 1080)
LIMITS = Selection(1000, 0.0)
NUM_IMAGES = 8  # in rotation
TARGETS_MS = {"aliked-n16": 0.40, "aliked-t16": 0.25, "aliked-n32": 0.45}
_PART = "benchmark"


def run(options: argparse.Namespace) -> Iterator[Row]:
    """All figures: ours first, which are what the check is for."""
    name, frames = load_frames()
    images = [fit(frame, SIZE) for frame in frames[:NUM_IMAGES]]
    replays = 300 if options.quick else 2000
    print(f"images: {name}", flush=True)
    engine = CudaEngine(load("aliked-n16"), "fp16")
    # Clocks rise under load; the figures are those of a device that works.
    engine.device_times_ms(images, LIMITS, 2000)
    alone = engine.device_times_ms(images, LIMITS, replays)
    yield figure(_PART, "aliked-n16 fp16, device to device", alone, target=TARGETS_MS["aliked-n16"])
    yield from readable_rows(images, 20 if options.quick else 60, float(np.median(alone)))
    for model in MODEL_NAMES:
        if model != "aliked-n16":
            times = CudaEngine(load(model), "fp16").device_times_ms(images, LIMITS, replays)
            yield figure(_PART, f"{model} fp16, device to device", times, target=TARGETS_MS.get(model))
    yield figure(_PART, "aliked-n16 fp16, host uint8 to host Features", host_times(engine, images, False), target=0.9)
    yield figure(_PART, "the same and matching to the image before", host_times(engine, images, True))
    matched = engine.device_times_ms(images, LIMITS, replays, match=True)
    yield figure(_PART, "aliked-n16 fp16, extraction and matching, device to device", matched, target=0.55)
    for count, target in ((2, 1.5), (4, None)):
        yield from batch_rows(engine, images, replays, float(np.median(alone)), count, target)
    large = [fit(frame, LARGE) for frame in frames[:4]]
    times = engine.device_times_ms(large, LIMITS, replays // 4)
    yield figure(_PART, "aliked-n16 fp16, 1920×1080, device to device", times, target=1.6)
    for precision in ("fp32", "bf16"):
        yield other_precision(precision, images, replays // 2)
    for stage, ms in engine.stage_ms(images[0], LIMITS, 100).items():
        yield Row("stages", f"aliked-n16 fp16 {stage}", value=1e3 * ms, unit="µs")


def readable_rows(images: Sequence[Image], rounds: int, ours_ms: float) -> Iterator[Row]:
    """The readable network in eager torch, in float32, with our operators and with torchvision's, against ours."""
    network = load_network(load("aliked-n16")).to("cuda").requires_grad_(False)
    tensors = as_tensors(images)
    name = "readable network, eager, float32"

    def extract(tensor: Any) -> Any:
        return network.extract(tensor, LIMITS)

    readable = figure(_PART, name, event_times(extract, tensors, rounds))
    yield readable
    ratio = (readable.value or float("nan")) / ours_ms
    yield Row(_PART, "aliked-n16 fp16 against the readable network in float32", value=ratio, unit="times",
              target=12.0, at_least=True)  # fmt: skip
    half = load_network(load("aliked-n16")).to("cuda").requires_grad_(False)
    half.lower_encoder(torch.float16)
    yield figure(_PART, "the same with the encoder in float16",
                 event_times(lambda tensor: half.extract(tensor, LIMITS), tensors, rounds))  # fmt: skip
    other = f"{name}, torchvision's deform_conv2d"
    try:
        replacement = importlib.import_module("torchvision.ops").deform_conv2d
    except (ImportError, RuntimeError) as error:  # the latter where it was built for another torch
        yield not_run(_PART, other, str(error))
    else:
        with mock.patch.object(layers, "deform_conv2d", replacement):
            yield figure(_PART, other, event_times(extract, tensors, rounds))
    host = TorchEngine(load("aliked-n16"), torch.device("cuda"), "fp32")
    yield figure(_PART, "readable network, host uint8 to host Features", host_times(host, images, False, rounds))


def as_tensors(images: Sequence[Image]) -> list[Any]:
    """(1, 3, H, W) float32 in [0, 1] on the device."""
    return [torch.from_numpy(image).cuda().permute(2, 0, 1)[None].float() / 255.0 for image in images]


def event_times(call: Callable[[Any], Any], inputs: Sequence[Any], rounds: int) -> list[float]:
    """Milliseconds of calls on inputs in rotation, by CUDA's events."""
    times = []
    with torch.inference_mode():
        for i in range(-10, rounds):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
            start.record()
            call(inputs[i % len(inputs)])
            end.record()
            end.synchronize()
            if i >= 0:
                times.append(start.elapsed_time(end))
    return times


def host_times(engine: Any, images: Sequence[Image], with_match: bool, rounds: int = 300) -> list[float]:
    """Milliseconds from an image in the host's memory to Features there, by the wall clock."""
    times, previous = [], None
    for i in range(-20, rounds):
        start = time.perf_counter()
        features = engine.extract(images[i % len(images)], LIMITS, previous)
        if i >= 0:
            times.append(1e3 * (time.perf_counter() - start))
        previous = features if with_match else None
    return times


def batch_rows(
    engine: CudaEngine, images: Sequence[Image], replays: int, alone_ms: float, count: int, target: float | None
) -> list[Row]:
    """Several images at once, as so many cameras give them."""
    together = engine.device_times_ms(images, LIMITS, replays, batch=count)
    ratio = float(np.median(together)) / alone_ms
    return [
        figure(_PART, f"aliked-n16 fp16, {count} images together, device to device", together),
        Row(_PART, f"{count} images together against one", value=ratio, unit="times", target=target),
    ]


def other_precision(precision: str, images: Sequence[Image], replays: int) -> Row:
    """aliked-n16 in another precision, where the device has it."""
    name = f"aliked-n16 {precision}, device to device"
    try:
        engine = CudaEngine(load("aliked-n16"), precision)
    except RuntimeError as error:
        return not_run(_PART, name, str(error))
    return figure(_PART, name, engine.device_times_ms(images, LIMITS, replays))
