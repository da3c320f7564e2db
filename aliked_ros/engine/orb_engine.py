# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""OpenCV's ORB behind the interface of an engine: a classical baseline that everything above runs on unchanged.

A binary descriptor of 256 bits becomes a vector of 256 signs of unit length. The cosine of two of them is
1 - d / 128 with d their Hamming distance, exactly, so that whoever compares cosines compares Hamming distances.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from aliked_ros.engine.base import EngineInfo, Image, OneAfterAnother
from aliked_ros.errors import ConfigError
from aliked_ros.features import Features, Float32Array
from aliked_ros.network.selection import Selection

DESCRIPTOR_BITS = 256
_SCALE = 1.2  # of the pyramid's levels, OpenCV's default
_SIGMA_PX = 1.0  # of a keypoint of the finest level; it grows with the level's pixels, as ORB-SLAM takes it


def similarity_of(hamming_distance: int) -> float:
    """The cosine of two descriptors that differ in so many bits."""
    return 1.0 - 2.0 * hamming_distance / DESCRIPTOR_BITS


class OrbEngine(OneAfterAnother):
    """Extracts ORB features (Rublee et al., ICCV 2011) with OpenCV's defaults."""

    def __init__(self) -> None:
        self._info = EngineInfo(
            model="orb",
            device="cpu",
            backend=f"OpenCV {cv2.__version__}",
            precision="uint8",
            descriptor_dim=DESCRIPTOR_BITS,
            weights_path=Path(),
            weights_sha256="",
        )
        self._timings_ms: dict[str, float] = {}

    @property
    def info(self) -> EngineInfo:
        """There are no weights."""
        return self._info

    @property
    def last_timings_ms(self) -> Mapping[str, float]:
        """Wall time of the last image's ``preprocess`` and ``inference``."""
        return self._timings_ms

    def extract(self, image: Image, selection: Selection, reference: Features | None = None) -> Features:  # noqa: ARG002
        """The features of one image that are wanted, strongest first; OpenCV applies the mask.

        Raises:
            ConfigError: they are to be spread over cells, which OpenCV does not offer.
        """
        if selection.grid is not None:
            raise ConfigError("ORB features cannot be limited per cell; set selection.max_per_cell to 0")
        started = time.perf_counter()
        grey = _grey(image)
        prepared = time.perf_counter()
        orb: Any = cv2.ORB_create(nfeatures=selection.max_keypoints, scaleFactor=_SCALE)  # type: ignore[attr-defined]
        mask = None if selection.mask is None else selection.mask.astype(np.uint8)
        keypoints, bits = orb.detectAndCompute(grey, mask)
        features = _features(keypoints, bits, image.shape[:2], selection.score_threshold)
        self._timings_ms = {
            "preprocess": 1e3 * (prepared - started),
            "inference": 1e3 * (time.perf_counter() - prepared),
        }
        return features

    def score_map(self, image: Image) -> NDArray[Any]:
        """Harris's corner response, scaled to (0, 1); what ORB ranks its corners by."""
        response = np.maximum(cv2.cornerHarris(_grey(image).astype(np.float32), 7, 3, 0.04), 0)
        return np.asarray(response / max(float(response.max()), 1e-12), np.float32)


def _grey(image: Image) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image, np.uint8)


def _features(keypoints: Any, bits: Any, shape: tuple[int, ...], score_threshold: float) -> Features:
    """OpenCV's results as features, strongest first."""
    count = 0 if bits is None else len(keypoints)
    response = np.array([keypoint.response for keypoint in keypoints][:count], np.float64)
    # Responses have no upper limit; this keeps their order and lies in (0, 1).
    scale = max(float(response.max()), 1e-12) if count else 1.0
    scores = (np.maximum(response, 1e-12 * scale) / (np.maximum(response, 0) + scale)).astype(np.float32)
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] > score_threshold]
    xy = np.array([keypoint.pt for keypoint in keypoints][:count], np.float32).reshape(-1, 2)
    octave = np.array([keypoint.octave for keypoint in keypoints][:count], np.int64)
    return Features(
        keypoints_xy=xy[order],
        scores=scores[order],
        descriptors=_signs(bits, count)[order],
        image_width=shape[1],
        image_height=shape[0],
        sigma_px=(_SIGMA_PX * _SCALE**octave).astype(np.float32)[order],
    )


def _signs(bits: Any, count: int) -> Float32Array:
    """(N, 256) float32 of unit length, from (N, 32) bytes."""
    if count == 0:
        return np.empty((0, DESCRIPTOR_BITS), np.float32)
    ones = np.unpackbits(np.asarray(bits, np.uint8), axis=1).astype(np.float32)
    return np.asarray((2 * ones - 1) / np.sqrt(np.float32(DESCRIPTOR_BITS)), np.float32)
