# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the published network and weights gave on real frames, and what ours give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aliked_ros import Extractor, Features, mutual_nearest_neighbours
from aliked_ros.frontend.config import MODEL_NAMES
from aliked_ros.network.weights import load, load_network

pytestmark = pytest.mark.golden

MAX_DISTANCE_PX = 0.02
MIN_SHARE = 0.995
MAX_SCORE_ERROR = 1e-4
MIN_COSINE = 0.9999


@pytest.fixture(scope="module", params=MODEL_NAMES)
def extractor(request: pytest.FixtureRequest) -> Extractor:
    return Extractor.from_pretrained(request.param, device="cpu", precision="fp32", max_keypoints=5000)


def nearest(from_xy: np.ndarray, to_xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    distance = np.linalg.norm(from_xy[:, None] - to_xy[None], axis=2)
    rows = distance.argmin(1)
    return rows, distance[np.arange(len(from_xy)), rows]


def assert_parity(features: Features, recorded: Any) -> None:
    rows, distance = nearest(recorded["keypoints"], features.keypoints_xy)
    found = distance <= MAX_DISTANCE_PX
    assert found.mean() >= MIN_SHARE
    _, backward = nearest(features.keypoints_xy, recorded["keypoints"])
    assert (backward <= MAX_DISTANCE_PX).mean() >= MIN_SHARE
    ours = rows[found]
    assert np.abs(features.scores[ours] - recorded["scores"][found]).max() <= MAX_SCORE_ERROR
    cosine = np.sum(features.descriptors[ours] * recorded["descriptors"][found], axis=1)
    assert cosine.min() >= MIN_COSINE
    assert features.dispersity is not None
    np.testing.assert_allclose(features.dispersity[ours], recorded["dispersity"][found], atol=1e-3)


def test_threshold_mode(extractor: Extractor, desk_frames: list[np.ndarray], golden: Any) -> None:
    extractor.reconfigure(max_keypoints=5000, score_threshold=0.2)
    assert_parity(extractor(desk_frames[0]), golden(f"{extractor.info.model}_frame0_threshold.npz"))


def test_top_k_mode(extractor: Extractor, desk_frames: list[np.ndarray], golden: Any) -> None:
    extractor.reconfigure(max_keypoints=500, score_threshold=0.0)
    features = extractor(desk_frames[0])
    assert len(features) == 500
    assert_parity(features, golden(f"{extractor.info.model}_frame0_top500.npz"))


def test_size_that_is_no_multiple_of_32(extractor: Extractor, desk_frames: list[np.ndarray], golden: Any) -> None:
    extractor.reconfigure(max_keypoints=5000, score_threshold=0.2)
    crop = desk_frames[10][40:373, 60:577]
    assert_parity(extractor(crop), golden(f"{extractor.info.model}_crop333x517_threshold.npz"))


def test_sequence(extractor: Extractor, desk_frames: list[np.ndarray], golden: Any) -> None:
    recorded = golden(f"{extractor.info.model}_sequence.json")
    extractor.reconfigure(max_keypoints=recorded["n_limit"], score_threshold=recorded["scores_th"])
    previous = None
    for image, expected in zip(desk_frames, recorded["frames"], strict=True):
        features = extractor(image)
        assert abs(len(features) - expected["keypoints"]) <= 0.005 * expected["keypoints"]
        if previous is not None:
            matches = mutual_nearest_neighbours(features, previous, recorded["similarity_th"])
            assert abs(len(matches) - expected["matches_to_previous"]) <= 0.01 * expected["matches_to_previous"]
        previous = features


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_dense_maps_of_the_readable_network(model: str, desk_frames: list[np.ndarray], golden: Any) -> None:
    import torch

    network = load_network(load(model))
    image = torch.from_numpy(desk_frames[0][200:264, 300:396].copy()).permute(2, 0, 1)[None] / 255.0
    with torch.inference_mode():
        feature_map, score_map = network.dense_maps(image)
    recorded = golden(f"{model}_dense64x96.npz")
    assert np.abs(feature_map[0].numpy() - recorded["feature_map"].astype(np.float32)).max() <= 2e-3
    assert np.abs(score_map[0, 0].numpy() - recorded["score_map"]).max() <= 1e-4
