# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Fast DDS takes the profiles of config/fastdds, and images pass with them between processes without loss."""

from __future__ import annotations

import os
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from hosts_harness import ROOT, assert_complete, listening, playing, write_images
from node_harness import wait_until

from aliked_ros.ros import domain

pytestmark = [
    pytest.mark.ros,
    pytest.mark.skipif(
        not os.environ.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp").startswith("rmw_fastrtps"),
        reason="the profiles are Fast DDS's, and another middleware is in use",
    ),
]

IMAGES = 25


@pytest.mark.parametrize(
    ("profile", "best_effort"),
    [("one_machine", True), ("several_machines", True), ("several_machines_tcp", False)],
)
def test_images_pass_between_processes(
    profile: str, best_effort: bool, tmp_path: Path, textured_image: np.ndarray
) -> None:
    """What is sent best effort is never sent again; over TCP it is lost until a connection stands, hence reliable."""
    stamps = write_images(tmp_path / "images", textured_image, IMAGES)
    log, player_log = tmp_path / "log", tmp_path / "player.log"
    with (
        listening(log, profile, ["/image:sensor_msgs/Image"], best_effort=best_effort) as ear,
        playing(tmp_path / "images", profile, player_log),
    ):
        wait_until(lambda: stamps[-1] in ear.stamps("/image"), "the last image")
    assert_complete(ear.stamps("/image"), stamps)
    said = player_log.read_text() + log.read_text()
    assert not re.search(r"XMLPARSER|XMLProfile", said), "Fast DDS complains of the profile"


def test_a_run_on_its_own_uses_the_profile_for_one_machine() -> None:
    """The demo and the tests cannot rely on an installed file, so they have a copy of its text."""
    ours = ElementTree.fromstring(domain._FAST_DDS_PROFILE.encode())
    published = ElementTree.parse(ROOT / "config/fastdds/one_machine.xml").getroot()

    def content(root: ElementTree.Element) -> list[tuple[str, str]]:
        return [(element.tag, (element.text or "").strip()) for element in root.iter()]

    assert content(ours) == content(published)
