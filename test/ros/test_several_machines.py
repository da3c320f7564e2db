# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Camera, tracker and backend on three hosts: network namespaces joined by virtual links."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from hosts_harness import IMAGE_BYTES, assert_complete, environment, listening, play, write_images
from node_harness import parameter_arguments, wait_until

from aliked_ros.errors import DeviceError
from aliked_ros.ros.child import NodeProcess
from tools.network_lab import NetworkLab

pytestmark = pytest.mark.ros

HOSTS = ("camera", "tracker", "backend")
IMAGES = 15
RESULTS = {"/tracker/features": "Features", "/tracker/matches": "Matches", "/tracker/tracks": "Tracks"}
# The last: a tracker whose status arrives knows the subscriptions before it.
TOPICS = [
    *(f"{topic}:aliked_msgs/{kind}" for topic, kind in RESULTS.items()),
    "/tracker/status:aliked_msgs/TrackerStatus",
]


def namespaces() -> set[str]:
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    return {line.split()[0] for line in listed.splitlines() if line.startswith(f"aliked-{os.getpid()}-")}


@pytest.fixture
def lab() -> Iterator[NetworkLab]:
    try:
        lab = NetworkLab(HOSTS).__enter__()
    except DeviceError as error:
        pytest.skip(str(error))
    try:
        yield lab
    finally:
        lab.__exit__(None, None, None)
    assert namespaces() == set()


def tracker(lab: NetworkLab, log: Path, profile: str) -> NodeProcess:
    parameters: dict[str, Any] = {"model": "aliked-t16", "device": "cpu", "process_every_frame": True}
    arguments = parameter_arguments(**parameters)
    return NodeProcess("aliked_ros.ros.tracker", arguments, log, environment(profile), lab.prefix("tracker"))


def test_features_of_every_image_reach_the_backend(lab: NetworkLab, tmp_path: Path, textured_image: np.ndarray) -> None:
    profile = "several_machines"
    stamps = write_images(tmp_path / "images", textured_image, IMAGES)
    with (
        listening(tmp_path / "backend.log", profile, TOPICS, lab.prefix("backend")) as backend,
        tracker(lab, tmp_path / "tracker.log", profile),
    ):
        wait_until(lambda: "ready: " in (tmp_path / "tracker.log").read_text(), "the tracker")
        wait_until(lambda: bool(backend.heard("/tracker/status")), "the tracker's status")
        before = {host: lab.traffic(host) for host in HOSTS}
        play(tmp_path / "images", profile, lab.prefix("camera"), rate=0.5)
        for topic in ("/tracker/features", "/tracker/tracks"):
            wait_until(lambda topic=topic: backend.stamps(topic) == stamps, f"{topic} of every image")
        wait_until(lambda: set(backend.stamps("/tracker/matches")) >= set(stamps[1:]), "matches to every image before")
        passed = {host: lab.traffic(host).since(before[host]) for host in HOSTS}
        results = sum(message.size_bytes for topic in RESULTS for message in backend.heard(topic))
    assert set(backend.stamps("/tracker/matches")) <= set(stamps), "a stamp joins everything"
    assert passed["camera"].sent > IMAGES * IMAGE_BYTES, "the images went through the link, not through shared memory"
    assert passed["tracker"].received > IMAGES * IMAGE_BYTES
    assert passed["backend"].received > results


def test_best_effort_images_pass_between_machines(lab: NetworkLab, tmp_path: Path, textured_image: np.ndarray) -> None:
    largest = int(Path("/proc/sys/net/core/rmem_max").read_text())
    if largest < 2 * IMAGE_BYTES:
        pytest.skip(f"net.core.rmem_max is {largest}, too small for images over UDP; see docs/deployment.md")
    profile, topics = "several_machines", ["/image:sensor_msgs/Image"]
    stamps = write_images(tmp_path / "images", textured_image, 25)
    with listening(tmp_path / "log", profile, topics, lab.prefix("backend"), best_effort=True) as backend:
        play(tmp_path / "images", profile, lab.prefix("camera"))
        wait_until(lambda: stamps[-1] in backend.stamps("/image"), "the last image")
    assert_complete(backend.stamps("/image"), stamps)


def test_hosts_are_removed_after_a_failure(lab: NetworkLab) -> None:
    before, during = namespaces(), set[str]()

    def fail() -> None:
        with NetworkLab(["other"]):
            during.update(namespaces() - before)
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        fail()
    assert len(during) == 2, "a host and a switch"
    assert namespaces() == before


def test_a_laboratory_that_cannot_be_built_leaves_nothing(lab: NetworkLab) -> None:
    before = namespaces()
    with pytest.raises(DeviceError, match="failed"):
        NetworkLab(["fine", "too_long_for_an_interface"]).__enter__()
    assert namespaces() == before
