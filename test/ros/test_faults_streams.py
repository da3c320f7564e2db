# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Streams that misbehave: a player that dies, clocks and stamps that jump, repeat or are zero, images that change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from diagnostic_msgs.msg import DiagnosticArray
from node_harness import PERIOD_NS, START_NS, TrackerBench, parameter_arguments, running_tracker, wait_until
from rosgraph_msgs.msg import Clock

from aliked_msgs.msg import TrackerStatus
from aliked_ros import Camera
from aliked_ros.io.frames import Frame
from aliked_ros.io.tum_writer import TumWriter
from aliked_ros.ros.child import NodeProcess
from aliked_ros.ros.conversions import ns_from_time, time_from_ns, tracks_from_message
from aliked_ros.ros.image_conversions import image_message, info_from_camera

pytestmark = pytest.mark.ros
CAMERA = Camera(320, 240, 260.0, 261.0, 159.5, 119.5)


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackerBench]:
    """A calibrated tracker that goes by /clock."""
    with running_tracker(
        tmp_path_factory.mktemp("tracker"),
        process_every_frame=True,
        max_keypoints=200,
        warmup_width=0,
        use_sim_time=True,
    ) as bench:
        bench.station.wait_until_heard(bench.name, bench.camera_info)
        bench.camera_info.publish(info_from_camera(CAMERA, 0, "camera"))
        wait_until(lambda: "calibrated" in bench.log_text(), "the calibration")
        yield bench


@pytest.fixture(scope="module")
def images(textured_image: np.ndarray) -> list[np.ndarray]:
    """A camera that moves two pixels per image."""
    return [np.ascontiguousarray(np.roll(textured_image, -2 * step, axis=1)) for step in range(4)]


def send(tracker: TrackerBench, image: np.ndarray, stamp_ns: int, **options: Any) -> tuple[Any, Any]:
    """The features and tracks of an image whose stamp need not be its own."""
    seq = tracker.status().processed
    tracker.send_image(image, stamp_ns=stamp_ns, **options)
    features, tracks = (
        tracker.station.wait_for(f"/tracker/{name}", lambda message: message.frame_seq == seq)
        for name in ("features", "tracks")
    )
    tracker.status(lambda status: status.processed == seq + 1)
    assert ns_from_time(features.header.stamp) == ns_from_time(tracks.header.stamp) == stamp_ns
    return features, tracks


def continued(before: Any, after: Any) -> int:
    """How many tracks of one image go on in another; ids that are used twice in an image are an error."""
    ids = [np.frombuffer(message.ids, np.int64) for message in (before, after)]
    assert all(len(set(one)) == len(one) for one in ids)
    return len(set(ids[0]) & set(ids[1])) if before.epoch == after.epoch else 0


def velocities(tracks: Any) -> np.ndarray:
    velocity = tracks_from_message(tracks).tracks.velocity
    assert velocity is not None
    assert not np.isinf(velocity).any()
    return velocity


def test_without_a_clock_it_works_and_says_so_once(tracker: TrackerBench, images: list[np.ndarray]) -> None:
    tracker.track(images[0])
    status = tracker.status(lambda status: status.processed > 0)
    assert ns_from_time(status.header.stamp) == 0
    text = "no time has come on /clock"
    wait_until(lambda: text in tracker.log_text(), "a warning")
    count = len(tracker.station.messages("/diagnostics"))
    wait_until(lambda: len(tracker.station.messages("/diagnostics")) > count + 2, "more reports")
    assert tracker.log_text().count(text) == 1


def test_a_clock_that_jumps_stops_no_report_and_no_image(tracker: TrackerBench, images: list[np.ndarray]) -> None:
    clock = tracker.station.publisher(Clock, "/clock")
    tracker.station.wait_until_heard(tracker.name, clock)
    first = tracker.track(images[0])
    for now_ns in (100 * START_NS // 1000, 5_000_000_000, 2 * START_NS, 1_000_000_000):
        clock.publish(Clock(clock=time_from_ns(now_ns)))
        count = len(tracker.station.messages("/diagnostics"))

        def reported(array: DiagnosticArray, now_ns: int = now_ns) -> bool:
            return ns_from_time(array.header.stamp) == now_ns

        tracker.station.wait_for("/diagnostics", reported)
        wait_until(
            lambda count=count: len(tracker.station.messages("/diagnostics")) > count + 1, "reports in real time"
        )
        tracker.status(lambda status, now_ns=now_ns: ns_from_time(status.header.stamp) == now_ns)
    assert tracker.track(images[0]).epoch == first.epoch, "images go by their own stamps"


def test_a_leap_forward_keeps_tracks_and_a_leap_back_starts_anew(
    tracker: TrackerBench, images: list[np.ndarray]
) -> None:
    start_ns = ns_from_time(tracker.track(images[0]).header.stamp) + 1  # no other test's stamps
    counters = tracker.counters()
    hour_ns = 3600 * 1_000_000_000
    _, before = send(tracker, images[0], start_ns + PERIOD_NS)
    _, far = send(tracker, images[1], start_ns + hour_ns)
    assert continued(before, far) > 50
    assert np.nanmax(np.abs(velocities(far))) < 1e-3, "a small motion in an hour"
    _, back = send(tracker, images[2], start_ns)
    assert back.epoch == far.epoch + 1
    assert np.isnan(velocities(back)).all()
    assert tracker.log_text().count("time jumped back by 3600.000 s") == 1
    assert tracker.counters() == (counters[0] + 3, counters[1] + 3, 0, 0)


@pytest.mark.parametrize("stamp_ns", [0, 7 * START_NS // 5], ids=["zero", "frozen"])
def test_stamps_that_stand_still(tracker: TrackerBench, images: list[np.ndarray], stamp_ns: int) -> None:
    assert tracker.reset().success
    _, first = send(tracker, images[0], stamp_ns)
    _, second = send(tracker, images[1], stamp_ns)
    _, third = send(tracker, images[2], stamp_ns)
    assert first.epoch == second.epoch == third.epoch
    assert continued(first, second) > 50
    assert continued(second, third) > 50
    assert np.isnan(velocities(third)).all(), "in no time there is no velocity"
    matches = tracker.station.wait_for("/tracker/matches", lambda m: m.frame_seq == third.frame_seq)
    assert (matches.frame_seq_ref, ns_from_time(matches.stamp_ref)) == (second.frame_seq, stamp_ns)
    _, later = send(tracker, images[3], stamp_ns + PERIOD_NS)
    assert later.epoch == first.epoch
    assert np.isfinite(velocities(later)).any()


@pytest.mark.parametrize("nanosec", [1_000_000_000, 2**32 - 1])
def test_impossible_stamps_are_refused(tracker: TrackerBench, images: list[np.ndarray], nanosec: int) -> None:
    before, (received, processed, dropped, refused) = tracker.track(images[0]), tracker.counters()
    message = image_message(images[1], 0, "camera")
    message.header.stamp.sec, message.header.stamp.nanosec = 5, nanosec
    tracker.send(message)
    tracker.status(lambda status: status.refused == refused + 1)
    assert tracker.counters() == (received + 1, processed, dropped, refused + 1)
    assert tracker.track(images[1]).epoch == before.epoch


def test_a_stamp_before_1970_is_a_stamp(tracker: TrackerBench, images: list[np.ndarray]) -> None:
    _, before = send(tracker, images[0], -1_500_000_000)
    _, after = send(tracker, images[1], -1_400_000_000)
    assert continued(before, after) > 50
    assert np.isfinite(velocities(after)).any()


def test_another_frame_id_or_encoding_changes_no_epoch(tracker: TrackerBench, images: list[np.ndarray]) -> None:
    stamp_ns, grey = tracker.next_stamp_ns(), np.ascontiguousarray(images[0][..., 1])
    _, before = send(tracker, images[0], stamp_ns)
    for step, frame_id in enumerate(("other", "", "camera"), 1):
        _, after = send(tracker, images[step], stamp_ns + step, frame_id=frame_id)
        assert after.header.frame_id == frame_id
        assert continued(before, after) > 50
        before = after
    # Grey and coloured images do not look alike to the network; ids are new where they must be, and never mixed up.
    _, other = send(tracker, grey, stamp_ns + 4)
    _, again = send(tracker, images[3], stamp_ns + 5)
    assert before.epoch == other.epoch == again.epoch
    assert continued(before, again) > 50, "within the gap that a track survives"


def test_a_size_that_changes_to_and_fro_has_an_epoch_for_each(tracker: TrackerBench, images: list[np.ndarray]) -> None:
    stamp_ns, small = ns_from_time(tracker.track(images[0]).header.stamp), np.ascontiguousarray(images[0][:120, :160])
    _, before = send(tracker, images[0], stamp_ns + 1)
    for index, image in enumerate((small, images[0], small, images[0]), 2):
        _, after = send(tracker, image, stamp_ns + index)
        assert after.epoch == before.epoch + 1
        assert (after.image_width, after.image_height) == image.shape[1::-1]
        # The calibration is of one size, and of no use for another.
        assert (len(after.xy_norm) > 0) == (image is images[0])
        before = after
    assert tracker.counters()[2] == 0


def test_a_player_that_is_killed_and_started_again(
    tracker: TrackerBench, images: list[np.ndarray], tmp_path: Path
) -> None:
    with TumWriter(tmp_path / "sequence", CAMERA) as writer:
        for index, image in enumerate(images):
            writer.write(Frame(START_NS + index * PERIOD_NS, image))
    arguments = parameter_arguments(
        input=tmp_path / "sequence", rate=0.2, loop=True, wait_for_subscribers=1, restamp=True
    )
    processed = tracker.counters()[1]
    for attempt in range(2):
        player = NodeProcess("aliked_ros.ros.player", arguments, tmp_path / f"player{attempt}.log")
        with player:
            tracker.status(lambda status, wanted=processed + 4: status.processed >= wanted)
            assert tracker.status().state == TrackerStatus.STATE_RUNNING
            player.kill()
        tracker.status(lambda s, wanted=processed + 4: s.processed >= wanted and s.state == TrackerStatus.STATE_IDLE)
        received, processed, dropped, refused = tracker.counters()
        assert received == processed + dropped + refused
    node = tracker.station.node
    for topic in ("features", "matches", "tracks", "status"):
        assert node.count_publishers(f"/tracker/{topic}") == 1
    assert node.count_subscribers("/image") == 1
    epochs = [message.epoch for message in tracker.station.messages("/tracker/features")]
    assert epochs == sorted(epochs)
    # Real time goes on, so the second player's images follow the first one's.
    assert epochs[-1] == epochs[-8]
