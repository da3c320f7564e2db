# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What is measured, as functions of arrays: no files, no images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aliked_ros.errors import ConfigError

Points = NDArray[Any]  # (N, 2) pixels
_Matrix = NDArray[np.float64]


def apply_homography(homography: _Matrix, xy: Points) -> _Matrix:
    """Where a homography (3, 3) takes points (N, 2); NaN for those it takes to infinity or behind."""
    points = np.column_stack([np.asarray(xy, np.float64), np.ones(len(xy))]) @ homography.T
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(points[:, 2:] > 0, points[:, :2] / points[:, 2:], np.nan)


def matching_accuracy(errors_px: NDArray[Any], threshold_px: float) -> float:
    """The share of matches whose error is at most the threshold; 0 without a match (D2-Net, arXiv 1905.03561)."""
    return float(np.mean(errors_px <= threshold_px)) if len(errors_px) else 0.0


def corner_error_px(estimate: _Matrix | None, truth: _Matrix, width: int, height: int) -> float:
    """The mean distance between an image's corners under two homographies (SuperPoint, arXiv 1712.07629).

    Infinite without an estimate.
    """
    if estimate is None:
        return float("inf")
    # A homography and its negative are the same; positive in the centre, the camera looks at the plane's front.
    centre = np.array([(width - 1) / 2, (height - 1) / 2, 1.0])
    estimate = estimate * np.sign(estimate[2] @ centre)
    corners: _Matrix = np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]], np.float64)
    distances = np.linalg.norm(apply_homography(estimate, corners) - apply_homography(truth, corners), axis=1)
    return float(np.mean(distances)) if np.isfinite(distances).all() else float("inf")


def accuracy(errors: Sequence[float], threshold: float) -> float:
    """The share of errors that are at most the threshold; ConfigError without any."""
    if len(errors) == 0:
        raise ConfigError("a share needs at least one error, got none")
    return float(np.mean(np.asarray(errors) <= threshold))


def repeatability(expected_xy: Points, found_xy: Points, threshold_px: float) -> float:
    """The share of points that are seen again: a detection lies within the threshold of where each is expected.

    Args:
        expected_xy: where the other image's keypoints are in this image (N, 2); NaN where it does not see them.
        found_xy: this image's keypoints (K, 2).
        threshold_px: farthest that counts.

    Returns:
        NaN where no point is expected.
    """
    expected = expected_xy[np.isfinite(expected_xy).all(1)]
    if len(expected) == 0:
        return float("nan")
    if len(found_xy) == 0:
        return 0.0
    nearest = np.array([np.min(np.sum((found_xy - point) ** 2, 1)) for point in expected])
    return float(np.mean(nearest <= threshold_px**2))


def coverage(errors_xy: _Matrix, sigma_px: NDArray[Any]) -> float:
    """The share of errors, both axes of (N, 2) together, that are smaller than the 1-sigma (N,) estimated for them.

    A normal error is within its 1-sigma 68.3 % of the time. Rows without an estimate (NaN) do not count; NaN where
    none does.
    """
    known = np.isfinite(sigma_px) & np.isfinite(errors_xy).all(1)
    return float(np.mean(np.abs(errors_xy[known]) < sigma_px[known, None])) if known.any() else float("nan")


def survival(correct: NDArray[np.bool_], visible: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The share of the points that an image sees whose tracks are still right there.

    Args:
        correct: (N, A) whether point n's track is observed at age a, at the right place.
        visible: (N, A) whether that image sees the point.

    Returns:
        (A,); NaN where no point is visible.
    """
    with np.errstate(invalid="ignore"):
        return np.asarray((correct & visible).sum(0) / visible.sum(0), np.float64)


def lengths(correct: NDArray[np.bool_], visible: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For how many images each point was followed, (N,): until it is lost or wrong where an image sees it.

    Images that do not see the point neither count nor end it.
    """
    wrong = visible & ~correct
    ended = np.where(wrong.any(1), wrong.argmax(1), wrong.shape[1])
    before = np.arange(wrong.shape[1]) < ended[:, None]
    return np.asarray((correct & visible & before).sum(1), np.int64)
