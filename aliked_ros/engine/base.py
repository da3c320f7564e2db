# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What every engine offers: the same function of an image, on some device, at some precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aliked_ros.features import Features, Float32Array
from aliked_ros.network.selection import Selection

Image = NDArray[np.uint8]  # (H, W, 3) RGB or (H, W) grey, any strides


@dataclass(frozen=True)
class EngineInfo:
    """What an engine runs, and on what."""

    model: str
    device: str  # "cpu" or "cuda:N"
    backend: str  # how the operations are carried out, for people
    precision: str  # "fp32", "bf16" or "fp16"
    descriptor_dim: int
    weights_path: Path
    weights_sha256: str
    warnings: tuple[str, ...] = ()  # why something slower runs than this machine could offer
    faults: tuple[str, ...] = ()  # what went wrong with a device that another one stands in for
    gains_from_batches: bool = False  # images of one shape cost less together than one after another


class Engine(Protocol):
    """Extracts features; owns its device and its buffers, and serves one caller at a time."""

    @property
    def info(self) -> EngineInfo:
        """What this engine runs, and on what."""
        ...

    @property
    def last_timings_ms(self) -> Mapping[str, float]:
        """Wall time of the last call's ``preprocess`` and ``inference``, which ends with the results on the host."""
        ...

    @property
    def memory_bytes(self) -> int:
        """Memory of a device that the engine allocates by itself; 0 where torch does, which counts it, or none does."""
        ...

    def extract(self, image: Image, selection: Selection, reference: Features | None = None) -> Features:
        """The features of one image that are wanted, strongest first; a mask has the image's size.

        An engine may use the occasion to match them to a reference, the features of an earlier image; most do not.
        """
        ...

    def extract_batch(
        self, images: Sequence[Image], selections: Sequence[Selection], references: Sequence[Features | None]
    ) -> list[Features]:
        """What :meth:`extract` finds in each of several images of one shape."""
        ...

    def score_map(self, image: Image) -> NDArray[Any]:
        """The detector's score map of one image, (H, W) float32, for people to look at."""
        ...


class OneAfterAnother:
    """For an engine that has nothing to gain from several images at once, and no memory of its own on a device."""

    memory_bytes = 0

    def extract_batch(
        self: Engine, images: Sequence[Image], selections: Sequence[Selection], references: Sequence[Features | None]
    ) -> list[Features]:
        """What :meth:`Engine.extract` finds in each of several images of one shape."""
        return [self.extract(*each) for each in zip(images, selections, references, strict=True)]


def as_float32(array: NDArray[Any]) -> Float32Array:
    """The same array when it is float32 already, a converted copy otherwise."""
    return np.asarray(array, np.float32)
