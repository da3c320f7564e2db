# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Classical features in the place of ALIKED's, with the thresholds that suit their descriptors."""

from __future__ import annotations

from aliked_ros.engine.orb_engine import OrbEngine, similarity_of
from aliked_ros.frontend.config import ExtractorConfig, TrackingConfig
from aliked_ros.frontend.extractor import Extractor

# The Hamming distances that ORB-SLAM2 takes for a match are 50 (strict) and 100 (where a pose narrows the search).
ORB_TRACKING = TrackingConfig(min_similarity=similarity_of(64), gap_min_similarity=similarity_of(50))


def orb_extractor(max_keypoints: int = ExtractorConfig.max_keypoints) -> Extractor:
    """An extractor of OpenCV's ORB features."""
    return Extractor(OrbEngine(), ExtractorConfig(max_keypoints=max_keypoints, score_threshold=0.0))
