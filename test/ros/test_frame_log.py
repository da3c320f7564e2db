# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The log's thread: what it writes, what it does about full, slow and forbidden disks, and that it holds nobody up."""

from __future__ import annotations

import csv
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from message_samples import META, make_features, make_matches, make_tracks
from node_harness import TIMEOUT_S, wait_until
from rosbags.highlevel import AnyReader
from small_disk import fill, small_disk

from aliked_ros.features import ModelType
from aliked_ros.frontend.frontend import FrameResult
from aliked_ros.io.bags.reader import BagReader
from aliked_ros.io.messages.descriptors import DescriptorDtype
from aliked_ros.io.messages.status_fields import TrackerState, TrackerStatus
from aliked_ros.ros import log_files
from aliked_ros.ros.frame_log import FrameLog
from aliked_ros.ros.log_files import COLUMNS, FrameEntry, StereoEntry
from aliked_ros.ros.node_config import LogConfig

TOPICS = {name: f"/tracker/{name}" for name in ("features", "matches", "tracks", "status")}
NOW_NS = 1_700_000_000_000_000_000


class Lines:
    """A logger that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.info = self.warning = self.error = self.lines.append

    def count(self, text: str) -> int:
        return sum(text in line for line in self.lines)


def entry(number: int, *, dropped: int = 0, verified: bool = True) -> FrameEntry:
    """Of an image; the first has no matches."""
    matches = make_matches(model=ModelType.ESSENTIAL if verified else ModelType.NONE) if number else None
    result = FrameResult(
        number, 0, META.stamp_ns + number, make_features(50, 64), make_tracks(), matches,
        number - 1 if number else None, META.stamp_ns + number - 1 if number else None, {},
    )  # fmt: skip
    status = TrackerStatus(
        TrackerState.RUNNING, "cpu", received=number + 1 + dropped, processed=number + 1, dropped=dropped,
        mean_track_age=2.5, preprocess_ms=1.0, inference_ms=8.0, match_ms=2.0, publish_ms=0.5, latency_ms=12.0,
    )  # fmt: skip
    return FrameEntry(NOW_NS + number, TOPICS, result, META, DescriptorDtype.FLOAT32, status, 0.5)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
def log(lines: Lines) -> Iterator[FrameLog]:
    log = FrameLog(lines, retry_s=0.05, finish_s=TIMEOUT_S)
    yield log
    log.stop()


def offer(log: FrameLog, *entries: Any) -> None:
    for made in entries:
        log.offer(lambda made=made: made)


def values(log: FrameLog) -> dict[str, Any]:
    return dict(log.finding().values)


def handled(log: FrameLog) -> int:
    """Images that were written or lost."""
    found = values(log)
    return int(found["log_written"]) + int(found["log_lost"])


def wait_for(log: FrameLog, **expected: int) -> None:
    wait_until(lambda: all(values(log)[f"log_{name}"] == str(v) for name, v in expected.items()), str(expected))


def test_a_line_for_each_image(log: FrameLog, lines: Lines, tmp_path: Path) -> None:
    log.use(LogConfig(str(tmp_path / "run.csv")))
    offer(log, entry(0), entry(1, dropped=3), entry(2, dropped=4, verified=False))
    log.stop()
    rows = rows_of(tmp_path / "run.csv")
    assert tuple(rows[0]) == COLUMNS
    assert [row["dropped_since"] for row in rows] == ["0", "3", "1"]
    assert [row["matches"] for row in rows] == ["nan", "5", "5"]
    inliers = str(int(make_matches(model=ModelType.ESSENTIAL).inliers.sum()))
    assert [row["inliers"] for row in rows] == ["nan", inliers, "nan"]
    last = rows[-1]
    assert (last["source_id"], last["stamp_ns"], last["epoch"]) == ("left ü", str(META.stamp_ns), str(META.epoch))
    assert (last["features"], last["tracks"], last["lost"], last["mean_age"]) == ("50", "6", "3", "2.500")
    assert (last["wait_ms"], last["inference_ms"], last["latency_ms"]) == ("0.500", "8.000", "12.000")
    assert lines.count("every image is logged to") == 1


def test_pandas_reads_it(log: FrameLog, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    log.use(LogConfig(str(tmp_path / "run.csv")))
    offer(log, *map(entry, range(4)))
    log.stop()
    table = pandas.read_csv(tmp_path / "run.csv")
    assert table["stamp_ns"].dtype == "int64"
    assert table["matches"].isna().tolist() == [True, False, False, False]
    assert table["latency_ms"].mean() == 12.0


def test_all_messages_of_each_image(log: FrameLog, tmp_path: Path) -> None:
    path = tmp_path / "run.mcap"
    log.use(LogConfig(str(path)))
    assert log.wants_messages
    stereo = StereoEntry(NOW_NS, "/tracker/stereo", make_matches(), META, META)
    offer(log, *map(entry, range(3)), stereo)
    log.stop()
    assert not log.wants_messages
    with AnyReader([path]) as reader:
        counts = {connection.topic: connection.msgcount for connection in reader.connections}
        found = [reader.deserialize(data, c.msgtype) for c, _, data in reader.messages() if c.topic == TOPICS["status"]]
    assert counts == {**dict.fromkeys(TOPICS.values(), 3), TOPICS["matches"]: 2, "/tracker/stereo": 1}
    assert [status.processed for status in found] == [1, 2, 3]


def test_nothing_is_made_without_a_log(log: FrameLog) -> None:
    log.offer(lambda: pytest.fail("made for nobody"))
    assert log.finding().values == {}
    assert log.finding().warning == ""


def test_another_length_of_the_queue_begins_no_other_file(log: FrameLog, tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    log.use(LogConfig(str(path)))
    offer(log, entry(0))
    log.use(LogConfig(str(path), queue_size=7))
    offer(log, entry(1))
    log.stop()
    assert len(rows_of(path)) == 2
    assert list(tmp_path.iterdir()) == [path]


def test_another_file_while_it_runs(log: FrameLog, tmp_path: Path) -> None:
    first, second = LogConfig(str(tmp_path / "run.csv")), LogConfig(str(tmp_path / "other.mcap"))
    log.use(first)
    offer(log, entry(0))
    log.use(first)
    offer(log, entry(1))
    log.use(second)
    offer(log, entry(2))
    log.use(LogConfig())
    offer(log, entry(3))
    other = tmp_path / "other.mcap"
    wait_until(lambda: other.exists() and other.stat().st_size > 0 and len(rows_of(tmp_path / "run.csv")) == 2, "both")
    log.use(first)
    wait_until((tmp_path / "run-2.csv").exists, "a new file, not the old one replaced")
    assert len(rows_of(tmp_path / "run.csv")) == 2


@pytest.mark.parametrize("suffix", ["csv", "mcap"])
def test_a_full_disk_is_told_once_counted_and_written_to_again(
    log: FrameLog, lines: Lines, tmp_path: Path, suffix: str
) -> None:
    with small_disk(tmp_path / "disk", 512) as disk:
        ballast = fill(disk)
        log.use(LogConfig(str(disk / f"run.{suffix}"), queue_size=1000))
        offer(log, *map(entry, range(30)))
        wait_for(log, written=0, lost=30)
        assert "No space left on device" in log.finding().warning
        time.sleep(0.1)
        offer(log, *map(entry, range(30)))  # another attempt
        wait_for(log, written=0, lost=60)
        assert lines.count("the log is not written, images are") == 1
        assert [path.name for path in disk.iterdir()] == ["ballast"], "no empty files are left behind"
        ballast.unlink()
        time.sleep(0.1)
        offer(log, entry(0), entry(1))
        wait_for(log, written=2, lost=60)
        assert log.finding().warning == ""
        assert lines.count("the log is written again") == 1
        log.stop()
        path = disk / f"run.{suffix}"
        assert len(rows_of(path)) == 2 if suffix == "csv" else BagReader(path).is_indexed


@pytest.mark.parametrize("suffix", ["csv", "mcap"])
def test_what_was_written_before_the_disk_was_full_is_whole(
    log: FrameLog, lines: Lines, tmp_path: Path, suffix: str
) -> None:
    with small_disk(tmp_path / "disk", 40 if suffix == "csv" else 800) as disk:
        path = disk / f"run.{suffix}"
        log.use(LogConfig(str(path), queue_size=1000))
        offered = 0
        while not lines.count("the log is not written, images are"):
            offer(log, *map(entry, range(offered, offered + 20)))
            offered += 20
            wait_until(lambda expected=offered: handled(log) == expected, "the images")  # type: ignore[misc]
        written = int(values(log)["log_written"])
        assert written > 10
        log.stop()
        if suffix == "csv":
            assert len(rows_of(path)) == written
            return
        topics = {topic.name: topic.count for topic in BagReader(path).topics}
        assert topics["/tracker/features"] >= written
        assert topics["/tracker/features"] < offered


def test_a_forbidden_place_is_told(log: FrameLog, lines: Lines, tmp_path: Path) -> None:
    log.use(LogConfig(str(tmp_path / "nowhere" / "run.csv")))
    offer(log, entry(0))
    wait_for(log, lost=1)
    assert "nowhere/run.csv: cannot be written (No such file or directory)" in log.finding().warning
    assert lines.count("the log is not written, images are") == 1


def test_the_unforeseen_ends_no_thread(
    log: FrameLog, lines: Lines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.use(LogConfig(str(tmp_path / "run.csv")))
    offer(log, SimpleNamespace(row=lambda: 1 / 0))
    wait_for(log, lost=1)
    assert lines.count("ZeroDivisionError") >= 1
    time.sleep(0.1)
    offer(log, entry(1))
    wait_for(log, written=1)


def test_a_slow_disk_holds_nobody_up(lines: Lines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = FrameLog(lines, finish_s=0.05)
    released = threading.Event()
    write = log_files.CsvFile.write

    def slow(file: Any, made: Any) -> bool:
        released.wait()
        return write(file, made)

    monkeypatch.setattr(log_files.CsvFile, "write", slow)
    log.use(LogConfig(str(tmp_path / "run.csv"), queue_size=4))
    offer(log, *map(entry, range(50)))  # would never return if it waited for the disk
    assert int(values(log)["log_lost"]) >= 45
    assert "too slow" in log.finding().warning
    assert lines.count("too slow") == 1
    log.stop()  # nor does this wait for ever
    assert lines.count("images still wait for the disk") == 1
    released.set()
    wait_until(lambda: len(rows_of(tmp_path / "run.csv")) in (4, 5), "what was in the queue")
    assert rows_of(tmp_path / "run.csv")[-1]["processed"] == "50", "the newest were kept"
