# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Drawings change the pixels they should, where they should, and no others."""

from __future__ import annotations

import numpy as np
import pytest

from aliked_ros.features import Matches, Tracks
from aliked_ros.io.drawing import (
    INLIER,
    OUTLIER,
    TrackTrails,
    as_rgb,
    draw_banner,
    draw_caption,
    draw_keypoints,
    draw_matches,
    draw_score_map,
    draw_tracks,
    palette,
    side_by_side,
)

GROUNDS = [0, 128, 255]


def ground(level: int, height: int = 80, width: int = 100) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


def make_tracks(ids: list[int], xy: list[tuple[float, float]], ages: list[int] | None = None) -> Tracks:
    count = len(ids)
    return Tracks(
        ids=np.array(ids, np.int64),
        ages=np.array(ages or [1] * count, np.uint32),
        feature_indices=np.arange(count, dtype=np.uint32),
        xy=np.array(xy, np.float32).reshape(-1, 2),
        scores=np.full(count, 0.5, np.float32),
        lost_ids=np.empty(0, np.int64),
        median_parallax_px=0.0,
        keyframe_hint=False,
    )


def make_matches(
    xy: list[tuple[float, float]], xy_ref: list[tuple[float, float]], inliers: list[bool] | None = None
) -> Matches:
    rows = np.arange(len(xy), dtype=np.uint32)
    similarities = np.linspace(0.9, 1.0, len(xy), dtype=np.float32)
    points = (np.array(values, np.float32).reshape(-1, 2) for values in (xy, xy_ref))
    return Matches(rows, rows, *points, similarities, "test", None if inliers is None else np.array(inliers))


def changed(drawn: np.ndarray, image: np.ndarray) -> np.ndarray:
    return np.abs(drawn.astype(int) - image).max(2) > 0


def centre_of_change(drawn: np.ndarray, image: np.ndarray) -> np.ndarray:
    weight = np.abs(drawn.astype(float) - image).sum(2)
    y, x = np.mgrid[: weight.shape[0], : weight.shape[1]]
    return np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()


def test_grey_images_become_colour_and_inputs_stay_as_they_are() -> None:
    grey = np.full((80, 100), 7, np.uint8)
    drawn = draw_tracks(grey, make_tracks([0], [(50, 40)]))
    assert drawn.shape == (80, 100, 3)
    assert (grey == 7).all()
    flipped = ground(9)[:, ::-1]
    assert as_rgb(flipped).flags.c_contiguous
    assert not np.shares_memory(as_rgb(flipped), flipped)


@pytest.mark.parametrize("xy", [(50.0, 40.0), (50.5, 40.25), (30.0625, 20.5)])
@pytest.mark.parametrize("level", GROUNDS)
def test_a_track_is_drawn_where_it_is_to_a_fraction_of_a_pixel(xy: tuple[float, float], level: int) -> None:
    image = ground(level)
    drawn = draw_tracks(image, make_tracks([0], [xy], [1]), radius_px=3.0)
    np.testing.assert_allclose(centre_of_change(drawn, image), xy, atol=0.12)
    y, x = np.nonzero(changed(drawn, image))
    assert np.hypot(x - xy[0], y - xy[1]).max() < 6


@pytest.mark.parametrize("level", GROUNDS)
def test_marks_stand_out_from_any_ground(level: int) -> None:
    image = ground(level)
    for drawn in (
        draw_tracks(image, make_tracks([0], [(50, 40)])),
        draw_keypoints(image, np.array([[50, 40]], np.float32)),
        draw_banner(image, "text"),
    ):
        assert np.abs(drawn.astype(int) - image).max() > 100


def test_the_palette_goes_from_blue_over_green_to_red_at_full_brightness() -> None:
    colours = np.array(palette(64))
    assert len(colours) == 64
    assert colours[0].argmax() == 2
    assert colours[32].argmax() == 1
    assert colours[-1].argmax() == 0
    assert colours.max(1).min() > 150
    assert len(np.unique(colours, axis=0)) == 64


def test_age_decides_the_colour() -> None:
    image = ground(0)
    drawn = draw_tracks(image, make_tracks([0, 1], [(20, 40), (80, 40)], [1, 500]))
    assert drawn[40, 20].argmax() == 2  # new is blue
    assert drawn[40, 80].argmax() == 0  # old is red


def test_the_oldest_track_is_on_top() -> None:
    drawn = draw_tracks(ground(0), make_tracks([7, 3], [(50, 40), (50, 40)], [500, 1]))
    assert drawn[40, 50].argmax() == 0


def test_trails_follow_the_tracks() -> None:
    trails, image = TrackTrails(), ground(0)
    for x in (20, 40, 60):
        tracks = make_tracks([5], [(x, 40)])
        positions = trails.update(tracks)
    np.testing.assert_array_equal(positions[5], [[20, 40], [40, 40], [60, 40]])
    with_trail = changed(draw_tracks(image, tracks, positions), image)
    assert with_trail[40, 20:60].all()
    assert not with_trail[:35].any()
    assert not changed(draw_tracks(image, tracks), image)[40, 20:55].any()


def test_trails_are_bounded_in_length_and_number() -> None:
    trails = TrackTrails(length=4)
    for index in range(100):
        positions = trails.update(make_tracks([1000, index], [(index, 0), (0, index)]))
        assert len(trails) <= 5
    np.testing.assert_array_equal(positions[1000][:, 0], [96, 97, 98, 99])
    assert set(positions) == {1000, 99}


def test_a_trail_survives_a_short_gap() -> None:
    trails = TrackTrails(length=4)
    trails.update(make_tracks([1], [(10, 10)]))
    trails.update(make_tracks([], []))
    assert len(trails.update(make_tracks([1], [(20, 10)]))[1]) == 2
    trails.clear()
    assert len(trails) == 0
    assert len(trails.update(make_tracks([1], [(30, 10)]))[1]) == 1


def test_strong_keypoints_are_red_and_drawn_last() -> None:
    xy = np.array([[50, 40], [50, 40], [20, 20]], np.float32)
    drawn = draw_keypoints(ground(0), xy, np.array([1.0, 0.0, 0.0], np.float32), radius_px=4.0)
    assert drawn[40, 54].argmax() == 0
    assert drawn[20, 24].argmax() == 2


def test_matches_join_the_reference_on_the_left_with_the_image_on_the_right() -> None:
    image, reference = ground(0), ground(0, height=60, width=70)
    drawn = draw_matches(image, reference, make_matches([(90, 70)], [(10, 10)]), gap_px=8)
    assert drawn.shape == (80, 70 + 8 + 100, 3)
    assert drawn[10, 10].max() > 150
    assert drawn[70, 78 + 90].max() > 150
    assert drawn[40, 10 + 79].max() > 60  # half way along the line
    assert drawn[70, 90].max() < 60  # not at the reference's side


def test_verified_matches_are_green_or_red() -> None:
    matches = make_matches([(20, 20), (20, 60)], [(20, 20), (20, 60)], [True, False])
    drawn = draw_matches(ground(0), ground(0), matches)
    assert tuple(drawn[20, 20]) == INLIER
    assert tuple(drawn[60, 20]) == OUTLIER


def test_no_matches_are_no_lines() -> None:
    drawn = draw_matches(ground(9), ground(9), make_matches([], []), gap_px=0)
    assert (drawn == 9).all()


def test_the_score_map_glows_where_scores_are() -> None:
    scores = np.zeros((80, 100), np.float32)
    scores[30, 60] = 0.9
    for image in (ground(120), np.full((80, 100), 120, np.uint8)):
        drawn = draw_score_map(image, scores)
        assert drawn[30, 60].max() > 150
        assert (drawn[:28] == 42).all()  # the rest is the image, darkened


def test_a_banner_is_outlined_and_lines_stay_apart() -> None:
    image = ground(128, 240, 320)
    first, second = (changed(draw_banner(image, "123 features", line), image) for line in (0, 1))
    assert first.any()
    assert second.any()
    assert not (first & second).any()
    text = draw_banner(image, "123 features")
    assert text.max() > 240
    assert text.min() < 40


def test_a_banner_longer_than_the_image_is_cut() -> None:
    image = ground(128, 40, 60)
    assert draw_banner(image, "a long text that does not fit", 1).shape == image.shape
    assert (draw_banner(image, "text", 30) == image).all()


def test_side_by_side() -> None:
    joined = side_by_side(ground(1), np.full((80, 50), 2, np.uint8))
    assert joined.shape == (80, 150, 3)
    assert (joined[:, :100] == 1).all()
    assert (joined[:, 100:] == 2).all()


def rows_of_text(picture: np.ndarray) -> int:
    """Lines of white text in a black picture."""
    is_white = np.any(np.all(picture == 255, axis=2), axis=1)
    return int(np.count_nonzero(np.diff(is_white.astype(int)) == 1))


def test_a_caption_takes_as_many_lines_as_the_width_asks_for() -> None:
    parts = [f"{number} features" for number in range(100, 104)]
    wide, narrow, tiny = (np.zeros((240, width, 3), np.uint8) for width in (900, 300, 20))
    assert rows_of_text(draw_caption(wide, parts)) == 1
    assert rows_of_text(draw_caption(narrow, parts)) == 2
    assert draw_caption(tiny, parts).shape == tiny.shape
    np.testing.assert_array_equal(draw_caption(wide, []), wide)
    assert not wide.any(), "the image itself is left alone"
