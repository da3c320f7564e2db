# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""From the images of two cameras to metric odometry: tracker and odometry as processes, as docs/slam.md starts them."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("gtsam", reason="gtsam is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")
pytest.importorskip("skimage", reason="scikit-image, whose photographs the scene is made of, is not installed")

from node_harness import Station, parameter_arguments
from stereo_scene import StereoScene, errors_m, path_length_m

from aliked_ros.ros.child import NodeProcess

pytestmark = pytest.mark.ros
TRACKER = {
    "model": "aliked-t16",
    "device": "cpu",
    "cameras": "[left, right]",
    "rectified": True,
    "process_every_frame": True,
    "sync_timeout": 1.0,  # of a machine that is busy with other things
    "tracking__refinement": "photometric",
}
ODOMETRY = {"sensor__mode": "stereo", "camera": "left", "process_every_frame": True}


def test_two_cameras_give_metres(tmp_path: Path) -> None:
    station = Station()
    try:
        scene = StereoScene(station)
        with (
            NodeProcess("aliked_ros.ros.odometry", parameter_arguments(**ODOMETRY), tmp_path / "odometry.log"),
            NodeProcess("aliked_ros.ros.tracker", parameter_arguments(**TRACKER), tmp_path / "tracker.log"),
        ):
            driven = scene.drive(15)
        assert errors_m(driven).max() < 0.02 * path_length_m(driven)
    finally:
        station.close()
