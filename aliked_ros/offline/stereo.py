# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Depth of features from the simultaneous image of a second camera."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aliked_ros.camera import Camera
from aliked_ros.features import Features, Float32Array
from aliked_ros.frontend.config import TrackingConfig
from aliked_ros.frontend.extractor import Extractor
from aliked_ros.frontend.matchers import create_matcher
from aliked_ros.slam.stereo import depth_of_matches


class StereoDepth:
    """The depth of features by those of a second camera's image.

    Args:
        extractor: of both images.
        tracking: how they are matched.
        camera: of both images, which are rectified.
        baseline_m: between them, metres.
        sigma_px: 1-sigma error of a keypoint.
    """

    def __init__(
        self, extractor: Extractor, tracking: TrackingConfig, camera: Camera, baseline_m: float, sigma_px: float
    ) -> None:
        self._extractor, self._tracking = extractor, tracking
        self._matcher = create_matcher(tracking.matcher, extractor)
        self._camera, self._baseline_m, self._sigma_px = camera, baseline_m, sigma_px

    def __call__(self, features: Features, right: NDArray[np.uint8] | None) -> tuple[Float32Array, Float32Array]:
        """Depth and its 1-sigma error, (N,) metres each; NaN where unknown, and everywhere without a right image."""
        if right is None:
            nothing = np.full(len(features), np.nan, np.float32)
            return nothing, nothing
        matches = self._matcher.match(self._extractor(right), features, self._tracking)
        return depth_of_matches(matches, len(features), self._camera, self._baseline_m, sigma_px=self._sigma_px)
