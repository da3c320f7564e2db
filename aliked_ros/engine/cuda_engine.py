# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The network in compiled CUDA: the same function as the readable one at a fraction of its cost."""

from __future__ import annotations

import dataclasses
import time
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from aliked_ops import cuda_engine
from aliked_ops.engine_types import EngineModel, ImageView
from numpy.typing import NDArray

from aliked_ros.engine.base import EngineInfo, Image
from aliked_ros.features import Features, MutualNeighbours
from aliked_ros.network.model import MODELS
from aliked_ros.network.selection import Selection
from aliked_ros.network.weights import Weights

_MOST_KNOWN_FRAMES = 32  # whose descriptors may be referred to; the device keeps fewer of one size


class CudaEngine:
    """Runs the compiled engine of ``aliked_ops`` on a CUDA device.

    Args:
        weights: a verified checkpoint.
        precision: "fp16", "bf16" or "fp32"; the former two round what enters a convolution or a matrix product and
            sum in float32. From "bf16" the encoder alone is bfloat16, what follows it float16.
        device_index: which device.

    Raises:
        aliked_ops.cuda_engine.CudaEngineError: the library, the device or the precision is not available.
    """

    def __init__(self, weights: Weights, precision: str = "fp16", device_index: int = 0) -> None:
        spec = MODELS[weights.entry.model]
        self._engine = cuda_engine.CudaEngine(
            EngineModel(spec.channels, spec.dim, spec.num_positions),
            lambda name: weights.state_dict[name].numpy(),
            precision=precision,
            device=device_index,
        )
        self._timings_ms: dict[str, float] = {}
        self._frames: deque[tuple[weakref.ref[NDArray[Any]], int]] = deque(maxlen=_MOST_KNOWN_FRAMES)
        self._info = EngineInfo(
            model=weights.entry.model,
            device=f"cuda:{device_index}",
            backend="CUDA",
            precision=precision,
            descriptor_dim=spec.dim,
            weights_path=weights.path,
            weights_sha256=weights.entry.sha256,
            gains_from_batches=True,
        )

    @property
    def info(self) -> EngineInfo:
        """What this engine runs, and on what."""
        return self._info

    @property
    def last_timings_ms(self) -> Mapping[str, float]:
        """Wall time of the last call's ``preprocess``, which copies its images, and of ``inference``."""
        return self._timings_ms

    @property
    def memory_bytes(self) -> int:
        """Memory of the device that is held for the weights and for images."""
        return self._engine.memory_bytes

    def extract(self, image: Image, selection: Selection, reference: Features | None = None) -> Features:
        """The features of one image that are wanted, strongest first; a mask has the image's size.

        Args:
            image: (H, W, 3) RGB or (H, W) grey uint8.
            selection: what is wanted of it.
            reference: an earlier image's features, of this engine; the result's ``mutual`` tells of them, where the
                device still has them.
        """
        return self.extract_batch([image], [selection], [reference])[0]

    def extract_batch(
        self,
        images: Sequence[Image],
        selections: Sequence[Selection],
        references: Sequence[Features | None] | None = None,
    ) -> list[Features]:
        """What :meth:`extract` finds in each of several images of one shape, which are processed together."""
        start = time.perf_counter()
        references = references or [None] * len(images)
        requests = [
            _request(image, selection, self._frame_of(reference))
            for image, selection, reference in zip(images, selections, references, strict=True)
        ]
        ticket = self._engine.submit(requests)
        submitted = time.perf_counter()
        found = self._engine.collect(ticket)
        features = [self._features(*each) for each in zip(found, images, references, strict=True)]
        done = time.perf_counter()
        self._timings_ms = {"preprocess": 1e3 * (submitted - start), "inference": 1e3 * (done - submitted)}
        return features

    def score_map(self, image: Image) -> NDArray[np.float32]:
        """The detector's score map of one image, (H, W) float32."""
        return self._engine.score_map(ImageView(image))

    def device_times_ms(
        self, images: Sequence[Image], selection: Selection, replays: int, *, batch: int = 1, match: bool = False
    ) -> NDArray[np.float64]:
        """Milliseconds from images on the device to features on the device, (replays,), by CUDA's events.

        Args:
            images: a multiple of ``batch``, of one size; they take turns.
            selection: what is wanted of them.
            replays: so many times.
            batch: images that are processed together.
            match: include matching to the images before.
        """
        requests = [_request(image, selection) for image in images]
        return self._engine.device_times_ms(requests, replays, batch=batch, match=match).astype(np.float64)

    def stage_ms(self, image: Image, selection: Selection, rounds: int = 20) -> dict[str, float]:
        """Median milliseconds of each stage of an image on the device; they do not overlap here."""
        times = self._engine.stage_times_ms([_request(image, selection)], rounds)
        return dict(zip(self._engine.stages, np.median(times, 0).tolist(), strict=True))

    def _frame_of(self, reference: Features | None) -> int:
        """The device's number for features that it may still have, or -1."""
        if reference is not None:
            for known, frame in self._frames:
                if known() is reference.descriptors:
                    return frame
        return -1

    def _features(self, found: cuda_engine.Found, image: Image, reference: Features | None) -> Features:
        mutual = None
        if reference is not None and found.partners is not None and found.similarities is not None:
            mutual = MutualNeighbours(reference.descriptors, found.partners, found.similarities)
        self._frames.appendleft((weakref.ref(found.descriptors), found.frame))
        return Features(
            keypoints_xy=found.keypoints_xy,
            scores=found.scores,
            descriptors=found.descriptors,
            image_width=image.shape[1],
            image_height=image.shape[0],
            dispersity=found.dispersity,
            mutual=mutual,
        )


def _request(image: Image, selection: Selection, reference: int = -1) -> cuda_engine.Request:
    grid = None if selection.grid is None else dataclasses.astuple(selection.grid)
    limits = (selection.max_keypoints, selection.score_threshold, grid, selection.mask)
    return cuda_engine.Request(ImageView(image), *limits, reference)
