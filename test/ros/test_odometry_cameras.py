# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Which cameras the odometry node follows, and by what calibration."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("gtsam", reason="gtsam is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from odometry_harness import BASELINE_M, POSES, assert_follows_the_camera, frames, running_odometry
from worlds import CAMERA

from aliked_ros.io.calibration import write_camera
from aliked_ros.io.messages.message_fields import Coords
from aliked_ros.ros.conversions import ns_from_time
from aliked_ros.ros.image_conversions import info_from_camera

pytestmark = pytest.mark.ros


def test_stereo_matches_give_metres(tmp_path: Path) -> None:
    options = {"sensor__mode": "stereo", "baseline": BASELINE_M}
    with running_odometry(tmp_path, camera="left", **options) as bench:
        bench.station.wait_until_heard("/odometry", bench.matches)
        bench.calibrate()
        stamps_ns = [bench.send_stereo(seen) for seen in frames(12, depth_noise_m=0.0)]
        assert_follows_the_camera(bench, stamps_ns, tolerance_m=0.05)


def test_matches_of_other_cameras_are_no_stereo(tmp_path: Path) -> None:
    options = {"sensor__mode": "stereo", "baseline": BASELINE_M, "right_camera": "east"}
    with running_odometry(tmp_path, camera="west", **options) as bench:
        bench.station.wait_until_heard("/odometry", bench.matches)
        bench.calibrate()
        stamps_ns = []
        for seen in frames(12, depth_noise_m=0.0):
            bench.send_matches(seen, ("west", "rear"), share=3.0)
            bench.send_matches(seen, ("west", "east"))
            bench.send_matches(seen, ("east", "rear"), share=0.5)
            stamps_ns.append(bench.send(seen, depth=False))
        assert_follows_the_camera(bench, stamps_ns, tolerance_m=0.05)


def test_the_right_camera_s_calibration_gives_the_baseline(tmp_path: Path) -> None:
    right = info_from_camera(CAMERA, 1, "right")
    with running_odometry(tmp_path, camera="left", sensor__mode="stereo") as bench:
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


def test_a_calibration_of_rectified_images_is_their_projection_matrix(tmp_path: Path) -> None:
    file = tmp_path / "camera.yaml"
    write_camera(file, CAMERA)
    values = yaml.safe_load(file.read_text())
    values["camera_matrix"]["data"][0] *= 1.2
    values["distortion_coefficients"]["data"][0] = 0.3
    file.write_text(yaml.safe_dump(values))
    with running_odometry(tmp_path, calibration=str(file)) as bench:
        bench.coords = Coords.RECTIFIED
        assert_follows_the_camera(bench, [bench.send(seen) for seen in frames(8)])
