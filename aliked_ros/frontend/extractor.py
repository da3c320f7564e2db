# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The extractor: an image in, features out, whatever engine does the work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aliked_ros.engine.base import Engine, EngineInfo, Image
from aliked_ros.engine.recovery import create_recovering_engine
from aliked_ros.errors import ImageError
from aliked_ros.features import Features
from aliked_ros.frontend.config import ExtractorConfig, SelectionConfig
from aliked_ros.network import weights as published_weights
from aliked_ros.network.selection import Selection

Mask = NDArray[np.uint8] | NDArray[np.bool_]
MIN_SIZE_PX = 32  # the encoder's coarsest level has one pixel then


@dataclass(frozen=True, eq=False)
class ExtractionRequest:
    """An image, and what is wanted of it; the arguments of :class:`Extractor`'s call."""

    image: Image
    mask: Mask | None = None
    reference: Features | None = None


class Extractor:
    """Extracts ALIKED features.

    Args:
        engine: does the work.
        config: what it runs, and the limits.
        selection: how keypoints are spread over the image.

    Example:
        >>> extractor = Extractor.from_pretrained("aliked-n16", max_keypoints=500)
        >>> features = extractor(image_rgb)
        >>> features.keypoints_xy.shape
        (500, 2)
    """

    def __init__(self, engine: Engine, config: ExtractorConfig, selection: SelectionConfig | None = None) -> None:
        self._engine = engine
        self._config = config
        self._selection = selection or SelectionConfig()

    @classmethod
    def from_pretrained(
        cls,
        model: str = ExtractorConfig.model,
        *,
        device: str = ExtractorConfig.device,
        precision: str = ExtractorConfig.precision,
        max_keypoints: int = ExtractorConfig.max_keypoints,
        score_threshold: float = ExtractorConfig.score_threshold,
        weights: str = ExtractorConfig.weights,
        offline: bool = ExtractorConfig.offline,
        engine: str = ExtractorConfig.engine,
        threads: int = ExtractorConfig.threads,
        fallback: str = ExtractorConfig.fallback,
    ) -> Extractor:
        """An extractor with the published weights; the options are those of :class:`ExtractorConfig`.

        Raises:
            ConfigError: an option is out of range.
            WeightsError: the weights are missing, corrupt, or cannot be fetched.
            DeviceError: the device or the precision is not available.
        """
        return cls.from_config(
            ExtractorConfig(
                *(model, device, precision, max_keypoints, score_threshold, weights, offline, engine, threads, fallback)
            )
        )

    @classmethod
    def from_config(cls, config: ExtractorConfig, selection: SelectionConfig | None = None) -> Extractor:
        """An extractor as configured; raises what :meth:`from_pretrained` raises."""
        weights = published_weights.load(config.model, config.weights, offline=config.offline)
        engine = create_recovering_engine(
            weights, config.device, config.precision, config.engine, config.threads, config.fallback
        )
        return cls(engine, config, selection)

    @property
    def config(self) -> ExtractorConfig:
        """The configuration in force."""
        return self._config

    @property
    def info(self) -> EngineInfo:
        """The model, device, precision and weights that run."""
        return self._engine.info

    @property
    def last_timings_ms(self) -> Mapping[str, float]:
        """Wall time of the last call's ``preprocess`` and ``inference``."""
        return self._engine.last_timings_ms

    @property
    def memory_bytes(self) -> int:
        """Memory of a device that the engine allocates by itself; to be asked by the thread that extracts."""
        return self._engine.memory_bytes

    def reconfigure(
        self,
        *,
        max_keypoints: int | None = None,
        score_threshold: float | None = None,
        selection: SelectionConfig | None = None,
    ) -> None:
        """Changes the limits from the next image on; ConfigError when out of range."""
        changes = {"max_keypoints": max_keypoints, "score_threshold": score_threshold}
        self._config = self._config.replace(**{k: v for k, v in changes.items() if v is not None})
        self._selection = selection or self._selection

    def __call__(self, image: Image, mask: Mask | None = None, reference: Features | None = None) -> Features:
        """The features of an image.

        Args:
            image: (H, W, 3) uint8 RGB or (H, W) uint8 grey, any strides, 32×32 or larger.
            mask: (H, W) uint8 or bool; where it is 0 there is no feature.
            reference: the features of an earlier image that these will be matched to; an engine that can do it at
                once fills in ``mutual``.

        Raises:
            ImageError: the image or the mask has another type or shape.
            DeviceMemoryError: the image does not fit into the device's memory, and nothing may stand in.
            DeviceLostError: the device failed, and nothing may stand in.
        """
        return self._engine.extract(image, self._wanted_of(image, mask), reference)

    def extract_batch(self, requests: Sequence[ExtractionRequest]) -> list[Features]:
        """The features of each of several images, as if each were extracted alone; raises what a call does.

        Those of one shape go to the device together where ``info.gains_from_batches`` says that this pays.
        """
        features: dict[int, Features] = {}
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for place, request in enumerate(requests):
            by_shape.setdefault(np.shape(request.image), []).append(place)
        for places in by_shape.values():
            alike = [requests[place] for place in places]
            found = self._engine.extract_batch(
                [each.image for each in alike],
                [self._wanted_of(each.image, each.mask) for each in alike],
                [each.reference for each in alike],
            )
            features.update(zip(places, found, strict=True))
        return [features[place] for place in range(len(requests))]

    def _wanted_of(self, image: Image, mask: Mask | None) -> Selection:
        check_image(image)
        wanted = None if mask is None else _checked_mask(mask, image)
        config = self._config
        return Selection(config.max_keypoints, config.score_threshold, self._selection.grid, wanted)

    def score_map(self, image: Image) -> NDArray[np.float32]:
        """The detector's score map, (H, W) float32 in (0, 1), for people to look at."""
        check_image(image)
        return self._engine.score_map(image)


def _checked_mask(mask: Mask, image: Image) -> NDArray[np.bool_]:
    if not isinstance(mask, np.ndarray) or mask.dtype not in (np.uint8, np.bool_):
        found = mask.dtype if isinstance(mask, np.ndarray) else type(mask).__name__
        raise ImageError(f"a mask must be an array of uint8 or bool, got {found}")
    if mask.shape != image.shape[:2]:
        raise ImageError(
            f"a mask must have the shape of its image, {image.shape[:2]}, got {mask.shape}; make one for this size"
        )
    return mask.astype(np.bool_, copy=False)


def check_image(image: Image) -> None:
    """Raises ImageError unless this is an image the network can take."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        found = image.dtype if isinstance(image, np.ndarray) else type(image).__name__
        raise ImageError(f"an image must be an array of uint8, got {found}; scale 16-bit or float images to 8 bits")
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
        raise ImageError(f"an image must have shape (H, W, 3) or (H, W), got {image.shape}")
    if min(image.shape[:2]) < MIN_SIZE_PX:
        height, width = image.shape[:2]
        raise ImageError(f"an image must be at least {MIN_SIZE_PX}×{MIN_SIZE_PX} pixels, got {width}×{height}")
