# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Which images are matched: windows, loops, all."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from message_samples import make_features, unit_rows

from aliked_ros.errors import ConfigError
from aliked_ros.features import Features
from aliked_ros.frontend.config import MatchGraphConfig
from aliked_ros.frontend.match_graph import MatchGraph, TrackGraph, loop_pairs, matches_by_tracks

PLACES = 12  # a tour visits each place, then the first ones again


def tour() -> list[Features]:
    """Images of places; those of the second visit show the features of the first in another order, and noisy."""
    rng = np.random.default_rng(0)
    images = [make_features(40, 32, seed=place) for place in range(PLACES)]
    for place in range(3):
        order = rng.permutation(40)
        noisy = images[place].descriptors[order] + 0.02 * unit_rows(rng, 40, 32)
        noisy /= np.linalg.norm(noisy, axis=1, keepdims=True)
        images.append(dataclasses.replace(images[place], descriptors=noisy.astype(np.float32)))
    return images


def pairs_of(config: MatchGraphConfig) -> tuple[list[tuple[int, int]], dict[tuple[int, int], int]]:
    graph = MatchGraph(config)
    found = [pair for image in tour() for pair in graph.add(image)]
    found += list(graph.loops())
    return [(p.index, p.index_ref) for p in found], {(p.index, p.index_ref): len(p.matches) for p in found}


def test_sequential_pairs_are_those_of_the_window() -> None:
    pairs, _ = pairs_of(MatchGraphConfig(window=3))
    count = PLACES + 3
    assert pairs == [(b, a) for b in range(count) for a in range(max(0, b - 3), b)]


def test_exhaustive_pairs_are_all_pairs() -> None:
    pairs, matches = pairs_of(MatchGraphConfig(pairs="exhaustive", window=1))
    assert pairs == [(b, a) for b in range(PLACES + 3) for a in range(b)]
    assert all(matches[PLACES + place, place] == 40 for place in range(3))


def test_loops_are_found_where_places_are_seen_again() -> None:
    pairs, matches = pairs_of(MatchGraphConfig(pairs="loops", window=2, loop_candidates=1))
    assert len(set(pairs)) == len(pairs)
    for place in range(3):
        assert matches[PLACES + place, place] == 40
    far = [pair for pair in pairs if pair[0] - pair[1] > 2]
    assert len(far) <= PLACES + 3


def test_loops_of_images_without_features() -> None:
    assert loop_pairs([], 2, 3) == []
    empty = np.empty((0, 8), np.float32)
    some = unit_rows(np.random.default_rng(0), 5, 8)
    assert loop_pairs([empty] * 4, 1, 3) == []
    assert loop_pairs([some, empty, empty, some], 1, 3) == [(3, 0)]


def test_the_same_sequence_has_the_same_loops() -> None:
    descriptors = [image.descriptors for image in tour()]
    assert loop_pairs(descriptors, 2, 2) == loop_pairs(descriptors, 2, 2)


@pytest.mark.parametrize("changes", [{"window": 0}, {"pairs": "some"}, {"loop_candidates": 0}, {"min_similarity": 2.0}])
def test_impossible_settings_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        MatchGraphConfig(**changes)  # type: ignore[arg-type]


def test_images_match_by_the_tracks_that_they_share() -> None:
    now, before = make_features(4, 8), make_features(3, 8, seed=1)
    ids, ids_ref = np.array([7, -1, 3, 5], np.int64), np.array([-1, 5, 7], np.int64)
    matches = matches_by_tracks(now, ids, before, ids_ref)
    assert sorted(zip(matches.indices.tolist(), matches.indices_ref.tolist(), strict=True)) == [(0, 2), (3, 1)]
    np.testing.assert_array_equal(matches.xy, now.keypoints_xy[matches.indices])
    np.testing.assert_array_equal(matches.xy_ref, before.keypoints_xy[matches.indices_ref])
    expected = (now.descriptors[matches.indices] * before.descriptors[matches.indices_ref]).sum(1)
    np.testing.assert_allclose(matches.similarities, expected, atol=1e-6)
    bare = dataclasses.replace(now, descriptors=np.empty((4, 0), np.float32))
    assert np.isnan(matches_by_tracks(bare, ids, before, ids_ref).similarities).all()


def test_tracks_of_another_epoch_are_others() -> None:
    graph, ids = TrackGraph(2, None, None), np.arange(4, dtype=np.int64)
    numbers = [[(p.index, p.index_ref, len(p.matches)) for p in graph.add(make_features(4), ids)] for _ in range(4)]
    assert numbers == [[], [(1, 0, 4)], [(2, 0, 4), (2, 1, 4)], [(3, 1, 4), (3, 2, 4)]]
    graph.begin_epoch()
    assert list(graph.add(make_features(4), ids)) == []
    assert [(p.index, p.index_ref) for p in graph.add(make_features(4), ids)] == [(5, 4)]
