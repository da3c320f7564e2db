# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The checks of a long run, with made-up violations of each thing they assert."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aliked_ros.features import Tracks
from aliked_ros.frontend.config import TrackingConfig
from aliked_ros.frontend.tracking import FeatureTracker
from aliked_ros.io.messages.message_fields import FrameMeta, TracksMessage
from aliked_ros.io.messages.status_fields import TrackerState, TrackerStatus
from aliked_ros.ros.soak_audit import CounterAudit, TrackAudit
from aliked_ros.ros.soak_report import CameraOutcome, Soak, Window, as_dict, as_table, checks

MAX_GAP = 2


def message(
    frame_seq: int,
    ages: dict[int, int],
    lost: tuple[int, ...] = (),
    epoch: int = 0,
    rows: tuple[int, ...] | None = None,
) -> TracksMessage:
    """Tracks by id with their ages."""
    count = len(ages)
    tracks = Tracks(
        ids=np.array(list(ages), np.int64),
        ages=np.array(list(ages.values()), np.uint32),
        feature_indices=np.array(range(count) if rows is None else rows, np.uint32),
        xy=np.zeros((count, 2), np.float32),
        scores=np.zeros(count, np.float32),
        lost_ids=np.array(lost, np.int64),
        median_parallax_px=0.0,
        keyframe_hint=False,
    )
    return TracksMessage(tracks, FrameMeta(0, "camera", frame_seq, epoch, "camera"), 640, 480)


GOOD = [
    message(0, {0: 1, 1: 1}),
    message(1, {0: 2, 2: 1}),
    message(2, {0: 3, 2: 2}),
    message(3, {0: 4}, lost=(1,)),
    message(4, {0: 5, 2: 3}),
    message(5, {0: 1, 1: 1}, epoch=1),  # nothing of the old epoch is told any more
    message(6, {1: 2, 0: 2}, epoch=1),
]


def audited(messages: list[TracksMessage], num_features: int = 2) -> TrackAudit:
    audit = TrackAudit(MAX_GAP)
    for one in messages:
        audit.add(one, num_features)
    return audit


def test_a_good_stream_has_no_complaint() -> None:
    audit = audited(GOOD)
    assert audit.complaints.first == []
    assert (audit.num_frames, audit.num_tracks, audit.num_epochs) == (7, 5, 2)


@pytest.mark.parametrize(
    ("after", "bad", "complaint"),
    [
        (3, message(4, {0: 5}), "follows frame 2"),
        (3, message(2, {0: 4, 2: 3}), "follows frame 2"),
        (3, message(3, {0: 4, 2: 3}), "id 1 vanished without being lost"),
        (3, message(3, {0: 4, 1: 2}, lost=(1,)), "id 1 is lost and seen at once"),
        (4, message(4, {0: 5, 2: 3}, lost=(1,)), "id 1 is lost, but did not live"),
        (4, message(4, {0: 5}, lost=(7,)), "id 7 is lost, but did not live"),
        (4, message(4, {0: 5, 1: 2}), "id 1 came back after it was given up"),
        (4, message(4, {0: 5, 1: 1}), "id 1 came back after it was given up"),
        (3, message(3, {0: 5}, lost=(1,)), "id 0 has age 5 after 3"),
        (3, message(3, {0: 3}, lost=(1,)), "id 0 has age 3 after 3"),
        (3, message(3, {0: 4, 9: 2}, lost=(1,)), "id 9 begins at age 2"),
        (3, message(3, {0: 4, 9: 1}, lost=(1,), rows=(0, 0)), "two tracks are one feature"),
        (3, message(3, {0: 4, 9: 1}, lost=(1,), rows=(0, 2)), "a track is feature 2 of 2"),
        (6, message(6, {0: 2}, epoch=0), "epoch 0 after 1"),
    ],
)
def test_each_violation_is_found(after: int, bad: TracksMessage, complaint: str) -> None:
    assert audited(GOOD[:after]).complaints.count == 0
    found = audited([*GOOD[:after], bad]).complaints.first
    assert any(complaint in text for text in found), found


def test_an_id_that_appears_twice_is_found() -> None:
    bad = message(1, {0: 2, 1: 2})
    bad.tracks.ids[1] = 0
    assert any("an id appears twice" in text for text in audited([GOOD[0], bad]).complaints.first)


def test_complaints_do_not_fill_the_memory() -> None:
    audit = audited([message(2 * index, {}) for index in range(1000)])
    assert audit.complaints.count == 999
    assert len(audit.complaints.first) == 20


@pytest.mark.parametrize("max_gap", [0, 1, 3])
def test_the_real_tracker_is_without_complaint(max_gap: int) -> None:
    """Features that come and go at random, with matches by descriptor."""
    from aliked_ros.features import Features
    from aliked_ros.frontend.matching import mutual_nearest_neighbours

    rng = np.random.default_rng(max_gap)
    rows = rng.normal(size=(30, 16))
    descriptors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    tracker, audit, previous = FeatureTracker(TrackingConfig(max_gap=max_gap)), TrackAudit(max_gap), None
    for frame_seq in range(200):
        seen = np.flatnonzero(rng.random(30) < 0.7)
        xy = np.stack([10.0 * seen, seen], axis=1).astype(np.float32)
        features = Features(xy, np.full(len(seen), 0.5, np.float32), descriptors[seen], 640, 480)
        matches = None if previous is None else mutual_nearest_neighbours(features, previous, 0.9)
        tracks = tracker.update(features, matches, frame_seq, None)
        audit.add(TracksMessage(tracks, FrameMeta(0, "", frame_seq, 0, ""), 640, 480), len(features))
        previous = features
    assert audit.complaints.first == []
    assert audit.num_tracks > 30, "tracks were lost and began anew"


def status(received: int, processed: int, dropped: int, refused: int) -> TrackerStatus:
    return TrackerStatus(TrackerState.RUNNING, received=received, processed=processed, dropped=dropped, refused=refused)


def counted(*statuses: TrackerStatus) -> CounterAudit:
    audit = CounterAudit()
    for one in statuses:
        audit.add(one)
    return audit


def test_counters_that_add_up_have_no_complaint() -> None:
    audit = counted(status(0, 0, 0, 0), status(3, 1, 1, 0), status(5, 2, 2, 1))
    assert audit.complaints.count == 0
    assert audit.highest_in_flight == 1


@pytest.mark.parametrize(
    ("second", "complaint"),
    [
        (status(3, 2, 2, 0), "-1 images in flight"),
        (status(20, 2, 2, 0), "16 images in flight"),
        (status(5, 1, 4, 0), "a counter fell"),
    ],
)
def test_counters_that_contradict_each_other_are_found(second: TrackerStatus, complaint: str) -> None:
    assert complaint in counted(status(4, 2, 2, 0), second).complaints.first[0]


def windows(rss_mb: Any = lambda i: 400.0, latency_ms: Any = lambda i: 30.0, count: int = 40) -> list[Window]:
    return [
        Window(
            end_s=float(i),
            rss_mb=rss_mb(i),
            rate_hz=20.0,
            sent_hz=30.0,
            latency_ms={"p50": latency_ms(i), "p95": 1.5 * latency_ms(i), "p99": 2 * latency_ms(i)},
        )
        for i in range(count)
    ]


def soak(camera: CameraOutcome | None = None, **changes: Any) -> Soak:
    if camera is None:
        camera = outcome()
    return Soak(40.0, 10.0, windows(**changes), [camera], 1.0, {"cameras": 1})


def outcome(final: TrackerStatus | None = None, published: int = 12, bad: int = 2) -> CameraOutcome:
    """Seven frames were audited."""
    return CameraOutcome("", published, bad, audited(GOOD), counted(final or status(10, 7, 2, 1)))


def failed(run: Soak) -> list[str]:
    return [check.name for check in checks(run) if not check.passed]


def test_a_steady_run_passes() -> None:
    run = soak()
    report = as_dict(run)
    assert failed(run) == []
    assert report["passed"]
    assert (report["received"], report["processed"], report["dropped"], report["refused"]) == (10, 7, 2, 1)
    assert (report["rss_start_mb"], report["rss_end_mb"]) == (400.0, 400.0)
    assert (report["latency_ms"]["p50"], report["latency_ms"]["last_third"]["p99"]) == (30.0, 60.0)
    assert "FAIL" not in as_table(report)


def test_memory_that_grows_fails_and_what_the_warm_up_takes_does_not() -> None:
    assert failed(soak(rss_mb=lambda i: 400.0 + 0.3 * i)) == ["memory is stable"]
    assert failed(soak(rss_mb=lambda i: 300.0 if i < 10 else 400.0)) == []
    assert failed(soak(rss_mb=lambda i: 400.0 + 200.0 * (i == 38))) == [], "one window does not decide"


def test_latency_that_grows_fails_and_a_disturbance_does_not() -> None:
    growing = soak(latency_ms=lambda i: 30.0 + 3.0 * i)
    assert "latency p50 is stable" in failed(growing)
    assert "FAIL latency p50 is stable" in as_table(as_dict(growing))
    assert failed(soak(latency_ms=lambda i: 500.0 if i in (15, 33, 34) else 30.0)) == []
    assert failed(soak(latency_ms=lambda i: 100.0 - i)) == [], "faster is no fault"


def test_a_tracker_that_stops_fails() -> None:
    silent = [*windows(count=25), *(Window(float(i), 400.0, 0.0, 30.0, {}) for i in range(25, 40))]
    run = Soak(40.0, 10.0, silent, [outcome()], 1.0, {"cameras": 1})
    assert failed(run) == ["latency is stable"]


@pytest.mark.parametrize(
    ("camera", "name"),
    [
        (outcome(status(10, 6, 3, 1)), "counters add up"),  # seven frames came, six were counted
        (outcome(status(11, 7, 2, 1)), "counters add up"),  # one is still in flight
        (outcome(status(10, 7, 2, 1), published=9), "counters add up"),  # received more than was sent
        (outcome(status(12, 7, 2, 3)), "bad images are refused"),  # a good one was refused
        (outcome(status(9, 7, 2, 0), published=60, bad=30), "bad images are refused"),
        (
            CameraOutcome("", 12, 2, audited([*GOOD, message(9, {})]), counted(status(11, 8, 2, 1))),
            "no lost or duplicated ids",
        ),
        (CameraOutcome("", 12, 2, audited(GOOD), CounterAudit()), "counters add up"),
    ],
)
def test_each_broken_promise_fails(camera: CameraOutcome, name: str) -> None:
    assert name in failed(soak(camera))
