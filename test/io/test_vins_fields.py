# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Tracks for VINS-Fusion: numbers that a float32 holds, the oldest tracks, the nine channels."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from message_samples import make_tracks

from aliked_ros.errors import CalibrationError
from aliked_ros.features import Tracks
from aliked_ros.io.messages.vins_fields import CHANNELS, ID_LIMIT, FeatureIds, oldest, vins_arrays


def tracks_with(ids: list[int], ages: list[int] | None = None) -> Tracks:
    tracks = make_tracks(len(ids))
    used = [1] * len(ids) if ages is None else ages
    return dataclasses.replace(tracks, ids=np.array(ids, np.int64), ages=np.array(used, np.uint32))


def test_numbers_are_those_of_the_tracks_while_an_epoch_lasts() -> None:
    numbers = FeatureIds()
    assert numbers.of(tracks_with([0, 5, 9]), 3, 10).tolist() == [0, 5, 9]
    assert numbers.of(tracks_with([5, 9, 20]), 3, 11).tolist() == [5, 9, 20]
    assert numbers.of(tracks_with([]), 3, 12).tolist() == []


@pytest.mark.parametrize(("epoch", "frame_seq"), [(1, 2), (0, 1), (0, 0)])
def test_numbers_are_not_used_again(epoch: int, frame_seq: int) -> None:
    """Neither after a reset nor after the tracker was started again, which begins with epoch and frame 0."""
    numbers = FeatureIds()
    numbers.of(tracks_with([0, 1, 30]), 0, 0)
    numbers.of(tracks_with([1, 2]), 0, 1)
    assert numbers.of(tracks_with([0, 1]), epoch, frame_seq).tolist() == [31, 32]


def test_numbers_stay_exact_in_float32() -> None:
    numbers = FeatureIds()
    found = numbers.of(tracks_with([ID_LIMIT - 1, ID_LIMIT, 2**40]), 0, 0)
    assert found.tolist() == [ID_LIMIT - 1, 0, 2**40 % ID_LIMIT]
    np.testing.assert_array_equal(found.astype(np.float32).astype(np.int64), found)
    assert int(np.float32(ID_LIMIT + 1)) == ID_LIMIT  # why there is a limit


def test_the_oldest_are_chosen_and_stay_chosen() -> None:
    assert oldest(tracks_with([1, 2, 3, 4], [2, 9, 9, 5]), 3).tolist() == [1, 2, 3]
    assert oldest(tracks_with([1, 2, 3], [1, 1, 1]), 2).tolist() == [0, 1]
    assert oldest(tracks_with([]), 5).tolist() == []


def test_what_has_no_place_on_the_plane_is_not_chosen() -> None:
    tracks = tracks_with([1, 2, 3, 4], [2, 9, 9, 5])
    xy_norm = np.zeros((4, 2), np.float32)
    xy_norm[1] = np.nan
    assert oldest(dataclasses.replace(tracks, xy_norm=xy_norm), 2).tolist() == [2, 3]


def test_points_and_channels() -> None:
    tracks = make_tracks(6)
    assert tracks.xy_norm is not None
    assert tracks.velocity is not None
    rows = np.array([1, 2, 5])
    points, channels = vins_arrays(tracks, np.arange(6) + 100, rows)
    assert (points.dtype, channels.dtype, channels.shape) == (np.float32, np.float32, (len(CHANNELS), 3))
    np.testing.assert_array_equal(points, np.c_[tracks.xy_norm[rows], np.ones(3)])
    np.testing.assert_array_equal(channels[:2], [[101, 102, 105], [0, 0, 0]])
    np.testing.assert_array_equal(channels[2:4], tracks.xy[rows].T)
    # NaN, no velocity yet, is 0 as VINS's own front-end has it.
    np.testing.assert_array_equal(channels[4:6], np.nan_to_num(tracks.velocity[rows]).T)
    assert np.isnan(channels[6:]).all()


def test_no_tracks_are_an_empty_cloud_with_nine_channels() -> None:
    points, channels = vins_arrays(make_tracks(0, full=False), np.empty(0, np.int64), np.empty(0, np.intp))
    assert (points.shape, channels.shape) == ((0, 3), (9, 0))


def test_a_calibration_is_needed() -> None:
    with pytest.raises(CalibrationError, match="connect camera_info to the tracker"):
        vins_arrays(make_tracks(full=False), np.arange(6), np.arange(6))
