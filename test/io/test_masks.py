# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from aliked_ros.errors import ConfigError, SourceError
from aliked_ros.io.masks import mask_named
from aliked_ros.mask import PolygonMask


def test_polygons_in_a_line_of_text() -> None:
    triangle, other = ((0.0, 400.5), (640.0, 400.0), (-10.0, 480.0)), ((1.0, 2.0), (3.0, 4.0), (5.0, 6.0))
    assert mask_named("0,400.5 640,400 -10,480") == PolygonMask((triangle,))
    assert mask_named(" 0,400.5  640,400 -10,480 ; 1,2 3,4 5,6;") == PolygonMask((triangle, other))


@pytest.mark.parametrize(
    "text", ["1,2 3,4", "1,2 3,4 5", "1,2 3,4 5,6,7", "1 2 3 4 5 6", "1,2,3,4,5,6", "1,2 3,4 5,-", "5"]
)
def test_what_is_no_polygon_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="polygon"):
        mask_named(text)


@pytest.mark.parametrize("channels", [1, 3])
def test_black_pixels_of_a_file_are_ignored(tmp_path: Path, channels: int) -> None:
    pixels = np.full((40, 50, channels), 255, np.uint8)
    pixels[10:20, 5:30] = 0
    pixels[0, 0, 0] = 1
    path = tmp_path / "mask.png"
    cv2.imwrite(str(path), pixels)
    np.testing.assert_array_equal(mask_named(str(path)).at(50, 40), pixels.any(axis=2))
    np.testing.assert_array_equal(mask_named(f"file://{path}").at(50, 40), pixels.any(axis=2))


def test_files_that_are_no_masks_are_refused(tmp_path: Path) -> None:
    black = tmp_path / "black.png"
    cv2.imwrite(str(black), np.zeros((40, 50), np.uint8))
    with pytest.raises(ConfigError, match=r"black\.png: .* 0 everywhere"):
        mask_named(str(black))
    with pytest.raises(SourceError, match=r"missing\.png: no such mask"):
        mask_named(str(tmp_path / "missing.png"))
    with pytest.raises(ConfigError, match=r"lossy\.jpg: JPEG does not keep the zeros"):
        mask_named(str(tmp_path / "lossy.jpg"))
