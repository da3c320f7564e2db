# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The odometry node as a process of its own, fed over DDS with what a tracker would say of a made-up world."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("gtsam", reason="gtsam is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from nav_msgs.msg import Odometry
from nav_msgs.msg import Path as PathMsg
from node_harness import Station, has_stamp, parameter_arguments, run_node, wait_until
from qos_samples import BEST_EFFORT
from sensor_msgs.msg import CameraInfo, PointCloud2
from std_msgs.msg import String
from std_srvs.srv import Trigger
from worlds import CAMERA, Seen, Watcher, World, swaying

from aliked_msgs.msg import Features, Matches, Tracks
from aliked_ros.features import Matches as MatchesData
from aliked_ros.io.calibration import write_camera
from aliked_ros.io.messages.message_fields import Coords, FrameMeta
from aliked_ros.ros.child import NodeProcess
from aliked_ros.ros.conversions import (
    features_to_message,
    header_of,
    matches_to_message,
    ns_from_time,
    tracks_to_message,
)
from aliked_ros.ros.image_conversions import info_from_camera
from aliked_ros.ros.odometry_frames import BODY_FROM_OPTICAL
from aliked_ros.ros.odometry_messages import matrix_of
from aliked_ros.slam.geometry import inverse

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("domain")]

WORLD = World.room()
POSES = list(swaying(30))
BASELINE_M = 0.2


class OdometryBench:
    """An odometry node in a process of its own, and everything to feed and watch it."""

    def __init__(self, station: Station, log: Path, camera: str = "") -> None:
        self.station = station
        self.log = log
        prefix = f"/tracker/{camera}" if camera else "/tracker"
        self.features = station.publisher(Features, f"{prefix}/features")
        self.tracks = station.publisher(Tracks, f"{prefix}/tracks")
        self.matches = station.publisher(Matches, "/tracker/matches")
        self.info = station.publisher(CameraInfo, f"/{camera}/camera_info" if camera else "/camera_info")
        self.right_info = station.publisher(CameraInfo, "/right/camera_info")
        for kind, topic in ((Odometry, "odometry"), (PathMsg, "path"), (PointCloud2, "map_points")):
            station.subscribe(kind, f"/odometry/{topic}", latched=kind is not Odometry)
        station.subscribe(DiagnosticArray, "/diagnostics")
        station.subscribe(String, "/odometry/state", latched=True)
        self.frame_seq = 0
        self.coords = Coords.RAW

    def wait_until_ready(self, *, takes_info: bool) -> None:
        self.station.wait_for("/odometry/state")
        self.station.wait_until_heard("/odometry", self.features, self.tracks, *([self.info] if takes_info else []))

    def calibrate(self, camera: Any = CAMERA) -> None:
        self.info.publish(info_from_camera(camera, 1, "camera"))

    def send(
        self, seen: Seen, *, depth: bool = True, epoch: int = 0, stamp_ns: int | None = None, model: str = "aliked-n16"
    ) -> int:
        """Publishes what a tracker says of a frame; returns its stamp."""
        stamp_ns = seen.stamp_ns if stamp_ns is None else stamp_ns
        meta = FrameMeta(stamp_ns, "camera", self.frame_seq, epoch, "camera", self.coords, model)
        self.frame_seq += 1
        header = header_of(stamp_ns, "camera")
        depth_m = seen.depth_m if depth else None
        self.features.publish(features_to_message(seen.features, meta, header=header, depth_m=depth_m))
        self.tracks.publish(tracks_to_message(seen.tracks, meta, image_width=640, image_height=480, header=header))
        return stamp_ns

    def send_stereo(self, seen: Seen) -> int:
        """The same without depth, and matches to a right camera that sees every point."""
        self.send_matches(seen)
        return self.send(seen, depth=False)

    def send_matches(self, seen: Seen, cameras: tuple[str, str] = ("left", "right"), share: float = 1.0) -> None:
        """Matches from one camera's image to another's, so much of the pair's baseline away."""
        xy_right = seen.features.keypoints_xy.copy()
        xy_right[:, 0] -= share * CAMERA.fx * BASELINE_M / seen.depth_m
        rows = np.arange(len(xy_right), dtype=np.uint32)
        matches = MatchesData(
            rows, rows[::-1].copy(), seen.features.keypoints_xy, xy_right, np.ones(len(rows), np.float32), "test"
        )
        meta = FrameMeta(seen.stamp_ns, "camera", self.frame_seq, 0, cameras[0])
        message = matches_to_message(
            matches, meta, frame_seq_ref=0, stamp_ref_ns=seen.stamp_ns, source_id_ref=cameras[1],
            header=header_of(seen.stamp_ns, "camera"),
        )  # fmt: skip
        self.matches.publish(message)

    def odometry(self, stamp_ns: int) -> Odometry:
        return self.station.wait_for("/odometry/odometry", has_stamp(stamp_ns))

    def state(self, text: str) -> None:
        self.station.wait_for("/odometry/state", lambda message: message.data == text)

    def diagnostics(self, **wanted: str) -> Any:
        def fits(message: DiagnosticArray) -> bool:
            values = {pair.key: pair.value for status in message.status for pair in status.values}
            return wanted.items() <= values.items()

        return self.station.wait_for("/diagnostics", fits).status[0]

    def log_text(self) -> str:
        return self.log.read_text(encoding="utf-8")


@contextmanager
def running_odometry(context: Any, directory: Path, camera: str = "", **parameters: Any) -> Iterator[OdometryBench]:
    station = Station(context)
    try:
        bench = OdometryBench(station, directory / "odometry.log", camera)
        if camera:
            parameters["camera"] = camera
        arguments = parameter_arguments(process_every_frame=True, sensor__sigma_px=0.5, **parameters)
        with NodeProcess("aliked_ros.ros.odometry", arguments, bench.log):
            bench.wait_until_ready(takes_info="calibration" not in parameters)
            yield bench
        assert "Traceback" not in bench.log_text()
    finally:
        station.close()


def frames(count: int = len(POSES), **options: Any) -> list[Seen]:
    watcher = Watcher(WORLD, **options)
    return [watcher.see(pose) for pose in POSES[:count]]


def matrix(pose: Any) -> np.ndarray:
    class AsTransform:
        class transform:  # noqa: N801  the message's field
            translation, rotation = pose.position, pose.orientation

    return matrix_of(AsTransform)


def assert_follows_the_camera(
    bench: OdometryBench, stamps_ns: list[int], *, tolerance_m: float = 0.03, poses: list[np.ndarray] = POSES
) -> None:
    first = inverse(poses[0])
    for stamp_ns, pose in zip(stamps_ns, poses, strict=False):
        message = bench.odometry(stamp_ns)
        expected = BODY_FROM_OPTICAL @ first @ pose
        found = matrix(message.pose.pose)
        assert np.linalg.norm(found[:3, 3] - expected[:3, 3]) < tolerance_m
        np.testing.assert_allclose(found[:3, :3], expected[:3, :3], atol=0.02)


def test_poses_path_and_map_of_a_camera_with_depth(ros_context: Any, tmp_path: Path) -> None:
    file = tmp_path / "trajectory.tum"
    with running_odometry(ros_context, tmp_path, trajectory=str(file), map_period=0.05) as bench:
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


def test_a_covered_camera_is_lost_said_so_and_found_again(ros_context: Any, tmp_path: Path) -> None:
    with running_odometry(ros_context, tmp_path) as bench:
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


def test_stereo_matches_give_metres(ros_context: Any, tmp_path: Path) -> None:
    options = {"sensor__mode": "stereo", "baseline": BASELINE_M}
    with running_odometry(ros_context, tmp_path, camera="left", **options) as bench:
        bench.station.wait_until_heard("/odometry", bench.matches)
        bench.calibrate()
        stamps_ns = [bench.send_stereo(seen) for seen in frames(12, depth_noise_m=0.0)]
        assert_follows_the_camera(bench, stamps_ns, tolerance_m=0.05)


def test_matches_of_other_cameras_are_no_stereo(ros_context: Any, tmp_path: Path) -> None:
    options = {"sensor__mode": "stereo", "baseline": BASELINE_M, "right_camera": "east"}
    with running_odometry(ros_context, tmp_path, camera="west", **options) as bench:
        bench.station.wait_until_heard("/odometry", bench.matches)
        bench.calibrate()
        stamps_ns = []
        for seen in frames(12, depth_noise_m=0.0):
            bench.send_matches(seen, ("west", "rear"), share=3.0)
            bench.send_matches(seen, ("west", "east"))
            bench.send_matches(seen, ("east", "rear"), share=0.5)
            stamps_ns.append(bench.send(seen, depth=False))
        assert_follows_the_camera(bench, stamps_ns, tolerance_m=0.05)


def test_the_right_camera_s_calibration_gives_the_baseline(ros_context: Any, tmp_path: Path) -> None:
    right = info_from_camera(CAMERA, 1, "right")
    with running_odometry(ros_context, tmp_path, camera="left", sensor__mode="stereo") as bench:
        bench.station.wait_until_heard("/odometry", bench.matches, bench.right_info)
        bench.calibrate()
        remaining, stamps_ns = iter(frames(depth_noise_m=0.0)), []

        def send_until_told(text: str) -> None:
            while not bench.station.comes("/diagnostics", lambda array: text in str(array), 1.5):
                stamps_ns.append(bench.send_stereo(next(remaining)))

        send_until_told("right/camera_info has not come; connect it")
        for shift, text in ((BASELINE_M, "to the left of the first; swap them"), (0.0, "holds no baseline")):
            right.p[3] = CAMERA.fx * shift
            bench.right_info.publish(right)
            send_until_told(text)
        right.p[3] = -CAMERA.fx * BASELINE_M
        bench.right_info.publish(right)
        stamps_ns += [bench.send_stereo(seen) for seen in remaining]
        bench.odometry(stamps_ns[-1])
        first = stamps_ns.index(ns_from_time(bench.station.messages("/odometry/odometry")[0].header.stamp))
        assert 3 <= first < len(POSES) - 10
        assert_follows_the_camera(bench, stamps_ns[first:], tolerance_m=0.05, poses=POSES[first:])


def test_a_calibration_of_rectified_images_is_their_projection_matrix(ros_context: Any, tmp_path: Path) -> None:
    file = tmp_path / "camera.yaml"
    write_camera(file, CAMERA)
    values = yaml.safe_load(file.read_text())
    values["camera_matrix"]["data"][0] *= 1.2
    values["distortion_coefficients"]["data"][0] = 0.3
    file.write_text(yaml.safe_dump(values))
    with running_odometry(ros_context, tmp_path, calibration=str(file)) as bench:
        bench.coords = Coords.RECTIFIED
        assert_follows_the_camera(bench, [bench.send(seen) for seen in frames(8)])


def test_features_that_never_come_are_missed(ros_context: Any, tmp_path: Path) -> None:
    with running_odometry(ros_context, tmp_path) as bench:
        array = bench.station.wait_for("/diagnostics", lambda array: "no features for" in array.status[0].message)
        assert array.status[0].level == DiagnosticStatus.WARN
        assert "on /tracker/features, which one node publishes" in array.status[0].message
        assert bench.log_text().count("no features for") == 1


def test_what_is_missing_is_said_and_nothing_is_published(ros_context: Any, tmp_path: Path) -> None:
    with running_odometry(ros_context, tmp_path) as bench:
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


def test_a_tracker_that_offers_too_little_is_named(ros_context: Any, tmp_path: Path) -> None:
    misfit = "incompatible QoS on /tracker/tracks: nothing comes from /station, whose publisher is best_effort"
    with running_odometry(ros_context, tmp_path) as bench:
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


def test_time_that_jumps_back_and_resets_begin_a_new_map(ros_context: Any, tmp_path: Path) -> None:
    path = tmp_path / "trajectory.tum"
    with running_odometry(ros_context, tmp_path, trajectory=str(path)) as bench:
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


def test_depth_that_some_images_lack(ros_context: Any, tmp_path: Path) -> None:
    with running_odometry(ros_context, tmp_path) as bench:
        bench.calibrate()
        stamps_ns = [bench.send(frame, depth=index % 2 == 0) for index, frame in enumerate(frames(8))]
        assert_follows_the_camera(bench, stamps_ns)


def test_why_there_is_no_map_is_said(ros_context: Any, tmp_path: Path) -> None:
    reason = "no map after 30 frames: it begins with 40 features with depth between 0.1 and 8 m"
    with running_odometry(ros_context, tmp_path) as bench:
        bench.calibrate()
        for frame in frames(30):
            bench.send(dataclasses.replace(frame, depth_m=np.full_like(frame.depth_m, np.nan)))
        status = bench.diagnostics(processed="30")
        assert status.level == DiagnosticStatus.WARN
        assert status.message.startswith(reason)
    assert reason in bench.log_text()


def test_a_tracker_that_is_started_again_is_followed(ros_context: Any, tmp_path: Path) -> None:
    with running_odometry(ros_context, tmp_path) as bench:
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
