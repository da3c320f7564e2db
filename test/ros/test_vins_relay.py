# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The relay to VINS-Fusion as a process of its own, read as the estimator reads it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from message_samples import make_tracks
from node_harness import PERIOD_NS, START_NS, Station, has_stamp, parameter_arguments, run_node, wait_until
from sensor_msgs.msg import PointCloud
from std_msgs.msg import Bool

from aliked_msgs.msg import Tracks as TracksMsg
from aliked_ros.features import Tracks
from aliked_ros.io.messages.message_fields import FrameMeta
from aliked_ros.ros.child import NodeProcess
from aliked_ros.ros.conversions import header_of, ns_from_time, tracks_to_message

pytestmark = pytest.mark.ros

MODULE = "aliked_ros.ros.vins_relay"
FEATURES, RESTART = "/feature_tracker/feature", "/vins_restart"


def feature_frame(message: Any) -> dict[int, list[tuple[int, list[float]]]]:
    """What the estimator is given: by feature, the camera and x, y, z, u, v and the velocity.

    Mirrors feature_callback of VINS-Fusion's rosNodeTest.cpp, which takes channels by their place, reads the ground
    truth wherever there are more than five, and insists on z = 1.
    """
    frame: dict[int, list[tuple[int, list[float]]]] = {}
    for i, point in enumerate(message.points):
        feature_id, camera_id = (int(message.channels[channel].values[i]) for channel in (0, 1))
        u, v, velocity_x, velocity_y = (message.channels[channel].values[i] for channel in (2, 3, 4, 5))
        if len(message.channels) > 5:
            assert all(len(message.channels[channel].values) > i for channel in (6, 7, 8))
        assert point.z == 1
        frame.setdefault(feature_id, []).append((camera_id, [point.x, point.y, point.z, u, v, velocity_x, velocity_y]))
    return frame


@dataclasses.dataclass
class Bench:
    """A relay and who talks to it."""

    station: Station
    publisher: Any
    log: Path
    sent: int = 0

    def send(self, tracks: Tracks, *, stamp_ns: int | None = None, epoch: int = 0, frame_seq: int | None = None) -> int:
        """Publishes tracks and returns their stamp."""
        stamp_ns = START_NS + self.sent * PERIOD_NS if stamp_ns is None else stamp_ns
        meta = FrameMeta(stamp_ns, "camera", self.sent if frame_seq is None else frame_seq, epoch, "camera")
        self.sent += 1
        header = header_of(stamp_ns, "left optical")
        self.publisher.publish(tracks_to_message(tracks, meta, image_width=640, image_height=480, header=header))
        return stamp_ns

    def received(self, stamp_ns: int) -> Any:
        return self.station.wait_for(FEATURES, has_stamp(stamp_ns))


@pytest.fixture
def bench(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Bench]:
    station = Station()
    station.subscribe(PointCloud, FEATURES)
    station.subscribe(Bool, RESTART)
    publisher = station.publisher(TracksMsg, "/tracker/tracks")
    log = tmp_path / "relay.log"
    try:
        with NodeProcess(MODULE, parameter_arguments(**getattr(request, "param", {})), log):
            station.wait_until_heard("/vins_relay", publisher)
            wait_until(lambda: station.node.count_publishers(FEATURES) > 0, "the relay's publisher")
            yield Bench(station, publisher, log)
        assert "Traceback" not in log.read_text()
    finally:
        station.close()


def numbered(count: int, *, first: int = 0, **changes: Any) -> Tracks:
    return dataclasses.replace(make_tracks(count), ids=np.arange(first, first + count, dtype=np.int64), **changes)


@pytest.mark.parametrize("bench", [{"max_rate": 0.0, "max_features": 4}], indirect=True)
def test_the_estimator_reads_what_the_tracker_found(bench: Bench) -> None:
    ages = np.array([9, 8, 7, 6, 5, 4], np.uint32)
    tracks = numbered(6, first=10, ages=ages)
    assert tracks.xy_norm is not None
    assert tracks.velocity is not None
    message = bench.received(bench.send(tracks))
    assert message.header.frame_id == "left optical"
    assert len(message.channels) == 9
    frame = feature_frame(message)
    assert sorted(frame) == [10, 11, 12, 13]  # the oldest
    for row in range(4):
        expected = [*tracks.xy_norm[row], 1.0, *tracks.xy[row], *np.nan_to_num(tracks.velocity[row])]
        ((camera, values),) = frame[10 + row]
        assert camera == 0
        np.testing.assert_array_equal(np.array(values, np.float32), np.array(expected, np.float32))
    # A new epoch's tracks are others, though their ids begin anew.
    assert sorted(feature_frame(bench.received(bench.send(numbered(2, first=10), epoch=1)))) == [26, 27]
    # So are those of a tracker that was started again.
    assert sorted(feature_frame(bench.received(bench.send(numbered(2), epoch=1, frame_seq=0)))) == [28, 29]
    empty = bench.received(bench.send(numbered(0), epoch=1, frame_seq=1))
    assert (len(empty.points), [len(channel.values) for channel in empty.channels]) == (0, [0] * 9)
    assert bench.station.messages(RESTART) == []


@pytest.mark.parametrize("bench", [{"max_rate": 0.0}], indirect=True)
def test_without_a_calibration_it_says_so_and_goes_on(bench: Bench) -> None:
    bare = dataclasses.replace(numbered(3), xy_norm=None, velocity=None)
    bench.send(bare)
    bench.received(bench.send(numbered(3)))
    assert len(bench.station.messages(FEATURES)) == 1
    assert "tracks carry no normalised coordinates, which VINS needs; connect camera_info" in bench.log.read_text()


def test_images_are_sent_at_ten_hertz_and_time_may_jump_back(bench: Bench) -> None:
    sent = [bench.send(numbered(3)) for _ in range(7)]  # at 30 Hz
    bench.received(sent[6])
    again = bench.send(numbered(3), stamp_ns=START_NS - 5 * 10**9)
    bench.received(again)
    stamps = [ns_from_time(message.header.stamp) for message in bench.station.messages(FEATURES)]
    assert stamps == [sent[0], sent[3], sent[6], again]
    assert bench.station.wait_for(RESTART).data is True
    assert "time jumped back by 5.200 s; VINS is told to start anew" in bench.log.read_text()


def test_a_message_that_contradicts_itself_is_refused(bench: Bench) -> None:
    meta = FrameMeta(START_NS, "camera", 0, 0, "camera")
    message = tracks_to_message(numbered(3), meta, image_width=640, image_height=480)
    message.num_tracks = 2
    bench.publisher.publish(message)
    bench.received(bench.send(numbered(3), frame_seq=1))
    assert len(bench.station.messages(FEATURES)) == 1
    assert "tracks not passed on: Tracks.scores has 3 values, expected 2" in bench.log.read_text()


def test_parameters_out_of_range_end_it_with_one_line() -> None:
    done = run_node(MODULE, parameter_arguments(max_features=2000))
    assert done.returncode == 1
    assert "parameter max_features: 2000 is not allowed" in done.stderr
    assert "Traceback" not in done.stderr
