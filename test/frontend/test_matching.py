# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import numpy as np
import pytest

from aliked_ros import Features, mutual_nearest_neighbours
from aliked_ros.errors import ShapeError


def make_features(descriptors: np.ndarray) -> Features:
    count = len(descriptors)
    xy = np.arange(2 * count, dtype=np.float32).reshape(count, 2)
    return Features(xy, np.full(count, 0.5, np.float32), descriptors.astype(np.float32), 640, 480)


def unit_vectors(count: int, dim: int = 16, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, dim))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_a_permutation_is_found() -> None:
    descriptors = unit_vectors(50)
    order = np.random.default_rng(1).permutation(50)
    matches = mutual_nearest_neighbours(make_features(descriptors), make_features(descriptors[order]))
    assert len(matches) == 50
    np.testing.assert_array_equal(order[matches.indices_ref], matches.indices)
    np.testing.assert_allclose(matches.similarities, 1.0, atol=1e-6)


def test_coordinates_belong_to_the_rows() -> None:
    a, b = make_features(unit_vectors(20, seed=1)), make_features(unit_vectors(30, seed=1))
    matches = mutual_nearest_neighbours(a, b, min_similarity=0.1)
    assert len(matches) > 0
    np.testing.assert_array_equal(matches.xy, a.keypoints_xy[matches.indices])
    np.testing.assert_array_equal(matches.xy_ref, b.keypoints_xy[matches.indices_ref])


def test_only_mutual_pairs_match() -> None:
    # Both rows of a are nearest to b's only row; that row is nearest to a's second.
    a = make_features(np.array([[0.8, 0.6], [1.0, 0.0]]))
    b = make_features(np.array([[1.0, 0.0]]))
    matches = mutual_nearest_neighbours(a, b, min_similarity=0.5)
    assert matches.indices.tolist() == [1]
    assert matches.indices_ref.tolist() == [0]


def test_nothing_alike_gives_no_match() -> None:
    # The published code zeroes what is below the gate and then pairs row 0 with column 0.
    a = make_features(np.array([[1.0, 0.0]]))
    b = make_features(np.array([[0.0, 1.0]]))
    assert len(mutual_nearest_neighbours(a, b, min_similarity=0.9)) == 0


@pytest.mark.parametrize("similarity", [0.3, 0.6, 0.95])
def test_the_gate_holds(similarity: float) -> None:
    rng = np.random.default_rng(3)
    descriptors = unit_vectors(200, dim=8)
    noisy = descriptors + rng.normal(scale=0.2, size=descriptors.shape)
    noisy /= np.linalg.norm(noisy, axis=1, keepdims=True)
    matches = mutual_nearest_neighbours(make_features(descriptors), make_features(noisy), similarity)
    assert matches.similarities.min() >= similarity
    cosine = np.sum(descriptors[matches.indices] * noisy[matches.indices_ref], axis=1)
    np.testing.assert_allclose(matches.similarities, cosine, atol=1e-5)


@pytest.mark.parametrize(("left", "right"), [(0, 5), (5, 0), (0, 0)])
def test_empty_sides(left: int, right: int) -> None:
    empty = np.empty((0, 16))
    a = make_features(unit_vectors(left) if left else empty)
    b = make_features(unit_vectors(right) if right else empty)
    assert len(mutual_nearest_neighbours(a, b)) == 0


def test_descriptors_of_two_models_are_refused() -> None:
    with pytest.raises(ShapeError, match="dimension 8 cannot be matched to those of dimension 16"):
        mutual_nearest_neighbours(make_features(unit_vectors(3, 8)), make_features(unit_vectors(3, 16)))
