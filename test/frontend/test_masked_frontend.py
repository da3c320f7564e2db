# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Masks and cells from the extractor's and the front-end's side."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from aliked_ros import Extractor, Frontend
from aliked_ros.errors import ConfigError, ImageError
from aliked_ros.frontend.config import ExtractorConfig, SelectionConfig
from aliked_ros.mask import ImageMask, PolygonMask

LEFT_HALF = PolygonMask((((-1.0, -1.0), (159.5, -1.0), (159.5, 240.0), (-1.0, 240.0)),))


@pytest.fixture
def extractor() -> Extractor:
    return Extractor.from_pretrained(
        "aliked-t16", device="cpu", precision="fp32", score_threshold=0.0, max_keypoints=300
    )


def test_masks_of_both_types(extractor: Extractor, textured_image: np.ndarray) -> None:
    mask = np.zeros((240, 320), np.uint8)
    mask[:, 160:] = 7
    features = extractor(textured_image, mask)
    assert len(features) == 300
    assert features.keypoints_xy[:, 0].min() >= 159.5
    assert extractor(textured_image, mask=mask > 0).descriptors.tobytes() == features.descriptors.tobytes()
    assert (
        extractor(textured_image, mask=np.asfortranarray(mask)).descriptors.tobytes() == features.descriptors.tobytes()
    )
    assert extractor(textured_image).keypoints_xy[:, 0].min() < 159.5


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.ones((320, 240), np.uint8), r"shape of its image, \(240, 320\), got \(320, 240\)"),
        (np.ones((240, 320, 3), np.uint8), r"got \(240, 320, 3\)"),
        (np.ones((240, 320), np.float32), "uint8 or bool, got float32"),
        ([[1]], "uint8 or bool, got list"),
    ],
)
def test_unusable_masks_are_refused(
    extractor: Extractor, textured_image: np.ndarray, mask: np.ndarray, message: str
) -> None:
    with pytest.raises(ImageError, match=message):
        extractor(textured_image, mask)


def test_cells_change_with_the_next_image(extractor: Extractor, textured_image: np.ndarray) -> None:
    before = extractor(textured_image)
    extractor.reconfigure(selection=SelectionConfig(max_per_cell=2))
    spread = extractor(textured_image)
    columns, rows = np.floor(spread.keypoints_xy + 0.5).astype(int).T
    counts = np.bincount(rows * 6 // 240 * 8 + columns * 8 // 320, minlength=48)
    assert counts.tolist() == [2] * 48
    extractor.reconfigure(max_keypoints=10)
    assert len(extractor(textured_image)) == 10, "the other limit holds as well"
    extractor.reconfigure(max_keypoints=300, selection=SelectionConfig())
    assert extractor(textured_image).keypoints_xy.tobytes() == before.keypoints_xy.tobytes()


def test_a_configured_grid_holds_from_the_first_image(textured_image: np.ndarray) -> None:
    config = ExtractorConfig("aliked-t16", device="cpu", score_threshold=0.0)
    extractor = Extractor.from_config(config, SelectionConfig(max_per_cell=1, grid_rows=2, grid_columns=3))
    assert len(extractor(textured_image)) == 6
    with pytest.raises(ConfigError, match="grid_rows must be at least 1, got 0"):
        SelectionConfig(grid_rows=0)


def test_a_frontend_looks_past_its_mask(extractor: Extractor, textured_image: np.ndarray) -> None:
    frontend = Frontend(extractor, mask=LEFT_HALF)
    for index in range(2):
        result = frontend(textured_image, index)
        assert len(result.features) == 300
        assert result.tracks.xy[:, 0].min() >= 159.5
    smaller = frontend(textured_image[:200], 2)
    assert smaller.features.keypoints_xy[:, 0].min() >= 159.5, "a polygon fits every size"


def test_a_mask_of_another_size_changes_nothing_but_that_image(
    extractor: Extractor, textured_image: np.ndarray
) -> None:
    frontend = Frontend(extractor, mask=ImageMask(np.ones((240, 320), np.bool_)))
    first = frontend(textured_image, 0)
    with pytest.raises(ImageError, match="the mask has 320×240 pixels and the image 320×200"):
        frontend(textured_image[:200], 1)
    with pytest.raises(ImageError, match="uint8"):
        frontend(textured_image.astype(np.float32), 1)  # type: ignore[arg-type]
    second = frontend(textured_image, 1)
    assert (second.frame_seq, second.epoch, second.frame_seq_ref) == (1, first.epoch, 0)


@pytest.mark.parametrize(
    ("corner", "hidden"), [((1000.0, 1000.0), "nothing"), ((-1000.0, -1000.0), "everything")], ids=str
)
def test_a_mask_that_cannot_be_meant_is_told(
    extractor: Extractor,
    textured_image: np.ndarray,
    caplog: pytest.LogCaptureFixture,
    corner: tuple[float, float],
    hidden: str,
) -> None:
    x, y = corner
    far = PolygonMask((((x, y), (9000.0, y), (9000.0, 9000.0), (x, 9000.0)),))
    frontend = Frontend(extractor, mask=far)
    with caplog.at_level(logging.WARNING):
        for index in range(3):
            frontend(textured_image, index)
            frontend.reset()
    assert caplog.messages == [f"the mask hides {hidden} of an image of 320×240 pixels"]
