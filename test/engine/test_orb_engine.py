# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""ORB behind the interface of an engine: the cosine of its vectors is the Hamming distance of its bits."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from aliked_ros.engine.orb_engine import OrbEngine, similarity_of
from aliked_ros.errors import ConfigError
from aliked_ros.frontend.baselines import ORB_TRACKING, orb_extractor
from aliked_ros.frontend.frontend import Frontend
from aliked_ros.frontend.matching import mutual_nearest_neighbours
from aliked_ros.network.selection import Grid, Selection


def test_cosines_are_hamming_distances(textured_image: np.ndarray) -> None:
    features = OrbEngine().extract(textured_image, Selection(300, 0.0))
    bits = features.descriptors > 0
    cosine = features.descriptors @ features.descriptors.T
    distance = (bits[:, None] != bits[None]).sum(2)
    np.testing.assert_array_equal(cosine, np.float32(1) - distance.astype(np.float32) / np.float32(128))
    assert similarity_of(0) == 1.0
    assert similarity_of(64) == 0.5


def test_matches_are_those_of_opencvs_brute_force(textured_image: np.ndarray) -> None:
    extractor = orb_extractor(200)
    moved = np.roll(textured_image, 7, axis=1)
    a, b = extractor(textured_image), extractor(moved)
    ours = mutual_nearest_neighbours(a, b, ORB_TRACKING.min_similarity)
    as_bits = [np.packbits(f.descriptors > 0, axis=1) for f in (a, b)]
    theirs = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(*as_bits)
    close = {(m.queryIdx, m.trainIdx) for m in theirs if m.distance <= 64}
    pairs = set(zip(ours.indices.tolist(), ours.indices_ref.tolist(), strict=True))
    assert len(pairs & close) > 0.98 * max(len(pairs), len(close))  # ties may fall either way
    shift = ours.xy_ref - ours.xy
    assert np.median(np.abs(shift - (7, 0))) < 0.5


def test_features_keep_the_promises_of_features(textured_image: np.ndarray) -> None:
    features = OrbEngine().extract(textured_image, Selection(100, 0.0))
    assert 50 < len(features) <= 110
    assert (np.diff(features.scores) <= 0).all()
    assert features.scores.min() > 0
    assert features.scores.max() < 1
    np.testing.assert_allclose(np.linalg.norm(features.descriptors, axis=1), 1.0, rtol=1e-6)
    assert features.sigma_px is not None
    assert features.sigma_px.min() == pytest.approx(1.0)
    assert features.sigma_px.max() > 1.5  # of coarser levels
    grey = cv2.cvtColor(textured_image, cv2.COLOR_RGB2GRAY)
    np.testing.assert_array_equal(OrbEngine().extract(grey, Selection(100, 0.0)).keypoints_xy, features.keypoints_xy)


def test_a_threshold_keeps_the_strong(textured_image: np.ndarray) -> None:
    engine = OrbEngine()
    every, strong = (engine.extract(textured_image, Selection(200, threshold)) for threshold in (0.0, 0.2))
    assert 0 < len(strong) < len(every)
    assert strong.scores.min() > 0.2


def test_a_blank_image_has_no_features() -> None:
    features = OrbEngine().extract(np.zeros((96, 128, 3), np.uint8), Selection(100, 0.0))
    assert len(features) == 0
    assert features.descriptors.shape == (0, 256)


def test_the_front_end_tracks_it_like_any_other(textured_image: np.ndarray) -> None:
    frontend = Frontend(orb_extractor(200), ORB_TRACKING)
    frontend(textured_image, 1)
    result = frontend(np.roll(textured_image, 3, axis=1), 2)
    assert result.features.descriptors.shape[1] == 256
    assert (result.tracks.ages > 1).mean() > 0.5
    assert frontend.extractor.info.model == "orb"
    assert set(result.timings_ms) == {"preprocess", "inference", "match"}


def test_the_score_map_is_for_people(textured_image: np.ndarray) -> None:
    score_map = OrbEngine().score_map(textured_image)
    assert score_map.shape == textured_image.shape[:2]
    assert score_map.min() >= 0
    assert score_map.max() == pytest.approx(1.0)


def test_a_mask_is_kept_free_and_cells_are_refused(textured_image: np.ndarray) -> None:
    mask = np.ones(textured_image.shape[:2], np.bool_)
    mask[:, :64] = False
    found = OrbEngine().extract(textured_image, Selection(200, 0.0, mask=mask))
    assert len(found) > 20
    assert found.keypoints_xy[:, 0].min() > 63
    with pytest.raises(ConfigError, match="max_per_cell"):
        OrbEngine().extract(textured_image, Selection(200, 0.0, Grid(2, 2, 5)))
