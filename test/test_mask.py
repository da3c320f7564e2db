# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import math

import numpy as np
import pytest

from aliked_ros.errors import ConfigError, ImageError
from aliked_ros.mask import ImageMask, PolygonMask

TRIANGLE = ((2.0, 1.0), (12.0, 1.0), (2.0, 9.0))


def test_a_polygon_covers_the_pixels_whose_centres_it_covers() -> None:
    wanted = PolygonMask((TRIANGLE,)).at(16, 12)
    for y in range(12):
        for x in range(16):
            inside = x >= 2 and y >= 1 and (x - 2) / 10 + (y - 1) / 8 < 1
            assert wanted[y, x] == (not inside), (x, y)


def test_the_direction_of_a_polygon_does_not_matter() -> None:
    there, back = (PolygonMask((polygon,)).at(16, 12) for polygon in (TRIANGLE, TRIANGLE[::-1]))
    np.testing.assert_array_equal(there, back)


def test_polygons_add_up_and_may_leave_the_image() -> None:
    left, bottom = (
        ((-50.0, -50.0), (3.5, -50.0), (3.5, 90.0), (-50.0, 90.0)),
        ((-9.0, 9.5), (99.0, 9.5), (99.0, 99.0), (-9.0, 99.0)),
    )
    wanted = PolygonMask((left, bottom)).at(16, 12)
    assert not wanted[:, :4].any()
    assert not wanted[10:].any()
    assert wanted[:10, 4:].all()


def test_polygons_fit_images_of_every_size() -> None:
    mask = PolygonMask((TRIANGLE,))
    for width, height in ((16, 12), (640, 480), (16, 12)):
        assert (~mask.at(width, height)).sum() == (~mask.at(16, 12)).sum()


def test_an_image_is_a_mask_for_its_size_only() -> None:
    wanted = np.ones((12, 16), np.bool_)
    mask = ImageMask(wanted)
    assert mask.at(16, 12) is wanted
    with pytest.raises(ImageError, match="the mask has 16×12 pixels and the image 12×16"):
        mask.at(12, 16)


def test_impossible_masks_are_refused() -> None:
    with pytest.raises(ConfigError, match="0 everywhere"):
        ImageMask(np.zeros((12, 16), np.bool_))
    with pytest.raises(ConfigError, match="three corners, got 2"):
        PolygonMask((TRIANGLE[:2],))
    with pytest.raises(ConfigError, match="finite"):
        PolygonMask(((*TRIANGLE, (math.nan, 0.0)),))
