# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Percentiles and histograms of how long the stages of an image take."""

from __future__ import annotations

import json

import pytest

from aliked_ros.ros.stage_times import BOUNDS_MS, STAGES, Distribution, StageTimes, as_texts, distributions


def image(**changes: float) -> dict[str, float]:
    return {**dict.fromkeys(STAGES, 3.0), **changes}


def test_a_histogram_counts_every_value_once() -> None:
    times = Distribution.of([0.1, 0.5, 0.6, 1.0, 7.0, 1000.0, 5000.1, 60_000.0])
    assert sum(times.counts) == 8
    by_bound = dict(zip((*BOUNDS_MS, None), times.counts, strict=True))
    assert {bound: count for bound, count in by_bound.items() if count} == {0.5: 2, 1: 2, 10: 1, 1000: 1, None: 2}


def test_percentiles_are_those_of_the_values() -> None:
    times = Distribution.of([float(value) for value in range(101)])
    assert (times.p50, times.p95, times.p99, times.max) == (50.0, 95.0, 99.0, 100.0)


def test_only_the_last_images_count() -> None:
    stages = StageTimes(window=3)
    assert distributions(stages.copy()) == {}
    for latency in (900.0, 1.5, 1.5, 4.0):
        stages.add(image(latency=latency))
    times = distributions(stages.copy())["latency"]
    assert times.max == 4.0
    assert sum(times.counts) == 3


def test_a_missing_stage_is_an_error() -> None:
    with pytest.raises(KeyError, match="latency"):
        StageTimes().add({stage: 1.0 for stage in STAGES if stage != "latency"})


def test_tools_can_read_the_histogram() -> None:
    stages = StageTimes()
    for latency in (12.0, 15.0, 70.0):
        stages.add(image(latency=latency))
    texts = as_texts(distributions(stages.copy()))
    bounds, counts = json.loads(texts["histogram_bounds_ms"]), json.loads(texts["latency_ms_histogram"])
    assert len(counts) == len(bounds) + 1
    assert counts[bounds.index(20)] == 2
    assert counts[bounds.index(100)] == 1
    assert (texts["latency_ms_p50"], texts["latency_ms_max"]) == ("15.00", "70.00")
    assert all(f"{stage}_ms_{name}" in texts for stage in STAGES for name in ("p50", "p95", "p99", "max", "histogram"))
    assert as_texts({}) == {}
