# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Metrics on cases whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from aliked_ros.errors import ConfigError
from aliked_ros.evaluation import metrics

SHIFT = np.array([[1.0, 0.0, 3.0], [0.0, 1.0, 4.0], [0.0, 0.0, 1.0]])


def test_homographies_move_points() -> None:
    np.testing.assert_allclose(metrics.apply_homography(SHIFT, np.array([[1, 2]])), [[4, 6]])
    horizon = np.array([[1.0, 0, 0], [0, 1, 0], [0.01, 0, 1]])
    moved = metrics.apply_homography(horizon, np.array([[100, 50], [-100, 0], [-200, 0]]))
    np.testing.assert_allclose(moved[0], [50, 25])
    assert np.isnan(moved[1:]).all(), "at infinity and behind"


def test_matching_accuracy() -> None:
    errors = np.array([0.5, 1.0, 2.0, np.inf])
    assert metrics.matching_accuracy(errors, 1.0) == 0.5
    assert metrics.matching_accuracy(errors, 3.0) == 0.75
    assert metrics.matching_accuracy(np.empty(0), 3.0) == 0.0


def test_corner_error() -> None:
    assert metrics.corner_error_px(SHIFT, SHIFT, 640, 480) == 0.0
    assert metrics.corner_error_px(np.eye(3), SHIFT, 640, 480) == pytest.approx(5.0)
    assert metrics.corner_error_px(-7 * SHIFT, SHIFT, 640, 480) == pytest.approx(0.0), "its scale and sign mean nothing"
    assert metrics.corner_error_px(None, SHIFT, 640, 480) == np.inf


def test_accuracy() -> None:
    assert metrics.accuracy([1.0, 3.0, np.inf], 3.0) == pytest.approx(2 / 3)
    with pytest.raises(ConfigError, match="at least one error"):
        metrics.accuracy([], 1.0)


def test_repeatability() -> None:
    expected = np.array([[10, 10], [20, 20], [30, 30], [np.nan, np.nan]])
    found = np.array([[11, 10], [20, 24], [300, 300]])
    assert metrics.repeatability(expected, found, 3.0) == pytest.approx(1 / 3)
    assert metrics.repeatability(expected, found, 4.0) == pytest.approx(2 / 3)
    assert metrics.repeatability(expected, np.empty((0, 2)), 3.0) == 0.0
    assert np.isnan(metrics.repeatability(expected[3:], found, 3.0))


def test_coverage_of_normal_errors_is_68_percent() -> None:
    rng = np.random.default_rng(0)
    sigma = rng.uniform(0.1, 2.0, 50000)
    errors = rng.normal(size=(50000, 2)) * sigma[:, None]
    assert metrics.coverage(errors, sigma) == pytest.approx(0.683, abs=0.005)
    assert metrics.coverage(errors, 2 * sigma) == pytest.approx(0.954, abs=0.005)
    sigma[::2] = np.nan
    assert metrics.coverage(errors, sigma) == pytest.approx(0.683, abs=0.005)
    assert np.isnan(metrics.coverage(errors, np.full(50000, np.nan)))


def test_survival_and_lengths() -> None:
    correct = np.array([[1, 1, 1, 1], [1, 0, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0]], bool)
    visible = np.array([[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 0]], bool)
    np.testing.assert_allclose(metrics.survival(correct, visible), [3 / 4, 2 / 4, 2 / 3, 1 / 2])
    np.testing.assert_array_equal(metrics.lengths(correct, visible), [4, 1, 2, 0])
    gap = np.array([[1, 0, 1]], bool)
    assert metrics.lengths(gap, np.array([[1, 0, 1]], bool))[0] == 2, (
        "an image that does not see the point ends nothing"
    )
    assert np.isnan(metrics.survival(gap, np.zeros((1, 3), bool))).all()
