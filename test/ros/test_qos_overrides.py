# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The quality of service of every topic follows ``qos_overrides``; impossible ones are refused, useless ones named."""

from __future__ import annotations

import itertools
import signal
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from node_harness import (
    START_NS,
    Station,
    parameter_arguments,
    run_node,
    wait_until,
)
from qos_samples import BEST_EFFORT, FEW_KEYPOINTS, LATCHED, repeat_until
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image

from aliked_msgs.msg import Features, TrackerStatus, Tracks
from aliked_ros.camera import TUM_CAMERAS
from aliked_ros.ros.child import NodeProcess
from aliked_ros.ros.image_conversions import depth_message, image_message, info_from_camera

pytestmark = pytest.mark.ros

_stamps = itertools.count(START_NS, 33_333_333)


OVERRIDES = {
    "/image.subscription": {"reliability": "best_effort"},
    "/depth.subscription": {"reliability": "best_effort"},
    "/camera_info.subscription": {"reliability": "reliable", "durability": "transient_local"},
    "/tracker/features.publisher": {"reliability": "best_effort", "depth": "1"},
    "/tracker/tracks.publisher": {"durability": "transient_local"},
    "/tracker/matches.publisher": {"depth": "2"},
    "/tracker/status.publisher": {"depth": "3"},
    "/tracker/debug_image.publisher": {"reliability": "best_effort"},
    "/diagnostics.publisher": {"reliability": "best_effort"},
    "/imag.subscription": {"depth": "3"},
}


def overrides_file(directory: Path, overrides: dict[str, dict[str, str]]) -> list[str]:
    """ROS arguments with a parameter file of qos_overrides."""
    lines = ["/**:", "  ros__parameters:", "    qos_overrides:"]
    for topic, policies in overrides.items():
        name, side = topic.rsplit(".", 1)
        lines += [f"      {name}:", f"        {side}:", *(f"          {k}: {v}" for k, v in policies.items())]
    path = directory / "qos.yaml"
    path.write_text("\n".join(lines) + "\n")
    return ["--params-file", str(path)]


def test_overrides_of_every_topic(tmp_path: Path, textured_image: np.ndarray) -> None:
    station = Station()
    parameters = {**FEW_KEYPOINTS, "process_every_frame": True, "depth": True, "depth_timeout": 5.0}
    arguments = parameter_arguments(model="aliked-t16", device="cpu", precision="fp32", **parameters)
    node, log = station.node, tmp_path / "log"
    try:
        info = node.create_publisher(CameraInfo, "/camera_info", LATCHED)
        info.publish(info_from_camera(TUM_CAMERAS["fr2"], START_NS, "camera"))  # once, before the tracker is there
        images, depths = (node.create_publisher(Image, topic, BEST_EFFORT) for topic in ("/image", "/depth"))
        station.subscribe(TrackerStatus, "/tracker/status", latched=True)
        with NodeProcess("aliked_ros.ros.tracker", [*arguments, *overrides_file(tmp_path, OVERRIDES)], log):
            wait_until(lambda: "calibrated: plumb_bob, fx 520.9" in log.read_text(), "the latched calibration")
            features: list[Any] = []
            node.create_subscription(Features, "/tracker/features", features.append, BEST_EFFORT)
            depth_m = np.ones(textured_image.shape[:2], np.float32)

            def send() -> None:
                stamp_ns = next(_stamps)
                depths.publish(depth_message(depth_m, stamp_ns, "camera", "32FC1"))
                images.publish(image_message(textured_image, stamp_ns, "camera"))

            repeat_until(send, lambda: any(len(message.depth_m) for message in features), "an image with its depth")
            late: list[Any] = []
            node.create_subscription(Tracks, "/tracker/tracks", late.append, LATCHED)
            wait_until(lambda: bool(late), "the last tracks, for who comes late")
            profiles = {
                topic: node.get_publishers_info_by_topic(topic)[0].qos_profile
                for topic in (
                    *("/tracker/features", "/tracker/tracks", "/tracker/debug_image", "/tracker/status"),
                    "/diagnostics",
                )
            }
            assert profiles["/diagnostics"].reliability == ReliabilityPolicy.BEST_EFFORT
            assert profiles["/tracker/features"].reliability == ReliabilityPolicy.BEST_EFFORT
            assert profiles["/tracker/debug_image"].reliability == ReliabilityPolicy.BEST_EFFORT
            assert profiles["/tracker/tracks"].durability == DurabilityPolicy.TRANSIENT_LOCAL
            assert profiles["/tracker/status"].durability == DurabilityPolicy.TRANSIENT_LOCAL
            text = log.read_text()
            assert text.count("parameter qos_overrides./imag.subscription.depth has no effect") == 1
            assert text.count("has no effect") == 1
            assert "incompatible QoS" not in text
    finally:
        station.close()


@pytest.mark.parametrize(
    ("policies", "reason"),
    [
        ({"reliability": "sometimes"}, "reliability"),
        ({"depth": "0"}, "depth must be at least 1, got 0"),
        ({"depth": "many"}, "depth"),
    ],
    ids=["value", "range", "type"],
)
def test_impossible_overrides_are_refused(tmp_path: Path, policies: dict[str, str], reason: str) -> None:
    arguments = overrides_file(tmp_path, {"/tracker/status.publisher": policies})
    done = run_node("aliked_ros.ros.tracker", arguments)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "[FATAL]" in line]
    assert "qos_overrides of ~/status cannot be used" in line
    assert reason in line
    assert "Traceback" not in done.stderr


OTHERS = {
    "player": ("/image.publisher", "image"),
    "odometry": ("/tracker/features.subscription", "tracker/features"),
    "vins_relay": ("/tracker/tracks.subscription", "tracker/tracks"),
}


def arguments_of(module: str, directory: Path) -> list[str]:
    """A node that runs on: the player waits for a subscriber, the others for a tracker."""
    if module != "player":
        return []
    cv2.imwrite(str(directory / "0.png"), np.zeros((64, 64), np.uint8))
    return parameter_arguments(input=directory, wait_for_subscribers=1)


@pytest.mark.parametrize("module", OTHERS)
def test_impossible_overrides_of_other_nodes_are_refused(tmp_path: Path, module: str) -> None:
    side, topic = OTHERS[module]
    overrides = overrides_file(tmp_path, {side: {"reliability": "sometimes"}})
    done = run_node(f"aliked_ros.ros.{module}", [*arguments_of(module, tmp_path), *overrides])
    assert done.returncode == 1
    assert f"qos_overrides of {topic} cannot be used" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("module", OTHERS)
def test_useless_overrides_of_other_nodes_are_named(tmp_path: Path, module: str) -> None:
    side, _ = OTHERS[module]
    overrides = overrides_file(tmp_path, {side: {"depth": "7"}, "/imag.subscription": {"depth": "3"}})
    log = tmp_path / "log"
    with NodeProcess(f"aliked_ros.ros.{module}", [*arguments_of(module, tmp_path), *overrides], log) as process:
        named = "parameter qos_overrides./imag.subscription.depth has no effect"
        wait_until(lambda: named in log.read_text(), "the warning")
        process.stop(signal.SIGINT)
    assert log.read_text().count("has no effect") == 1


def test_a_relay_names_who_does_not_fit(tmp_path: Path) -> None:
    station, log = Station(), tmp_path / "log"
    try:
        station.node.create_publisher(Tracks, "/tracker/tracks", BEST_EFFORT)
        with NodeProcess("aliked_ros.ros.vins_relay", [], log):
            line = "incompatible QoS on /tracker/tracks: nothing comes from /station"
            wait_until(lambda: line in log.read_text(), "the warning")
    finally:
        station.close()
