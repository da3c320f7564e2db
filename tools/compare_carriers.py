# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Times the encoder's first two blocks on a CPU in the C++ engine, through torch and in OpenVINO.

``python -m tools.compare_carriers [--rounds N] [--threads N]``. All take the same frames in turn and get folded
normalisation, channels last and their own best layout; OpenVINO takes part where ``pip install openvino`` has been run.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn.functional import avg_pool2d
from torch.nn.utils.fusion import fuse_conv_bn_eval
from tqdm import tqdm

from aliked_ros.bench.frames import load_frames
from aliked_ros.bench.statistics import Spread
from aliked_ros.engine.base import Image
from aliked_ros.engine.cpu_engine import CpuEngine
from aliked_ros.network import weights
from aliked_ros.network.model import ALIKED
from aliked_ros.network.selection import Selection

MODEL = "aliked-n16"
Step = Callable[[Image], float]  # an image to milliseconds


class FirstBlocks(torch.nn.Module):
    """Block 1, pooling and block 2 of the network, with its normalisation folded into its convolutions."""

    def __init__(self, network: ALIKED) -> None:
        super().__init__()
        self.block1, self.block2 = copy.deepcopy(network.block1), copy.deepcopy(network.block2)
        for block in (self.block1, self.block2):
            for conv, norm in (("conv1", "bn1"), ("conv2", "bn2")):
                setattr(block, conv, fuse_conv_bn_eval(getattr(block, conv), getattr(block, norm)))
                setattr(block, norm, torch.nn.Identity())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(1, 3, H, W) to (1, C, H/2, W/2)."""
        return self.block2(avg_pool2d(self.block1(x), 2))  # type: ignore[no-any-return]


def through_engine(precision: str, threads: int, loaded: weights.Weights) -> Step:
    """The two stages as the engine reports them within a whole frame."""
    engine = CpuEngine(loaded, precision, threads)

    def step(image: Image) -> float:
        engine.extract(image, Selection(1000, 0.2))
        return engine.last_profile_ms["block1"] + engine.last_profile_ms["block2"]

    return step


def through_torch(blocks: torch.nn.Module, dtype: torch.dtype, *, compiled: bool) -> Step:
    """oneDNN through torch, eager or with torch's compiler."""
    # The two arguments in one call are not among the overloads that torch declares for modules.
    blocks = copy.deepcopy(blocks).to(dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    run = torch.compile(blocks) if compiled else blocks

    def step(image: Image) -> float:
        x = _tensor(image).to(dtype=dtype, memory_format=torch.channels_last)
        with torch.inference_mode():
            return _timed(lambda: run(x))

    return step


def through_openvino(blocks: torch.nn.Module, precision: str, threads: int) -> Step:
    """OpenVINO's CPU plugin."""
    import openvino  # type: ignore[import-untyped, import-not-found, unused-ignore]

    core, example = openvino.Core(), torch.zeros(1, 3, 480, 640)
    model = openvino.convert_model(blocks, example_input=example, input=[1, 3, 480, 640])
    hints = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
    request = core.compile_model(model, "CPU", hints).create_infer_request()

    def step(image: Image) -> float:
        x = _tensor(image).numpy()
        return _timed(lambda: request.infer([x], share_inputs=True, share_outputs=True))

    return step


def _tensor(image: Image) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float() / 255


def _timed(call: Callable[[], Any]) -> float:
    started_s = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - started_s)


def carriers(threads: int) -> dict[str, Step]:
    """Everything that takes part, by name."""
    torch.set_num_threads(threads)
    loaded = weights.load(MODEL)
    network = ALIKED(MODEL).eval()
    network.load_state_dict(loaded.state_dict)
    blocks = FirstBlocks(network).eval()
    found: dict[str, Step] = {}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        found[f"C++ engine {name}"] = through_engine(name, threads, loaded)
        found[f"torch {name}"] = through_torch(blocks, dtype, compiled=False)
        found[f"torch.compile {name}"] = through_torch(blocks, dtype, compiled=True)
        if importlib.util.find_spec("openvino"):
            precision = {"fp32": "f32", "bf16": "bf16"}[name]
            found[f"OpenVINO {name}"] = through_openvino(blocks, precision, threads)
    return found


def main() -> None:
    """Measures and prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40, help="[40]")
    parser.add_argument("--threads", type=int, default=2, help="[2]")
    options = parser.parse_args()
    _, images = load_frames()
    steps = carriers(options.threads)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():  # compilers and caches
        for image in images[:3]:
            step(image)
    for index in tqdm(range(options.rounds), unit="round", disable=None):
        for name, step in steps.items():
            step(images[(index - 1) % len(images)])
            times[name].append(step(images[index % len(images)]))
    lines = ["| | median, ms | quartiles |", "|---|---|---|"]
    for name, values in times.items():
        spread = Spread.of(values)
        lines.append(f"| {name} | {spread.median:.1f} | {spread.quartile_low:.1f}–{spread.quartile_high:.1f} |")
    tqdm.write("\n".join(lines))


if __name__ == "__main__":
    main()
