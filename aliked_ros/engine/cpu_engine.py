# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The network in compiled C++ on a CPU: the same function as the readable one at a fraction of its cost."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping

import numpy as np
from aliked_ops import cpu_engine
from aliked_ops.engine_types import EngineModel, ImageView
from numpy.typing import NDArray

from aliked_ros.engine.base import EngineInfo, Image, OneAfterAnother
from aliked_ros.features import Features
from aliked_ros.network.model import MODELS
from aliked_ros.network.selection import Selection
from aliked_ros.network.weights import Weights


class CpuEngine(OneAfterAnother):
    """Runs the compiled engine of ``aliked_ops``.

    Args:
        weights: a verified checkpoint.
        precision: "fp32" or "bf16"; the latter rounds what enters a convolution or a matrix product, sums in float32,
            and needs a processor with instructions for it.
        threads: that share an image; 0 for as many as this process has processors. Results do not depend on it.

    Raises:
        aliked_ops.cpu_engine.CpuEngineError: the library or the precision is not available.
    """

    def __init__(self, weights: Weights, precision: str = "fp32", threads: int = 0) -> None:
        spec = MODELS[weights.entry.model]
        model = EngineModel(spec.channels, spec.dim, spec.num_positions)
        self._engine = cpu_engine.CpuEngine(
            model, lambda name: weights.state_dict[name].numpy(), precision=precision, threads=threads
        )
        self._timings_ms: dict[str, float] = {}
        self._profile_ms: dict[str, float] = {}
        self._info = EngineInfo(
            model=weights.entry.model,
            device="cpu",
            backend=f"C++ ({self._engine.instruction_set})",
            precision=precision,
            descriptor_dim=spec.dim,
            weights_path=weights.path,
            weights_sha256=weights.entry.sha256,
        )

    @property
    def info(self) -> EngineInfo:
        """What this engine runs, and on what."""
        return self._info

    @property
    def last_timings_ms(self) -> Mapping[str, float]:
        """Wall time of the last image's ``preprocess`` and ``inference``; the latter reads the image where it lies."""
        return self._timings_ms

    @property
    def last_profile_ms(self) -> Mapping[str, float]:
        """Wall time of the last image by stage; they add up to the whole call, of which ``other`` is the rest."""
        return self._profile_ms

    def extract(self, image: Image, selection: Selection, reference: Features | None = None) -> Features:  # noqa: ARG002
        """The features of one image that are wanted, strongest first; a mask has the image's size."""
        start = time.perf_counter()
        view = ImageView(image)
        prepared = time.perf_counter()
        grid = None if selection.grid is None else dataclasses.astuple(selection.grid)
        found = self._engine.extract(view, selection.max_keypoints, selection.score_threshold, grid, selection.mask)
        features = Features(
            keypoints_xy=found.keypoints_xy,
            scores=found.scores,
            descriptors=found.descriptors,
            image_width=image.shape[1],
            image_height=image.shape[0],
            dispersity=found.dispersity,
        )
        done = time.perf_counter()
        stages = self._engine.stage_ms()
        self._profile_ms = {**stages, "other": 1e3 * (done - start) - sum(stages.values())}
        self._timings_ms = {"preprocess": 1e3 * (prepared - start), "inference": 1e3 * (done - prepared)}
        return features

    def score_map(self, image: Image) -> NDArray[np.float32]:
        """The detector's score map of one image, (H, W) float32."""
        return self._engine.score_map(ImageView(image))
