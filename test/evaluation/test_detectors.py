# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Every method behind one interface: features that fit the dataclass, strongest first, and matches that are right."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from image_samples import make_textured_image

from aliked_ros.bench.candidates import PeerMissingError
from aliked_ros.errors import ConfigError
from aliked_ros.evaluation.config import DETECTORS, KLT, OURS_REFINED, DetectorConfig
from aliked_ros.evaluation.detectors import Detector
from aliked_ros.evaluation.methods import Method
from aliked_ros.evaluation.tracks import DescriptorTracker
from aliked_ros.frontend.matching import mutual_nearest_neighbours

SCENE = make_textured_image(260, 340)
CONFIG = DetectorConfig(max_keypoints=200)


@pytest.mark.parametrize("name", ["aliked-t16", "orb", "sift", "xfeat"])
def test_a_method_matches_a_moved_image(name: str) -> None:
    try:
        detector = Detector(name, CONFIG)
    except PeerMissingError as error:
        pytest.skip(str(error))
    before, after = detector(SCENE[10:250, 10:330]), detector(SCENE[14:254, 16:336])
    assert 20 < len(before) <= 200
    assert (np.diff(before.scores) <= 0).all()
    np.testing.assert_allclose(np.linalg.norm(before.descriptors, axis=1), 1, atol=1e-4)
    matches = mutual_nearest_neighbours(after, before, detector.min_similarity)
    moved = np.linalg.norm(matches.xy - matches.xy_ref - [-6, -4], axis=1)
    assert len(matches) > 15
    assert np.mean(moved < 2) > 0.7
    assert len(detector(cv2.cvtColor(SCENE, cv2.COLOR_RGB2GRAY))) > 20


@pytest.mark.parametrize("name", ["orb", "sift"])
def test_a_blank_image_has_no_features(name: str) -> None:
    assert len(Detector(name, CONFIG)(np.full((240, 320, 3), 90, np.uint8))) == 0


def test_the_cosine_of_orb_is_its_hamming_distance() -> None:
    features = Detector("orb", CONFIG)(SCENE)
    bits = features.descriptors > 0
    hamming = (bits[:20, None] != bits[None, :20]).sum(2)
    np.testing.assert_allclose(features.descriptors[:20] @ features.descriptors[:20].T, 1 - hamming / 128, atol=1e-5)


def test_methods_by_name() -> None:
    refined = Method(OURS_REFINED, CONFIG)
    assert refined.refinement == "photometric"
    assert isinstance(refined.tracker(), DescriptorTracker)
    klt = Method(KLT, CONFIG)
    assert 20 < len(klt.tracker()(SCENE).ids) <= 200
    with pytest.raises(ConfigError, match="klt tracks corners and has no descriptors"):
        klt(SCENE)
    with pytest.raises(ConfigError, match=f"one of {', '.join(DETECTORS)}, got 'surf'"):
        Method("surf", CONFIG)
    with pytest.raises(ConfigError, match="max_keypoints must be at least 1"):
        DetectorConfig(max_keypoints=0)
