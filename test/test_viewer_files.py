# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""RViz's configuration and Foxglove's layout are well formed; test/ros/test_viewer_topics.py compares with nodes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from viewer_files import RVIZ, foxglove_layout, foxglove_panels, foxglove_plots, foxglove_topics, rviz_displays

STATUS = "/tracker/status"


@pytest.mark.parametrize("file", RVIZ, ids=lambda file: file.name)
def test_rviz_shows_the_tracks_and_the_camera(file: Path) -> None:
    assert {"/tracker/debug_image", "/image"} <= {display["Topic"]["Value"] for display in rviz_displays(file)}
    names = [display["Name"] for display in rviz_displays(file)]
    assert len(set(names)) == len(names)


def test_foxglove_has_a_configuration_for_every_panel_and_no_other() -> None:
    layout = foxglove_layout()
    panels = list(foxglove_panels(layout["layout"]))
    assert sorted(panels) == sorted(layout["configById"])
    assert all(re.fullmatch(r"\w+!\w+", panel) for panel in panels)


def test_foxglove_shows_tracks_diagnostics_latency_rates_and_tracks() -> None:
    assert set(foxglove_topics()) == {"/tracker/debug_image", "/diagnostics"}
    wanted = {(STATUS, name) for name in ("latency_ms", "processed", "dropped", "num_tracks", "num_features")}
    assert wanted <= foxglove_plots()
