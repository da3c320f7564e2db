# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""kornia's ALIKED on the same images: as it comes, and compiled by torch."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import torch

from aliked_ros.bench.candidates import Candidate, PeerMissingError, require_packages
from aliked_ros.bench.frames import fit, load_frames
from aliked_ros.network.weights import load
from tools.gpu_check.benchmark import LIMITS, NUM_IMAGES, SIZE, as_tensors, event_times
from tools.gpu_check.rows import Row, figure, not_run

_PART = "peers"
_NAMES = ("kornia's ALIKED aliked-n16, eager", "kornia's ALIKED aliked-n16, torch.compile")


def run(options: argparse.Namespace) -> Iterator[Row]:
    """kornia's network as it comes, or compiled, which takes long; or why it is missing."""
    is_compiled = options.worker == "compiled"
    name = _NAMES[is_compiled]
    if is_compiled and options.quick:
        yield not_run(_PART, name, "left out by --quick")
        return
    try:
        network = kornia_network()
    except PeerMissingError as error:
        yield not_run(_PART, name, str(error))
        return
    tensors = as_tensors([fit(frame, SIZE) for frame in load_frames()[1][:NUM_IMAGES]])
    if not is_compiled:
        yield figure(_PART, name, event_times(network, tensors, 10 if options.quick else 30))
        return
    try:
        times = event_times(torch.compile(network), tensors, 30)
    except Exception as error:  # noqa: BLE001  compilers fail in ways of their own
        yield not_run(_PART, name, (str(error).strip() or type(error).__name__).splitlines()[0])
    else:
        yield figure(_PART, name, times)


def kornia_network() -> Any:
    """kornia's network with the official weights, read from this machine, on the device."""
    feature = require_packages(Candidate("kornia", 0, LIMITS.max_keypoints))
    network = feature.ALIKED("aliked-n16", LIMITS.max_keypoints, LIMITS.score_threshold)
    constants = {name: value for name, value in network.state_dict().items() if name == "dkd.hw_grid"}
    network.load_state_dict({**load("aliked-n16").state_dict, **constants}, strict=True)
    return network.eval().cuda()
