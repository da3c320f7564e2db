# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The depth of features."""

from __future__ import annotations

import numpy as np
import pytest

from aliked_ros.errors import ImageError
from aliked_ros.features import Features
from aliked_ros.frontend.depth import depth_of


def features_at(xy: list[tuple[float, float]]) -> Features:
    points = np.array(xy, np.float32).reshape(-1, 2)
    count = len(points)
    return Features(points, np.linspace(0.9, 0.5, count, dtype=np.float32), np.zeros((count, 4), np.float32), 8, 6)


def test_the_nearest_pixel_counts_and_nothing_is_mixed() -> None:
    depth_m = np.arange(48, dtype=np.float32).reshape(6, 8)
    depth_m[2, 3] = np.nan
    found = depth_of(features_at([(0.4, 0.0), (2.6, 2.4), (7.3, 5.4), (3.6, 2.0)]), depth_m)
    np.testing.assert_array_equal(found, np.array([0, np.nan, 47, 20], np.float32))
    assert len(depth_of(features_at([]), depth_m)) == 0


def test_another_size_is_refused() -> None:
    with pytest.raises(ImageError, match="depth of 6×8 pixels for an image of 8×6"):
        depth_of(features_at([(1, 1)]), np.zeros((8, 6), np.float32))
