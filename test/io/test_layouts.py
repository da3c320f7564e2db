# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""KITTI odometry's and EuRoC's directories as sequences: images, times and calibrations."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from aliked_ros.errors import CalibrationError, SourceError
from aliked_ros.io.calibration import camera_named
from aliked_ros.io.sources import folder
from aliked_ros.io.sources.opening import open_source

SENSOR = """%YAML:1.0
# General sensor definitions.
sensor_type: camera
rate_hz: 20
resolution: [64, 48]
camera_model: pinhole
intrinsics: [45.8654, 45.7296, 36.7215, 24.8375] #fu, fv, cu, cv
distortion_model: radial-tangential
distortion_coefficients: [-0.28340811, 0.07395907, 0.00019359, 1.76187114e-05]
"""
CALIB = "P0: 70 0 30 0 0 70 20 0 0 0 1 0\nP1: 70 0 30 -37.6 0 70 20 0 0 0 1 0\n"


def write_images(folder: Path, names: list[str]) -> Path:
    folder.mkdir(parents=True)
    for number, name in enumerate(names):
        cv2.imwrite(str(folder / name), np.full((48, 64), number, np.uint8))
    return folder


@pytest.fixture
def kitti(tmp_path: Path) -> Path:
    sequence = tmp_path / "sequences" / "00"
    write_images(sequence / "image_0", ["000000.png", "000001.png", "000002.png"])
    (sequence / "times.txt").write_text("0.000000e+00\n1.037875e-01\n2.073577e-01\n")
    (sequence / "calib.txt").write_text(CALIB)
    return sequence


@pytest.mark.parametrize("inside", ["", "image_0"])
def test_kitti(kitti: Path, inside: str) -> None:
    with open_source(str(kitti / inside)) as source:
        frames, camera = list(source), source.camera
    assert [frame.stamp_ns for frame in frames] == [0, 103_787_500, 207_357_700]
    assert camera is not None
    assert (camera.width, camera.height, camera.fx, camera.cx, camera.cy) == (64, 48, 70.0, 30.0, 20.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.0\n0.1\n", "has 2 times for the 3 images"),
        ("0.0\n0.2\n0.1\n", "line 3: 0.1 is not after the time before it"),
        ("0.0\nlater\n0.1\n", "line 2: 'later' is no time in seconds"),
        ("0.0\nnan\n0.1\n", "line 2: 'nan' is no time in seconds"),
    ],
)
def test_broken_times_are_named(kitti: Path, text: str, message: str) -> None:
    (kitti / "times.txt").write_text(text)
    with pytest.raises(SourceError, match=message):
        open_source(str(kitti))


def test_a_broken_calibration_is_named(kitti: Path) -> None:
    for text in ("P1: 1 2 3\n", "P0: 70 0\n", "P0: wide 0 30 0 0 70 20 0 0 0 1 0\n"):
        (kitti / "calib.txt").write_text(text)
        with pytest.raises(SourceError, match=r"calib\.txt: holds no projection matrix P0"):
            open_source(str(kitti))
    (kitti / "calib.txt").write_text(CALIB.replace("P0: 70", "P0: 0"))
    with pytest.raises(CalibrationError, match="fx = 0"):
        open_source(str(kitti))


@pytest.mark.parametrize("inside", ["", "mav0", "mav0/cam0", "mav0/cam0/data"])
def test_euroc(tmp_path: Path, inside: str) -> None:
    stamps_ns = [1403636579763555584, 1403636579813555456]
    write_images(tmp_path / "mav0" / "cam0" / "data", [f"{stamp_ns}.png" for stamp_ns in stamps_ns])
    sensor = tmp_path / "mav0" / "cam0" / "sensor.yaml"
    sensor.write_text(SENSOR)
    with open_source(str(tmp_path / inside)) as source:
        assert [frame.stamp_ns for frame in source] == stamps_ns
        camera = source.camera
    assert camera is not None
    assert (camera.width, camera.height, camera.fx, camera.cy) == (64, 48, 45.8654, 24.8375)
    assert (camera.distortion_model, len(camera.distortion)) == ("plumb_bob", 4)
    assert camera_named(str(sensor)).matrix.tolist() == camera.matrix.tolist()
    sensor.write_text(SENSOR.replace("intrinsics: [45.8654,", "intrinsics: ["))
    with pytest.raises(SourceError, match=r"sensor\.yaml: not a camera_info file"):
        open_source(str(tmp_path / inside))


def test_an_assumed_rate_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr(folder, "_logger", SimpleNamespace(info=lambda text, *values: lines.append(text % values)))
    write_images(tmp_path / "images", ["000000.png", "000001.png"])
    with open_source(str(tmp_path / "images"), frame_rate_hz=10.0) as source:
        assert np.diff([frame.stamp_ns for frame in source]).tolist() == [100_000_000]
        assert source.camera is None
    assert [line.endswith("names are no times; 10 frames per second are assumed") for line in lines] == [True]
