# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""An odometry node as a process of its own, fed over DDS with what a tracker would say of a made-up world."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry
from nav_msgs.msg import Path as PathMsg
from node_harness import Station, has_stamp, parameter_arguments
from sensor_msgs.msg import CameraInfo, PointCloud2
from std_msgs.msg import String
from worlds import CAMERA, Seen, Watcher, World, swaying

from aliked_msgs.msg import Features, Matches, Tracks
from aliked_ros.features import Matches as MatchesData
from aliked_ros.io.messages.message_fields import Coords, FrameMeta
from aliked_ros.ros.child import NodeProcess
from aliked_ros.ros.conversions import features_to_message, header_of, matches_to_message, tracks_to_message
from aliked_ros.ros.image_conversions import info_from_camera
from aliked_ros.ros.odometry_frames import BODY_FROM_OPTICAL
from aliked_ros.ros.odometry_messages import matrix_of
from aliked_ros.slam.geometry import inverse

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
def running_odometry(directory: Path, camera: str = "", **parameters: Any) -> Iterator[OdometryBench]:
    station = Station()
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
