# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""This project's networks, ORB, SIFT and XFeat behind one interface: an image in, Features out.

ORB's bits become the signs of a unit vector, so that the cosine of two descriptors is 1 - 2 * (Hamming distance) / 256
and one matcher serves all. SIFT's descriptors are normalised as RootSIFT (Arandjelovic and Zisserman, CVPR 2012).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aliked_ros.bench import candidates
from aliked_ros.engine.base import Image
from aliked_ros.errors import ConfigError
from aliked_ros.evaluation.config import DETECTORS, DetectorConfig
from aliked_ros.features import Features, Float32Array
from aliked_ros.frontend.config import TrackingConfig


@dataclass(frozen=True)
class _Limits:
    """The lowest cosine of a match."""

    pair: float  # of two images: ORB's is a Hamming distance of 64 of 256 bits, XFeat's that of its own matcher
    track: float  # from frame to frame, where wrong matches add up: at least 85 % right on the simulated desk


_PEERS = {"orb": _Limits(0.5, 0.6), "sift": _Limits(0.85, 0.95), "xfeat": _Limits(0.82, 0.95)}
_OURS = _Limits(float(TrackingConfig.min_similarity), float(TrackingConfig.min_similarity))


class Detector:
    """Finds features of images; one method as configured.

    Args:
        name: one of ``DETECTORS``.
        config: limits that all methods share.

    Raises:
        ConfigError: the name is unknown.
        PeerMissingError: the method is not installed.
        WeightsError: the published weights are missing or corrupt.
    """

    def __init__(self, name: str, config: DetectorConfig | None = None) -> None:
        if name not in DETECTORS:
            raise ConfigError(f"a method must be one of {', '.join(DETECTORS)}, got {name!r}")
        config = config or DetectorConfig()
        self.name = name
        limits = _PEERS.get(name, _OURS)
        self.min_similarity, self.min_track_similarity = limits.pair, limits.track
        method, model = (name, "") if name in _PEERS else (candidates.OURS, name)
        candidate = candidates.Candidate(method, config.threads, config.max_keypoints, model)
        self._extract = candidates.load(candidate)
        self._convert = {"orb": _from_orb, "sift": _from_sift, "xfeat": _from_xfeat}.get(name)

    def __call__(self, image: Image) -> Features:
        """The features of an image, (H, W, 3) uint8 RGB or (H, W) uint8 grey, strongest first."""
        rgb = image if image.ndim == 3 else np.repeat(image[:, :, None], 3, 2)
        found = self._extract(np.ascontiguousarray(rgb))
        if self._convert is None:
            features: Features = found
            return features
        xy, scores, descriptors = self._convert(found)
        order = np.argsort(-scores, kind="stable")
        # Responses have units of their own; what counts is their order.
        ranks = np.linspace(1.0, 0.0, len(order) + 2, dtype=np.float32)[1:-1]
        height, width = image.shape[:2]
        return Features(xy[order], ranks, np.ascontiguousarray(descriptors[order]), width, height)


_Found = tuple[Float32Array, NDArray[Any], Float32Array]


def _of_opencv(found: Any) -> tuple[Float32Array, NDArray[Any]]:
    keypoints = found[0]
    xy = np.array([keypoint.pt for keypoint in keypoints], np.float32).reshape(-1, 2)
    return xy, np.array([keypoint.response for keypoint in keypoints], np.float64)


def _from_orb(found: Any) -> _Found:
    xy, scores = _of_opencv(found)
    descriptors = np.empty((0, 32), np.uint8) if found[1] is None else found[1]
    signs = np.unpackbits(descriptors, axis=1).astype(np.float32) * 2 - 1
    return xy, scores, signs / np.float32(np.sqrt(signs.shape[1]))


def _from_sift(found: Any) -> _Found:
    xy, scores = _of_opencv(found)
    descriptors = np.empty((0, 128), np.float32) if found[1] is None else found[1].astype(np.float32)
    sums = np.maximum(np.abs(descriptors).sum(1, keepdims=True), 1e-9)
    return xy, scores, np.sqrt(descriptors / sums)


def _from_xfeat(found: Any) -> _Found:
    xy, scores, descriptors = (found[name].numpy() for name in ("keypoints", "scores", "descriptors"))
    lengths = np.maximum(np.linalg.norm(descriptors, axis=1, keepdims=True), 1e-9)
    return xy.astype(np.float32), scores, np.asarray(descriptors / lengths, np.float32)
