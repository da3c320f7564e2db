# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The readable network, run by torch on any of its devices: the engine every other one is measured against."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
import torch
from aliked_ops import backend as ops_backend
from numpy.typing import NDArray
from torch import Tensor

from aliked_ros.engine.base import EngineInfo, Image, OneAfterAnother, as_float32
from aliked_ros.features import Features
from aliked_ros.network.model import Extraction
from aliked_ros.network.selection import Selection
from aliked_ros.network.weights import Weights, load_network

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TorchEngine(OneAfterAnother):
    """Runs the readable network without gradients.

    Args:
        weights: a verified checkpoint.
        device: where it runs.
        precision: "fp32", "bf16" or "fp16"; the latter two lower the encoder only.
        warnings: why this engine runs where a faster one was wanted.
    """

    def __init__(self, weights: Weights, device: torch.device, precision: str, warnings: tuple[str, ...] = ()) -> None:
        network = load_network(weights)
        if precision != "fp32":
            network.lower_encoder(_DTYPES[precision])
        self._network = network.to(device).requires_grad_(False)
        self._device = device
        self._upload = torch.empty(0, dtype=torch.uint8)
        self._input = torch.empty(0)
        self._timings_ms: dict[str, float] = {}
        self._info = EngineInfo(
            model=weights.entry.model,
            device=str(device),
            backend=f"torch, {ops_backend().name_for(device)} ops",
            precision=precision,
            descriptor_dim=network.spec.dim,
            weights_path=weights.path,
            weights_sha256=weights.entry.sha256,
            warnings=(*warnings, *_operator_warnings(device)),
        )

    @property
    def info(self) -> EngineInfo:
        """What this engine runs, and on what."""
        return self._info

    @property
    def last_timings_ms(self) -> Mapping[str, float]:
        """Wall time of the last image's ``preprocess`` and ``inference``."""
        return self._timings_ms

    @torch.inference_mode()
    def extract(self, image: Image, selection: Selection, reference: Features | None = None) -> Features:  # noqa: ARG002
        """The features of one image that are wanted, strongest first; a mask has the image's size."""
        start = time.perf_counter()
        tensor = self._load(image)
        loaded = time.perf_counter()
        (extraction,) = self._network.extract(tensor, selection)
        features = _to_host(extraction, image.shape[1], image.shape[0])
        done = time.perf_counter()
        self._timings_ms = {"preprocess": 1e3 * (loaded - start), "inference": 1e3 * (done - loaded)}
        return features

    @torch.inference_mode()
    def score_map(self, image: Image) -> NDArray[np.float32]:
        """The detector's score map of one image, (H, W) float32."""
        _, score_map = self._network.dense_maps(self._load(image))
        return as_float32(score_map[0, 0].cpu().numpy())

    def _load(self, image: Image) -> Tensor:
        """The image as (1, 3, H, W) float32 in [0, 1] on the device, in buffers kept from frame to frame."""
        height, width = image.shape[:2]
        if self._upload.shape[:2] != (height, width):
            pinned = self._device.type == "cuda"
            self._upload = torch.empty((height, width, 3), dtype=torch.uint8, pin_memory=pinned)
            self._input = torch.empty((1, 3, height, width), device=self._device)
        # One pass whatever the strides are, so that BGR and padded rows cost no conversion of their own.
        np.copyto(self._upload.numpy(), image if image.ndim == 3 else image[..., None])
        uploaded = self._upload.to(self._device, non_blocking=True)
        return torch.div(uploaded.permute(2, 0, 1)[None], 255.0, out=self._input)


def _operator_warnings(device: torch.device) -> tuple[str, ...]:
    operators = ops_backend()
    if operators.compiled_for(device):
        return ()
    return (f"the operators are not compiled for {device.type} and run slowly: {operators.reason}",)


def _to_host(extraction: Extraction, width: int, height: int) -> Features:
    keypoints = extraction.keypoints
    return Features(
        keypoints_xy=as_float32(keypoints.xy.cpu().numpy()),
        scores=as_float32(keypoints.scores.cpu().numpy()),
        descriptors=as_float32(extraction.descriptors.cpu().numpy()),
        image_width=width,
        image_height=height,
        dispersity=as_float32(keypoints.dispersity.cpu().numpy()),
    )
