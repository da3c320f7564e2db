# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Where pictures go: windows (whose keys are pressed here), folders, and videos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from aliked_ros.cli import viewers
from aliked_ros.cli.viewers import PictureViewer, VideoViewer, WindowViewer, require_display
from aliked_ros.errors import ConfigError, SourceError
from aliked_ros.io.images import read_image
from aliked_ros.io.sources.video import VideoSource

IMAGE = np.full((240, 320, 3), (200, 100, 50), np.uint8)
WITH_WINDOWS = "  GUI:                           QT5\n"


def test_a_sequence_waits_for_space_once(screen: dict[str, Any]) -> None:
    screen["keys"] = [-1, ord("x"), ord(" ")]
    with WindowViewer("test", wait_always=False) as viewer:
        assert viewer.show(IMAGE, "a", 0)
        assert screen["keys"] == []
        assert viewer.show(IMAGE, "b", 1)  # nobody presses anything
    assert screen["closed"]
    first, second = screen["shown"]
    assert (first != IMAGE[..., ::-1]).any()  # the hint
    np.testing.assert_array_equal(second, IMAGE[..., ::-1])  # windows take BGR


def test_pairs_wait_each_time(screen: dict[str, Any]) -> None:
    screen["keys"] = [ord(" "), -1, ord(" ")]
    viewer = WindowViewer("test", wait_always=True)
    assert viewer.show(IMAGE, "a", 0)
    assert viewer.show(IMAGE, "b", 0)
    assert screen["keys"] == []


@pytest.mark.parametrize("key", [ord("q"), 27])
def test_q_and_escape_end(screen: dict[str, Any], key: int) -> None:
    screen["keys"] = [ord(" "), key]
    viewer = WindowViewer("test", wait_always=False)
    assert viewer.show(IMAGE, "a", 0)
    assert not viewer.show(IMAGE, "b", 1)


def test_closing_the_window_ends(screen: dict[str, Any]) -> None:
    screen["visible"] = 0.0
    assert not WindowViewer("test", wait_always=True).show(IMAGE, "a", 0)


def test_an_opencv_without_windows_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "  GUI:                           NONE\n")
    with pytest.raises(ConfigError, match="--no_display"):
        require_display()


def test_no_display_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: WITH_WINDOWS)
    monkeypatch.setattr(viewers.sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(ConfigError, match="--no_display"):
        WindowViewer("test", wait_always=True)
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    require_display()


def test_pictures(tmp_path: Path) -> None:
    with PictureViewer(tmp_path / "out") as viewer:
        assert viewer.show(IMAGE, "a-b", 0)
    np.testing.assert_array_equal(read_image(tmp_path / "out" / "a-b.png"), IMAGE)


@pytest.mark.parametrize(("period_ns", "rate_hz"), [(100_000_000, 10.0), (10_000_000_000, 1.0), (0, 60.0)])
def test_a_video_plays_at_the_rate_of_its_stamps(tmp_path: Path, period_ns: int, rate_hz: float) -> None:
    with VideoViewer(tmp_path / "video.mp4") as viewer:
        for index in range(3):
            assert viewer.show(IMAGE, "", 10**18 + index * period_ns)
    capture = cv2.VideoCapture(str(tmp_path / "video.mp4"))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(rate_hz, rel=1e-3)
    assert len(list(VideoSource(tmp_path / "video.mp4"))) == 3


def test_a_single_picture_is_a_video_too_and_none_is_no_file(tmp_path: Path) -> None:
    with VideoViewer(tmp_path / "one.mp4") as viewer:
        viewer.show(IMAGE, "", 0)
    assert len(list(VideoSource(tmp_path / "one.mp4"))) == 1
    with VideoViewer(tmp_path / "none.mp4"):
        pass
    assert not (tmp_path / "none.mp4").exists()


@pytest.mark.parametrize("make", [PictureViewer, lambda path: VideoViewer(path / "video.mp4")])
def test_unwritable_folders_are_named_at_once(tmp_path: Path, make: Any) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="choose another output folder"):
        make(tmp_path / "file" / "out")
