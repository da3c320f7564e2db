# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Times of the CUDA engine and of the readable network, on the same images in one process."""

from __future__ import annotations

import argparse
import importlib
import time
from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

import numpy as np
import torch

from aliked_ros.bench.frames import fit, load_frames
from aliked_ros.engine.base import Image
from aliked_ros.engine.cuda_engine import CudaEngine
from aliked_ros.engine.torch_engine import TorchEngine
from aliked_ros.network import layers
from aliked_ros.network.selection import Selection
from aliked_ros.network.weights import load, load_network
from tools.gpu_check.rows import Row, figure, not_run

SIZE, LARGE = (640, 480), (1920, 1080)
LIMITS = Selection(1000, 0.0)
NUM_IMAGES = 8  # in rotation
_PART = "benchmark"


def run(options: argparse.Namespace) -> list[Row]:
    """All figures, the slowest first."""
    name, frames = load_frames()
    images = [fit(frame, SIZE) for frame in frames[:NUM_IMAGES]]
    replays = 300 if options.quick else 2000
    print(f"images: {name}", flush=True)
    engines = {model: CudaEngine(load(model), "fp16") for model in ("aliked-n16", "aliked-t16", "aliked-n32")}
    # Clocks rise under load; the figures are those of a device that works.
    engines["aliked-n16"].device_times_ms(images, LIMITS, 2000)
    rows = readable_rows(images, 20 if options.quick else 60)
    readable = rows[0].value or float("nan")
    times = {model: engine.device_times_ms(images, LIMITS, replays) for model, engine in engines.items()}
    targets = {"aliked-n16": 0.40, "aliked-t16": 0.25, "aliked-n32": 0.45}
    rows += [figure(_PART, f"{model} fp16, device to device", times[model], target=targets[model]) for model in engines]
    ratio = readable / float(np.median(times["aliked-n16"]))
    rows.append(
        Row(
            _PART,
            "aliked-n16 fp16 against the readable network in float32",
            value=ratio,
            unit="times",
            target=12.0,
            at_least=True,
        )
    )
    engine = engines["aliked-n16"]
    rows.append(figure(_PART, "aliked-n16 fp16, host uint8 to host Features", host_times(engine, images, False),
                       target=0.9))  # fmt: skip
    rows.append(figure(_PART, "the same and matching to the image before", host_times(engine, images, True)))
    matched = engine.device_times_ms(images, LIMITS, replays, match=True)
    rows.append(figure(_PART, "aliked-n16 fp16, extraction and matching, device to device", matched, target=0.55))
    rows += batch_rows(engine, images, replays, times["aliked-n16"])
    large = [fit(frame, LARGE) for frame in frames[:4]]
    rows.append(figure(_PART, "aliked-n16 fp16, 1920×1080, device to device",
                       engine.device_times_ms(large, LIMITS, replays // 4), target=1.6))  # fmt: skip
    for precision in ("fp32", "bf16"):
        rows.append(other_precision(precision, images, replays // 2))
    rows.append(memory_row(images))
    stages = engine.stage_ms(images[0], LIMITS, 100)
    rows += [Row("stages", f"aliked-n16 fp16 {stage}", value=1e3 * ms, unit="µs") for stage, ms in stages.items()]
    return rows


def readable_rows(images: Sequence[Image], rounds: int) -> list[Row]:
    """The readable network in eager torch, in float32, with our operators and with torchvision's."""
    network = load_network(load("aliked-n16")).to("cuda").requires_grad_(False)
    tensors = as_tensors(images)
    name = "readable network, eager, float32"

    def extract(tensor: Any) -> Any:
        return network.extract(tensor, LIMITS)

    rows = [figure(_PART, name, event_times(extract, tensors, rounds))]
    half = load_network(load("aliked-n16")).to("cuda").requires_grad_(False)
    half.lower_encoder(torch.float16)
    rows.append(figure(_PART, "the same with the encoder in float16",
                       event_times(lambda tensor: half.extract(tensor, LIMITS), tensors, rounds)))  # fmt: skip
    other = f"{name}, torchvision's deform_conv2d"
    try:
        replacement = importlib.import_module("torchvision.ops").deform_conv2d
    except ImportError as error:
        rows.append(not_run(_PART, other, str(error)))
    else:
        with mock.patch.object(layers, "deform_conv2d", replacement):
            rows.append(figure(_PART, other, event_times(extract, tensors, rounds)))
    host = TorchEngine(load("aliked-n16"), torch.device("cuda"), "fp32")
    rows.append(figure(_PART, "readable network, host uint8 to host Features", host_times(host, images, False, rounds)))
    return rows


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


def batch_rows(engine: CudaEngine, images: Sequence[Image], replays: int, alone: np.ndarray) -> list[Row]:
    """Two images at once: as a stereo camera gives them."""
    together = engine.device_times_ms(images, LIMITS, replays, batch=2)
    ratio = float(np.median(together) / np.median(alone))
    return [
        figure(_PART, "aliked-n16 fp16, two images together, device to device", together),
        Row(_PART, "two images together against one", value=ratio, unit="times", target=1.5),
    ]


def other_precision(precision: str, images: Sequence[Image], replays: int) -> Row:
    """aliked-n16 in another precision, where the device has it."""
    name = f"aliked-n16 {precision}, device to device"
    try:
        engine = CudaEngine(load("aliked-n16"), precision)
    except RuntimeError as error:
        return not_run(_PART, name, str(error))
    return figure(_PART, name, engine.device_times_ms(images, LIMITS, replays))


def memory_row(images: Sequence[Image]) -> Row:
    """What an engine takes of the device's memory, beyond the context that is there already."""
    torch.cuda.synchronize()
    before = torch.cuda.mem_get_info()[0]
    engine = CudaEngine(load("aliked-n16"), "fp16")
    for image in images[:4]:
        engine.extract(image, LIMITS)
    taken = (before - torch.cuda.mem_get_info()[0]) / 2**20
    note = f"{engine.memory_bytes / 2**20:.0f} MiB of it allocated by the engine"
    return Row(_PART, "aliked-n16 fp16, device memory", value=taken, unit="MiB", target=200.0, note=note)
