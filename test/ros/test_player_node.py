# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The player as a process of its own: what it sends is what the sequence holds."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from bag_samples import CAMERA, PERIOD_NS, START_NS, make_frames, record, storage_file
from geometry_msgs.msg import PoseStamped
from node_harness import TIMEOUT_S, Station, parameter_arguments, run_node, started, wait_until
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from aliked_msgs.msg import Features
from aliked_ros.camera import TUM_CAMERAS
from aliked_ros.io.frames import Frame
from aliked_ros.io.tum_writer import TumWriter
from aliked_ros.ros.conversions import header_of, ns_from_time
from aliked_ros.ros.image_conversions import (
    camera_from_info,
    compressed_image_view,
    depth_metres,
    image_view,
    pose_from_message,
)

pytestmark = pytest.mark.ros

MODULE = "aliked_ros.ros.player"


@pytest.fixture
def station() -> Iterator[Station]:
    station = Station()
    yield station
    station.close()


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    return make_frames(8)


@pytest.fixture(scope="module")
def sequence(frames: list[Frame], tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("sequence") / "tum"
    with TumWriter(directory, CAMERA) as writer:
        for frame in frames:
            writer.write(frame)
    return directory


def arguments(source: Path, **parameters: Any) -> list[str]:
    """A player that waits for this test's subscription and then plays, quickly unless told otherwise."""
    return parameter_arguments(**{"input": source, "rate": 5.0, "wait_for_subscribers": 1, **parameters})


def play(source: Path, **parameters: Any) -> subprocess.CompletedProcess[str]:
    done = run_node(MODULE, arguments(source, **parameters))
    assert "Traceback" not in done.stderr
    return done


@contextmanager
def playing(source: Path, log: Path, **parameters: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A player in the background; ended by force unless it has ended before."""
    with started(log, "-m", MODULE, "--ros-args", *arguments(source, **parameters)) as process:
        yield process


def received(station: Station, done: subprocess.CompletedProcess[str]) -> list[Any]:
    """The images that came, once all that were played have."""
    (count,) = re.findall(r"played (\d+) frames$", done.stderr, re.MULTILINE)
    wait_until(lambda: len(station.messages("/image")) >= int(count), f"{count} images")
    return station.messages("/image")


def stamps_of(messages: Sequence[Any]) -> list[int]:
    return [ns_from_time(message.header.stamp) for message in messages]


def test_everything_a_sequence_holds_is_sent(station: Station, sequence: Path, frames: list[Frame]) -> None:
    kinds = {
        "/camera_info": CameraInfo,
        "/depth": Image,
        "/ground_truth": PoseStamped,
        "/clock": Clock,
        "/image/compressed": CompressedImage,
        "/image": Image,
    }
    for topic, kind in kinds.items():
        station.subscribe(kind, topic)
    # Slow enough for the topics that nobody is waited for on.
    done = play(sequence, rate=0.5, publish_compressed=True, frame_id="optical", world_frame_id="map")
    assert (done.returncode, "played 8 frames" in done.stderr) == (0, True)
    received(station, done)
    stamps = [frame.stamp_ns for frame in frames]
    messages = {topic: station.messages(topic) for topic in kinds}
    for topic in ("/image", "/camera_info", "/depth", "/ground_truth", "/image/compressed"):
        assert stamps_of(messages[topic]) == stamps, topic
    assert [ns_from_time(message.clock) for message in messages["/clock"]] == stamps
    for frame, *sent in zip(frames, *(messages[topic] for topic in kinds), strict=True):
        info, depth, pose, _, compressed, image = sent
        np.testing.assert_array_equal(image_view(image), frame.image)
        assert (image.header.frame_id, info.header.frame_id, pose.header.frame_id) == ("optical", "optical", "map")
        assert camera_from_info(info).matrix.tolist() == CAMERA.matrix.tolist()
        np.testing.assert_allclose(depth_metres(depth), frame.depth_m, atol=1e-4)
        assert frame.pose_world_from_camera is not None
        np.testing.assert_array_equal(pose_from_message(pose).position_xyz, frame.pose_world_from_camera.position_xyz)
        assert compressed_image_view(compressed).shape == frame.image.shape


@pytest.mark.parametrize("recording", ["mcap", "sqlite3", "ros1"])
def test_bags_are_played(station: Station, tmp_path: Path, frames: list[Frame], recording: str) -> None:
    station.subscribe(Image, "/image")
    done = play(record(tmp_path, recording, frames))
    assert done.returncode == 0, done.stderr
    assert stamps_of(received(station, done)) == [frame.stamp_ns for frame in frames]


def test_folders_and_videos_are_played(station: Station, tmp_path: Path, textured_image: np.ndarray) -> None:
    folder, video = tmp_path / "folder", tmp_path / "video.mp4"
    folder.mkdir()
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"mp4v"), 25.0, (320, 240))
    for index in range(5):
        writer.write(textured_image[..., ::-1])
        cv2.imwrite(str(folder / f"{index:04}.png"), textured_image[..., ::-1])
    writer.release()
    station.subscribe(Image, "/image")
    for count, source in enumerate((folder, video), 1):
        assert play(source).returncode == 0
        wait_until(lambda count=count: len(station.messages("/image")) == 5 * count, "the images")
    np.testing.assert_array_equal(image_view(station.messages("/image")[0]), textured_image)


def test_start_and_duration_choose_a_part(station: Station, sequence: Path) -> None:
    station.subscribe(Image, "/image")
    done = play(sequence, start=2 * PERIOD_NS * 1e-9, duration=3 * PERIOD_NS * 1e-9)
    assert done.returncode == 0
    assert stamps_of(received(station, done)) == [START_NS + index * PERIOD_NS for index in (2, 3, 4)]


def test_a_calibration_can_be_given(station: Station, sequence: Path) -> None:
    station.subscribe(CameraInfo, "/camera_info")
    station.subscribe(Image, "/image")
    assert play(sequence, calibration="fr3", duration=0.01).returncode == 0
    info = station.wait_for("/camera_info")
    assert camera_from_info(info).fx == TUM_CAMERAS["fr3"].fx
    assert play(sequence, calibration=sequence / "camera.yaml", duration=0.01).returncode == 0
    assert camera_from_info(station.wait_for("/camera_info", lambda info: info.k[0] != 535.4)).fx == CAMERA.fx


def test_it_loops_until_it_is_told_to_end(station: Station, sequence: Path, tmp_path: Path) -> None:
    station.subscribe(Image, "/image")
    with playing(sequence, tmp_path / "log", loop=True) as process:
        wait_until(lambda: len(station.messages("/image")) > 20, "two and a half rounds")
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT_S) == 0
    stamps = stamps_of(station.messages("/image"))
    assert stamps[:20] == [START_NS + index % 8 * PERIOD_NS for index in range(20)]


def test_restamped_frames_carry_the_time_of_their_publication(station: Station, sequence: Path) -> None:
    station.subscribe(Image, "/image")
    station.subscribe(Clock, "/clock")
    before_ns = station.node.get_clock().now().nanoseconds
    stamps = stamps_of(received(station, play(sequence, restamp=True)))
    assert len(stamps) == 8
    assert before_ns < stamps[0]
    assert stamps == sorted(set(stamps))
    assert stamps[-1] < station.node.get_clock().now().nanoseconds
    assert station.messages("/clock") == []


def test_in_lock_step_a_frame_waits_for_the_features_of_the_one_before(
    station: Station, sequence: Path, tmp_path: Path
) -> None:
    station.subscribe(Image, "/image")
    features = station.publisher(Features, "/somewhere/features")
    with playing(sequence, tmp_path / "log", rate=0.0, wait_for="/somewhere/features") as process:
        for count in range(1, 9):
            wait_until(lambda count=count: len(station.messages("/image")) == count, f"image {count}")
            other = Features(header=header_of(START_NS - 1, "camera"))
            features.publish(other)  # of another image: not what is waited for
            assert process.poll() is None
            assert len(station.messages("/image")) == count
            stamp_ns = stamps_of(station.messages("/image"))[-1]
            features.publish(Features(header=header_of(stamp_ns, "camera")))
        assert process.wait(TIMEOUT_S) == 0


def test_lock_step_waits_for_a_node_that_reads_the_features(station: Station, sequence: Path, tmp_path: Path) -> None:
    station.subscribe(Image, "/image")
    station.subscribe(Features, "/somewhere/features")  # another reader, who does not count
    features = station.publisher(Features, "/somewhere/features")
    parameters = {"wait_for": "/somewhere/features", "wait_for_reader": "backend"}
    with playing(sequence, tmp_path / "log", duration=0.01, **parameters) as process:
        wait_until(lambda: features.get_subscription_count() == 2, "the player's subscription")
        assert station.messages("/image") == []
        backend = Station("backend")
        try:
            backend.subscribe(Features, "/somewhere/features")
            station.wait_for("/image")
            features.publish(Features(header=header_of(START_NS, "camera")))
            assert process.wait(TIMEOUT_S) == 0
        finally:
            backend.close()


def test_a_reader_that_does_not_come_is_named(station: Station, sequence: Path) -> None:
    station.subscribe(Image, "/image")
    station.subscribe(Features, "/somewhere/features")
    station.publisher(Features, "/somewhere/features")
    done = play(sequence, wait_for="/somewhere/features", wait_for_reader="robot/backend", timeout=5.0)
    assert done.returncode == 1
    assert done.stderr.count("waiting for /robot/backend to read /somewhere/features, 5 s at most") == 1
    assert "waited 5 s in vain for /robot/backend to read /somewhere/features" in done.stderr
    assert station.messages("/image") == []


def test_lock_step_gives_up_with_a_reason(station: Station, sequence: Path) -> None:
    station.subscribe(Image, "/image")
    station.publisher(Features, "/somewhere/features")
    done = play(sequence, wait_for="/somewhere/features", timeout=5.0)
    assert done.returncode == 1
    assert f"no features with stamp {START_NS} ns on /somewhere/features within 5 s" in done.stderr
    assert "played 1 frames" in done.stderr


def test_lock_step_needs_a_reliable_subscriber(sequence: Path) -> None:
    done = play(sequence, wait_for="/somewhere/features", wait_for_subscribers=0, timeout=0.5)
    assert done.returncode == 1
    assert "waited 0.5 s in vain for a reliable subscriber of the images" in done.stderr
    assert "process_every_frame:=true" in done.stderr


@pytest.mark.parametrize("recording", ["mcap", "sqlite3"])
def test_a_bag_that_is_cut_off_is_played_to_the_cut(
    station: Station, tmp_path: Path, frames: list[Frame], recording: str
) -> None:
    bag = record(tmp_path, recording, frames)
    file = storage_file(bag)
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * 0.6)])
    station.subscribe(Image, "/image")
    done = play(bag)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "[FATAL]" in line]
    assert file.name in line
    stamps = stamps_of(received(station, done))
    assert 0 < len(stamps) < len(frames)
    assert stamps == [frame.stamp_ns for frame in frames[: len(stamps)]]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"input": "/no/such/sequence"}, "/no/such/sequence: no such file, folder or camera"),
        ({"input": "''"}, "input must name what to play"),
        ({"rate": -1.0}, "parameter rate: -1.0 is not allowed"),
        ({"calibration": "fr4"}, "fr4: cannot be read"),
        ({"start": 1000.0}, "tum"),
        ({"wait_for_reader": "odometry"}, "wait_for_reader needs wait_for, the features that odometry reads"),
        ({"inptu": "x"}, "did you mean input?"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_what_cannot_be_played_is_refused(sequence: Path, parameters: dict[str, Any], message: str) -> None:
    done = play(sequence, **parameters)
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if "[FATAL]" in line]
    assert len(lines) == 1
    assert message in lines[0]
