# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""One way to open everything: each kind is told apart, and what is none is explained."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from aliked_ros.camera import TUM_CAMERAS
from aliked_ros.errors import ConfigError, SourceError
from aliked_ros.io.sources.camera_device import CameraSource
from aliked_ros.io.sources.folder import FolderSource
from aliked_ros.io.sources.opening import is_bag, open_source
from aliked_ros.io.sources.tum import TumSource
from aliked_ros.io.sources.video import VideoSource
from aliked_ros.io.video_writer import VideoWriter


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(4):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((48, 64, 3), number, np.uint8))
    return tmp_path


def test_a_folder_of_images(folder: Path) -> None:
    with open_source(str(folder), frame_rate_hz=2.0, start_s=0.5, duration_s=1.0, camera=TUM_CAMERAS["fr1"]) as source:
        assert isinstance(source, FolderSource)
        assert source.camera is TUM_CAMERAS["fr1"]
        assert [frame.stamp_ns for frame in source] == [1_500_000_000, 2_000_000_000]


def test_a_folder_with_a_list_is_a_tum_directory(folder: Path) -> None:
    (folder / "rgb.txt").write_text("1.0 0.png\n")
    assert isinstance(open_source(str(folder)), TumSource)


def test_a_video(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "VIDEO.MP4", 30.0) as writer:
        writer.write(np.zeros((64, 64, 3), np.uint8))
    assert isinstance(open_source(str(tmp_path / "VIDEO.MP4")), VideoSource)


@pytest.mark.parametrize("spec", ["camera63", "camera:63"])
def test_a_camera(spec: str) -> None:
    with pytest.raises(SourceError, match="camera63: cannot be opened"):
        open_source(spec)


def test_a_folder_named_like_a_camera_is_a_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "camera0").mkdir()
    (folder / "0.png").rename(folder / "camera0" / "0.png")
    monkeypatch.chdir(folder)
    source = open_source("camera0")
    assert isinstance(source, FolderSource)
    assert not isinstance(source, CameraSource)


@pytest.mark.parametrize("name", ["record.mcap", "record.db3", "record.bag"])
def test_bags_are_told_by_their_files(tmp_path: Path, name: str) -> None:
    assert not is_bag(tmp_path)
    (tmp_path / name).write_bytes(b"")
    assert is_bag(tmp_path / name)
    assert is_bag(tmp_path)


def test_a_recorders_directory_is_a_bag(tmp_path: Path) -> None:
    (tmp_path / "metadata.yaml").write_text("rosbag2_bagfile_information:\n")
    assert is_bag(tmp_path)


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("", "an empty name: no such file"),
        ("nowhere/at/all", "nowhere/at/all: no such file, folder or camera; accepted: a TUM directory"),
        ("text.txt", "a file of this kind is no sequence"),
        ("empty", "this folder holds nothing"),
        ("parent", r"this folder holds a, b, c, d, …; accepted"),
    ],
)
def test_everything_else_is_refused_with_what_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str, complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("")
    (tmp_path / "empty").mkdir()
    for name in "abcde":
        (tmp_path / "parent" / name).mkdir(parents=True)
    with pytest.raises(SourceError, match=complaint):
        open_source(spec)


def test_an_impossible_window_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="start_s"):
        open_source(str(folder), start_s=-1.0)


def test_a_folder_that_may_not_be_read_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(SourceError, match="Permission denied"):
        open_source(str(folder))
