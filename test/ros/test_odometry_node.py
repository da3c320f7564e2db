# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The odometry node as a process of its own, fed over DDS with what a tracker would say of a made-up world."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("gtsam", reason="gtsam is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from diagnostic_msgs.msg import DiagnosticStatus
from node_harness import run_node, wait_until
from odometry_harness import POSES, WORLD, assert_follows_the_camera, frames, matrix, running_odometry
from qos_samples import BEST_EFFORT
from std_srvs.srv import Trigger
from worlds import Watcher

from aliked_msgs.msg import Tracks
from aliked_ros.ros.conversions import (
    ns_from_time,
)
from aliked_ros.ros.odometry_frames import BODY_FROM_OPTICAL
from aliked_ros.slam.geometry import inverse

pytestmark = pytest.mark.ros


def test_poses_path_and_map_of_a_camera_with_depth(tmp_path: Path) -> None:
    file = tmp_path / "trajectory.tum"
    with running_odometry(tmp_path, trajectory=str(file), map_period=0.05) as bench:
        bench.calibrate()
        stamps_ns = [bench.send(seen) for seen in frames()]
        assert_follows_the_camera(bench, stamps_ns)
        last = bench.odometry(stamps_ns[-1])
        assert (last.header.frame_id, last.child_frame_id) == ("odom", "camera")
        assert 0 < last.pose.covariance[0] < 1e-3
        bench.state("tracking")
        path = bench.station.wait_for("/odometry/path", lambda message: len(message.poses) > 3)
        assert path.header.frame_id == "map"
        assert all(pose.header.frame_id == "map" for pose in path.poses)
        points = bench.station.wait_for("/odometry/map_points", lambda message: message.width > 100)
        status = bench.diagnostics(processed=str(len(POSES)), state="tracking", units="metres")
        assert status.message == "tracking"
        xyz = np.frombuffer(points.data, np.float32).reshape(-1, 3)
        walls = (BODY_FROM_OPTICAL @ inverse(POSES[0]) @ np.c_[WORLD.points, np.ones(len(WORLD.points))].T)[:3].T
        nearest = np.linalg.norm(xyz[:, None] - walls[None], axis=2).min(1)
        assert np.median(nearest) < 0.03
    lines = file.read_text().splitlines()
    assert len([line for line in lines if not line.startswith("#")]) == len(POSES)


def test_a_covered_camera_is_lost_said_so_and_found_again(tmp_path: Path) -> None:
    with running_odometry(tmp_path) as bench:
        bench.calibrate()
        watcher = Watcher(WORLD)
        seen = [watcher.see(pose) for pose in POSES[:10]]
        dark = [watcher.nothing() for _ in range(3)]
        again = [watcher.see(pose) for pose in POSES[10:14]]
        for frame in (*seen, *dark):
            bench.send(frame)
        bench.state("lost")
        for frame in again:
            bench.send(frame)
        bench.odometry(again[-1].stamp_ns)
        published = {ns_from_time(m.header.stamp) for m in bench.station.messages("/odometry/odometry")}
        assert not published & {frame.stamp_ns for frame in dark}
        bench.diagnostics(relocalisations="1", state="tracking")
    assert "tracking → lost" in bench.log_text()


def test_features_that_never_come_are_missed(tmp_path: Path) -> None:
    with running_odometry(tmp_path) as bench:
        array = bench.station.wait_for("/diagnostics", lambda array: "no features for" in array.status[0].message)
        assert array.status[0].level == DiagnosticStatus.WARN
        assert "on /tracker/features, which one node publishes" in array.status[0].message
        assert bench.log_text().count("no features for") == 1


def test_what_is_missing_is_said_and_nothing_is_published(tmp_path: Path) -> None:
    with running_odometry(tmp_path) as bench:
        first, *rest = frames(6)
        bench.send(first)
        bench.diagnostics(refused="1")
        assert "no camera_info has come" in bench.log_text()
        bench.calibrate()
        bench.send(rest[0], depth=False)
        bench.diagnostics(refused="2")
        assert "needs the depth" in bench.log_text()
        assert bench.station.messages("/odometry/odometry") == []
        bench.odometry(bench.send(rest[1]))


def test_a_tracker_that_offers_too_little_is_named(tmp_path: Path) -> None:
    misfit = "incompatible QoS on /tracker/tracks: nothing comes from /station, whose publisher is best_effort"
    with running_odometry(tmp_path) as bench:
        bench.diagnostics(qos_incompatible="0")
        publisher = bench.station.node.create_publisher(Tracks, "/tracker/tracks", BEST_EFFORT)
        status = bench.diagnostics(qos_incompatible="1")
        assert status.level == DiagnosticStatus.WARN
        assert status.message.startswith(misfit)
        bench.send(*frames(1))  # refused, as no camera_info has come: one does not hide the other
        bench.station.wait_for(
            "/diagnostics",
            lambda message: "1 frames refused" in message.status[0].message and misfit in message.status[0].message,
        )
        bench.station.node.destroy_publisher(publisher)
        count = len(bench.station.messages("/diagnostics"))

        def is_settled() -> bool:
            later = [message.status[0] for message in bench.station.messages("/diagnostics")[count:]]
            return any("incompatible" not in status.message for status in later)

        wait_until(is_settled, "the end of the warning with its cause")
    assert bench.log_text().count(misfit) == 1


def test_time_that_jumps_back_and_resets_begin_a_new_map(tmp_path: Path) -> None:
    path = tmp_path / "trajectory.tum"
    with running_odometry(tmp_path, trajectory=str(path)) as bench:
        bench.calibrate()
        seen = frames(8)
        for frame in seen[2:]:
            bench.send(frame)
        bench.odometry(seen[-1].stamp_ns)
        bench.odometry(bench.send(seen[0], epoch=1))
        assert "the map begins anew: time jumped back" in bench.log_text()
        bench.diagnostics(resets="1")
        answer = bench.station.call(Trigger, "/odometry/reset", Trigger.Request())
        assert answer.success
        start = bench.odometry(bench.send(seen[1], epoch=1))
        np.testing.assert_allclose(matrix(start.pose.pose)[:3, 3], 0, atol=1e-9)
        other = bench.odometry(bench.send(seen[2], epoch=1, model="aliked-n32"))
        np.testing.assert_allclose(matrix(other.pose.pose)[:3, 3], 0, atol=1e-9)
        bench.diagnostics(resets="3")  # the log is throttled
    counts = [
        len(file.read_text().splitlines()) - 1
        for file in (path, *(tmp_path / f"trajectory-{i}.tum" for i in (2, 3, 4)))
    ]
    assert counts == [6, 1, 1, 1], "each map's own"


def test_depth_that_some_images_lack(tmp_path: Path) -> None:
    with running_odometry(tmp_path) as bench:
        bench.calibrate()
        stamps_ns = [bench.send(frame, depth=index % 2 == 0) for index, frame in enumerate(frames(8))]
        assert_follows_the_camera(bench, stamps_ns)


def test_why_there_is_no_map_is_said(tmp_path: Path) -> None:
    reason = "no map after 30 frames: it begins with 40 features with depth between 0.1 and 8 m"
    with running_odometry(tmp_path) as bench:
        bench.calibrate()
        for frame in frames(30):
            bench.send(dataclasses.replace(frame, depth_m=np.full_like(frame.depth_m, np.nan)))
        status = bench.diagnostics(processed="30")
        assert status.level == DiagnosticStatus.WARN
        assert status.message.startswith(reason)
    assert reason in bench.log_text()


def test_a_tracker_that_is_started_again_is_followed(tmp_path: Path) -> None:
    with running_odometry(tmp_path) as bench:
        bench.calibrate()
        before, after = Watcher(WORLD), Watcher(WORLD)
        bench.frame_seq = 50
        stamps_ns = [bench.send(before.see(pose), epoch=2) for pose in POSES[:8]]
        bench.odometry(stamps_ns[-1])
        # Another process: numbers and ids begin at 0 again, and say nothing of the tracks before.
        bench.frame_seq = 0
        later = [
            bench.send(after.see(pose), stamp_ns=stamps_ns[-1] + (1 + i) * 10**8) for i, pose in enumerate(POSES[8:14])
        ]
        assert_follows_the_camera(bench, [*stamps_ns, *later])
    assert "the tracker has started anew" in bench.log_text()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["-p", "base_frame:=base_link"], "needs tf2_ros"),
        (["-p", "calibration:=fr9"], "fr9"),
        (["-p", "map_frame:=odom"], "must have names"),
        (["-p", "keyframe.min_intervall:=3"], "min_interval"),
        (["-p", "sensor.mode:=lidar"], ": sensor.mode must be one of rgbd, stereo, mono"),
    ],
)
def test_a_wrong_configuration_ends_it_with_one_line(arguments: list[str], complaint: str) -> None:
    done = run_node("aliked_ros.ros.odometry", arguments)
    assert done.returncode == 1
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
