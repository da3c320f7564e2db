# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Methods by name, as users ask for them: a detector, one with refinement, or the classical tracker."""

from __future__ import annotations

from aliked_ros.engine.base import Image
from aliked_ros.errors import ConfigError
from aliked_ros.evaluation.config import FOLLOWED, KLT, REFINED, DetectorConfig
from aliked_ros.evaluation.detectors import Detector
from aliked_ros.evaluation.klt import KltTracker
from aliked_ros.evaluation.tracks import DescriptorTracker, Observations, Tracker
from aliked_ros.features import Features


class Method:
    """What one column of a table was made with.

    Args:
        name: a detector's name, the same with ``+refinement`` or ``+following``, or ``klt``.
        config: limits that all methods share.

    Raises:
        ConfigError: the name or a limit cannot be.
        PeerMissingError: the method is not installed.
    """

    def __init__(self, name: str, config: DetectorConfig) -> None:
        self.name, self._config = name, config
        self._follows = name.endswith(FOLLOWED)
        self.refinement = "photometric" if self._follows or name.endswith(REFINED) else "none"
        detector = name.removesuffix(REFINED).removesuffix(FOLLOWED)
        self._detector = None if name == KLT else Detector(detector, config)

    @property
    def detector(self) -> Detector:
        """Finds features; ConfigError for a method that has none."""
        if self._detector is None:
            raise ConfigError(f"{self.name} tracks corners and has no descriptors; choose another method")
        return self._detector

    @property
    def min_similarity(self) -> float:
        """The lowest cosine of a match."""
        return self.detector.min_similarity

    def __call__(self, image: Image) -> Features:
        """The features of an image."""
        return self.detector(image)

    def tracker(self) -> Tracker:
        """A tracker that has seen nothing yet."""
        if self._detector is None:
            return _Klt(self._config.max_keypoints)
        budget = self._config.max_keypoints if self._follows else 0
        return DescriptorTracker(self._detector, self._detector.min_track_similarity, self.refinement, budget)


class _Klt:
    def __init__(self, max_points: int) -> None:
        self._tracker = KltTracker(max_points)

    def __call__(self, image: Image) -> Observations:
        return Observations(*self._tracker(image))
