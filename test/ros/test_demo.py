# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The main job from end to end, as `make demo` runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from node_harness import TIMEOUT_S, parameter_arguments, wait_until

from aliked_ros.io.sources.opening import open_source
from aliked_ros.ros.conversions import features_from_message, matches_from_message, ns_from_time, tracks_from_message

pytestmark = pytest.mark.ros

COMMAND = [sys.executable, "-m", "aliked_ros.ros.demo"]
QUICK = parameter_arguments(model="aliked-t16", device="cpu", precision="fp32", warmup_width=320, warmup_height=240)
FIELDS = {
    "frames_published": int,
    "frames_received": int,
    "frames_processed": int,
    "frames_dropped": int,
    "features_mean": float,
    "matches_mean": float,
    "track_length_mean": float,
    "latency_ms": dict,
    "extraction_ms": float,
    "model": str,
    "device": str,
    "backend": str,
    "precision": str,
}


def run_demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=4 * TIMEOUT_S, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def reason(done: subprocess.CompletedProcess[str]) -> str:
    """The one line with which the demo failed."""
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "[FATAL]" in line]
    return line


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a demo of a simulated sequence wrote."""
    folder = tmp_path_factory.mktemp("demo") / "out"
    done = run_demo("--output", str(folder), "--frames", "8", "--width", "320", "--height", "240", *QUICK)
    assert done.returncode == 0, done.stderr
    assert "8 published, 8 processed" in done.stdout
    assert str(folder / "tracks.mp4") in done.stdout
    return folder


def test_the_summary_adds_up(output: Path) -> None:
    summary: dict[str, Any] = json.loads((output / "summary.json").read_text())
    assert {name: type(summary[name]) for name in FIELDS} == FIELDS
    counts = [summary[f"frames_{name}"] for name in ("published", "received", "processed", "dropped", "refused")]
    assert counts == [8, 8, 8, 0, 0]
    assert summary["features_mean"] > 100
    assert 50 < summary["matches_mean"] <= summary["features_mean"]
    assert 1 < summary["track_length_mean"] <= 8
    latency = summary["latency_ms"]
    assert 0 < summary["extraction_ms"] < latency["p95"]
    assert 0 < latency["p50"] <= latency["p95"] <= latency["p99"]
    assert (summary["model"], summary["device"], summary["precision"]) == ("aliked-t16", "cpu", "fp32")


def test_the_recording_holds_every_message(output: Path) -> None:
    messages: dict[str, list[Any]] = {}
    with (output / "features.mcap").open("rb") as stream:
        for _, channel, _, message in make_reader(stream, decoder_factories=[DecoderFactory()]).iter_decoded_messages():
            messages.setdefault(channel.topic, []).append(message)
    assert {topic: len(found) for topic, found in messages.items()} == {
        "/tracker/features": 8,
        "/tracker/matches": 7,
        "/tracker/tracks": 8,
    }
    with open_source(str(output / "sequence")) as source:
        stamps = [frame.stamp_ns for frame in source]
    for topic in ("/tracker/features", "/tracker/tracks"):
        assert [ns_from_time(message.header.stamp) for message in messages[topic]] == stamps
    features = [features_from_message(message) for message in messages["/tracker/features"]]
    summary = json.loads((output / "summary.json").read_text())
    assert np.mean([len(message.features) for message in features]) == summary["features_mean"]
    for index, message in enumerate(messages["/tracker/matches"], 1):
        counts = {"num_features": len(features[index].features), "num_features_ref": len(features[index - 1].features)}
        assert matches_from_message(message, **counts).stamp_ref_ns == stamps[index - 1]
    assert tracks_from_message(messages["/tracker/tracks"][-1]).tracks.ages.max() == 8


def test_the_video_shows_tracks_on_the_sequence(output: Path) -> None:
    capture = cv2.VideoCapture(str(output / "tracks.mp4"))
    pictures = []
    while (read := capture.read())[0]:
        pictures.append(read[1][..., ::-1])
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(30.0)
    capture.release()
    with open_source(str(output / "sequence")) as source:
        images = [frame.image for frame in source]
    assert len(pictures) == len(images)
    for picture, image in zip(pictures, images, strict=True):
        difference = np.abs(picture.astype(int) - image).max(axis=2)
        assert 0.02 < np.mean(difference > 60) < 0.6, "marks on the image, and the image between them"


def test_the_tracker_said_nothing_bad(output: Path) -> None:
    log = (output / "tracker.log").read_text()
    assert "ready: aliked-t16 on cpu" in log
    assert "ERROR" not in log
    assert "Traceback" not in log


def test_a_sequence_of_ones_own_and_an_earlier_output(output: Path, tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text("of an earlier run")
    done = run_demo(str(output / "sequence"), "--output", str(tmp_path), "-p", "max_keypoints:=50", *QUICK)
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["sequence"], summary["features_mean"]) == (str(output / "sequence"), 50.0)
    assert not (tmp_path / "sequence").exists()


def test_an_output_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert f"{tmp_path / 'file' / 'out'}: cannot write to this folder" in reason(
        run_demo("--output", str(tmp_path / "file" / "out"))
    )


def test_a_sequence_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert "/no/such/sequence: no such file" in reason(run_demo("/no/such/sequence", "--output", str(tmp_path)))
    assert not (tmp_path / "summary.json").exists()


def test_a_tracker_that_dies_is_told_with_its_last_words(output: Path, tmp_path: Path) -> None:
    done = run_demo(str(output / "sequence"), "--output", str(tmp_path), "-p", "model:=aliked-n8")
    assert "aliked_ros.ros.tracker ended with exit code 1" in reason(done)
    assert "model must be one of aliked-t16" in reason(done)
    assert not (tmp_path / "summary.json").exists()


def test_finding_nothing_is_a_failure(output: Path, tmp_path: Path) -> None:
    done = run_demo(str(output / "sequence"), "--output", str(tmp_path), "-p", "score_threshold:=1.0", *QUICK)
    assert "no features were found in 8 frames" in reason(done)


def test_an_image_that_is_too_small_is_a_failure(tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    folder.mkdir()
    cv2.imwrite(str(folder / "0.png"), np.zeros((20, 20, 3), np.uint8))
    done = run_demo(str(folder), "--output", str(tmp_path / "out"), *QUICK)
    assert "the tracker refused a frame" in reason(done)


def test_an_interrupted_demo_leaves_no_process_behind(output: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, str(output / "sequence"), "--output", str(tmp_path), *QUICK], stderr=subprocess.PIPE, text=True
    )
    try:
        log = tmp_path / "tracker.log"
        wait_until(lambda: log.is_file() and children_of(process.pid) != [], "the tracker's process")
        (tracker,) = children_of(process.pid)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=TIMEOUT_S)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors
    with pytest.raises(ProcessLookupError):
        os.kill(tracker, 0)


def children_of(pid: int) -> list[int]:
    paths = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for path in paths for child in path.read_text().split()]
