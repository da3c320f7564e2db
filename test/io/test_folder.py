# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Folders of images: order and stamps."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from aliked_ros.camera import Camera
from aliked_ros.errors import ConfigError, SourceError
from aliked_ros.io.calibration import write_camera
from aliked_ros.io.sources.folder import FolderSource, list_images, natural_key
from aliked_ros.io.sources.window import TimeWindow


def write_images(directory: Path, names: list[str]) -> None:
    directory.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        cv2.imwrite(str(directory / name), np.full((48, 64, 3), number, np.uint8))


def test_numbers_in_names_count_by_value() -> None:
    names = ["img10.png", "img9.png", "IMG1.png", "img010.png", "a2b10.png", "a2b9.png", "12.png", "9.png"]
    ordered = sorted(map(Path, names), key=natural_key)
    assert [path.name for path in ordered] == [
        "9.png", "12.png", "a2b9.png", "a2b10.png", "IMG1.png", "img9.png", "img010.png", "img10.png",
    ]  # fmt: skip


def test_only_images_count_whatever_the_case_of_their_suffix(tmp_path: Path) -> None:
    write_images(tmp_path, ["a.PNG", "b.jpeg", "c.tif", "d.ppm", "e.bmp", "f.JPG"])
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "._a.png").write_text("left behind by macOS")
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in list_images(tmp_path)] == ["a.PNG", "b.jpeg", "c.tif", "d.ppm", "e.bmp", "f.JPG"]


def test_an_empty_or_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="has no image"):
        list_images(tmp_path)
    with pytest.raises(SourceError, match="cannot be read"):
        list_images(tmp_path / "absent")


def test_names_that_are_seconds_are_stamps(tmp_path: Path) -> None:
    write_images(tmp_path, ["1311868170.163416.png", "1311868169.163498.png", "1311868169.9.png"])
    frames = list(FolderSource(tmp_path))
    assert [frame.stamp_ns for frame in frames] == [1311868169_163498000, 1311868169_900000000, 1311868170_163416000]
    assert [frame.image[0, 0, 0] for frame in frames] == [1, 2, 0]


def test_names_that_are_unix_nanoseconds_are_stamps(tmp_path: Path) -> None:
    write_images(tmp_path, ["1403636579763555584.png", "1403636579813555456.png"])
    assert [frame.stamp_ns for frame in FolderSource(tmp_path)] == [1403636579763555584, 1403636579813555456]


@pytest.mark.parametrize(
    "names",
    [["1.png", "2.png", "10.png"], ["1.5.png", "2.5.png", "ref.png"], ["1.5.jpg", "1.5.png", "2.5.png"]],
)
def test_other_names_count_at_the_frame_rate(tmp_path: Path, names: list[str]) -> None:
    write_images(tmp_path, names)
    frames = list(FolderSource(tmp_path, frame_rate_hz=3.0))
    assert [frame.stamp_ns for frame in frames] == [1_000_000_000, 1_333_333_333, 1_666_666_667]
    assert [frame.image[0, 0, 0] for frame in frames] == [0, 1, 2]


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_an_impossible_frame_rate_is_refused(tmp_path: Path, rate: float) -> None:
    write_images(tmp_path, ["1.png"])
    with pytest.raises(ConfigError, match="frame_rate_hz"):
        FolderSource(tmp_path, frame_rate_hz=rate)


def test_windows(tmp_path: Path) -> None:
    write_images(tmp_path, [f"{number}.png" for number in range(20)])
    source = FolderSource(tmp_path, window=TimeWindow(0.5, 0.3), frame_rate_hz=10.0)
    assert [int(frame.image[0, 0, 0]) for frame in source] == [5, 6, 7]
    assert source.num_frames == 3


def test_a_calibration_beside_the_images_is_used(tmp_path: Path) -> None:
    write_images(tmp_path, ["1.png"])
    assert FolderSource(tmp_path).camera is None
    write_camera(tmp_path / "camera.yaml", Camera(64, 48, 50.0, 51.0, 32.0, 24.0))
    camera = FolderSource(tmp_path).camera
    assert camera is not None
    assert camera.fy == 51.0
