# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The log of a real tracker: complete at the end, readable after its death, and no trouble when the disk is full."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from diagnostic_msgs.msg import DiagnosticStatus
from node_harness import Station, TrackerBench, parameter_arguments, running_tracker, wait_until
from rclpy.serialization import deserialize_message
from rosbags.highlevel import AnyReader
from small_disk import fill, small_disk

from aliked_ros.errors import SourceError
from aliked_ros.io.bags.reader import BagReader
from aliked_ros.ros.child import NodeProcess
from aliked_ros.ros.conversions import ns_from_time

pytestmark = pytest.mark.ros
FAST: dict[str, Any] = {"process_every_frame": True, "max_keypoints": 200, "warmup_width": 0}


def table_of(path: Path) -> np.ndarray:
    return np.atleast_1d(np.genfromtxt(path, delimiter=",", names=True, dtype=None, encoding="utf-8"))


def test_both_kinds_of_log_agree_with_what_was_published(tmp_path: Path, textured_image: np.ndarray) -> None:
    """One after the other in one run: the file is live."""
    table, recording = tmp_path / "run.csv", tmp_path / "run.mcap"
    with running_tracker(tmp_path, **FAST, log__path=table) as tracker:
        first = [tracker.track(textured_image) for _ in range(3)]
        assert tracker.station.set_parameters("/tracker", log__path=str(recording)).successful
        second = [tracker.track(textured_image) for _ in range(3)]
        refused = tracker.station.set_parameters("/tracker", log__path="run.txt")
        assert refused.reason == "log.path must end in .csv or .mcap, got 'run.txt'"
        refused = tracker.station.set_parameters("/tracker", log__path="~no-such-user/run.csv")
        assert "the home folder in '~no-such-user/run.csv' cannot be found" in refused.reason
        messages = {name: tracker.station.messages(f"/tracker/{name}") for name in ("features", "matches", "tracks")}
    rows = table_of(table)
    assert rows["stamp_ns"].tolist() == [ns_from_time(message.header.stamp) for message in first]
    assert rows["features"].tolist() == [message.num_features for message in first]
    assert rows["frame_seq"].tolist() == [0, 1, 2]
    assert rows["tracks"].tolist() == [message.num_tracks for message in messages["tracks"][:3]]
    assert np.isnan(rows["matches"][0])
    assert rows["matches"][1:].tolist() == [message.num_matches for message in messages["matches"][:2]]
    parts = sum(rows[f"{stage}_ms"] for stage in ("wait", "preprocess", "inference", "match", "publish"))
    assert (rows["latency_ms"] >= 0.99 * parts).all()
    assert len(messages["matches"]) == 5
    with AnyReader([recording]) as reader:
        logged: dict[str, list[bytes]] = {}
        for connection, _, data in reader.messages():
            logged.setdefault(connection.topic, []).append(bytes(data))
    assert set(logged) == {f"/tracker/{name}" for name in ("features", "matches", "tracks", "status")}
    assert len(logged["/tracker/features"]) == len(second)
    for name, published in messages.items():
        assert_logged(logged[f"/tracker/{name}"], published[-len(logged[f"/tracker/{name}"]) :])


def assert_logged(logged: list[bytes], published: list[Any]) -> None:
    """The messages are the same; padding between their fields, which serialisers fill with anything, may differ."""
    assert len(logged) == len(published) > 0
    for data, message in zip(logged, published, strict=True):
        assert str(deserialize_message(data, type(message))) == str(message)


def test_a_killed_tracker_leaves_what_it_wrote(tmp_path: Path, textured_image: np.ndarray) -> None:
    recording, station = tmp_path / "run.mcap", Station()
    try:
        bench = TrackerBench(station, tmp_path / "log")
        parameters = {**FAST, "model": "aliked-n16", "device": "cpu", "precision": "fp32", "score_threshold": 0.0}
        with NodeProcess(
            "aliked_ros.ros.tracker", parameter_arguments(**parameters, log__path=recording), bench.log
        ) as process:
            bench.wait_until_ready()
            sent = [bench.track(textured_image) for _ in range(8)]
            wait_until(lambda: recording.stat().st_size > 10_000, "some chunks")
            with pytest.raises(Exception, match="exit code -9"):
                process.stop(signal.SIGKILL)
        found = []
        with BagReader(recording) as reader:
            assert not reader.is_indexed
            with pytest.raises(SourceError, match="cut off"):
                found.extend(reader.messages(["/tracker/features"]))
        assert 1 <= len(found) <= len(sent)
        assert_logged([message.data for message in found], sent[: len(found)])
    finally:
        station.close()


def test_a_full_disk_costs_no_image(tmp_path: Path, textured_image: np.ndarray) -> None:
    with small_disk(tmp_path / "disk", 256) as disk:
        fill(disk)
        with running_tracker(tmp_path, **FAST, log__path=disk / "run.csv") as tracker:
            for _ in range(5):
                tracker.track(textured_image)
            array = tracker.station.wait_for(
                "/diagnostics", lambda array: "the log is not written" in array.status[0].message
            )
            assert "No space left on device" in array.status[0].message
            assert array.status[0].level == DiagnosticStatus.WARN
            assert tracker.counters() == (5, 5, 0, 0)
            assert tracker.log_text().count("the log is not written, images are") == 1
