# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""camera_info YAML files."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import pytest

from aliked_ros.camera import TUM_CAMERAS, Camera
from aliked_ros.errors import CalibrationError, ConfigError, SourceError
from aliked_ros.io.calibration import camera_named, read_camera, write_camera

# As camera_calibration writes it.
EXAMPLE = """
image_width: 640
image_height: 480
camera_name: narrow_stereo
camera_matrix:
  rows: 3
  cols: 3
  data: [520.9, 0. , 325.1, 0. , 521. , 249.7, 0. , 0. , 1. ]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [0.2312, -0.7849, -0.0033, -0.0001, 0.9172]
rectification_matrix:
  rows: 3
  cols: 3
  data: [1, 0, 0, 0, 1, 0, 0, 0, 1]
projection_matrix:
  rows: 3
  cols: 4
  data: [520.9, 0, 325.1, 0, 0, 521, 249.7, 0, 0, 0, 1, 0]
"""


def test_reads_what_ros_writes(tmp_path: Path) -> None:
    path = tmp_path / "camera.yaml"
    path.write_text(EXAMPLE)
    camera = read_camera(path)
    assert (camera.width, camera.height) == (640, 480)
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (520.9, 521.0, 325.1, 249.7)
    assert camera.distortion == (0.2312, -0.7849, -0.0033, -0.0001, 0.9172)


def test_the_projection_matrix_is_the_calibration_of_rectified_images(tmp_path: Path) -> None:
    path = tmp_path / "camera.yaml"
    path.write_text(EXAMPLE.replace("[520.9, 0, 325.1, 0, 0, 521, 249.7,", "[400, 0, 310, -20, 0, 401, 230,"))
    camera = read_camera(path, rectified=True)
    assert (camera.width, camera.height) == (640, 480)
    assert (camera.fx, camera.fy, camera.cx, camera.cy, camera.distortion) == (400.0, 401.0, 310.0, 230.0, ())
    path.write_text(EXAMPLE[: EXAMPLE.index("projection_matrix")])
    assert read_camera(path).fx == 520.9
    with pytest.raises(SourceError, match="'projection_matrix' is missing"):
        read_camera(path, rectified=True)


def test_paths_are_written_as_users_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "camera.yaml").write_text(EXAMPLE)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("~/camera.yaml", f"file://{tmp_path}/camera.yaml", "file://~/camera.yaml"):
        assert camera_named(name).fx == 520.9
    assert camera_named("fr3").fx == TUM_CAMERAS["fr3"].fx
    with pytest.raises(ConfigError, match="calibration: the home folder"):
        camera_named("~nobody-of-this-name/camera.yaml")


@pytest.mark.parametrize(
    "camera",
    [
        TUM_CAMERAS["fr1"],
        Camera(
            320, 240, 1000 / 3, 200.0000002, 159.5, 119.5, "rational_polynomial", tuple(0.003 * i for i in range(8))
        ),
        Camera(320, 240, 200.0, 201.0, 159.5, 119.5, "equidistant", (0.1, 0.2, 0.3, 0.4)),
    ],
)
def test_round_trip_is_exact(tmp_path: Path, camera: Camera) -> None:
    write_camera(tmp_path / "camera.yaml", camera, "left")
    assert astuple(read_camera(tmp_path / "camera.yaml")) == astuple(camera)


def test_no_distortion_is_written_as_zeros_for_ros(tmp_path: Path) -> None:
    write_camera(tmp_path / "camera.yaml", Camera(320, 240, 200.0, 200.0, 160.0, 120.0))
    assert read_camera(tmp_path / "camera.yaml").distortion == (0.0,) * 5


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("just words", "not a camera_info file"),
        ("[1, 2", "not a YAML file"),
        (EXAMPLE.replace("image_width", "width"), "'image_width' is missing"),
        (EXAMPLE.replace("520.9, 0. , 325.1, 0. , ", ""), "camera_matrix has 5 values"),
        (EXAMPLE.replace("640", "wide"), "wide"),
        (EXAMPLE.replace("[520.9, 0. , 325.1", "[520.9, .nan, 325.1"), "camera_matrix has a value that is not finite"),
        ("!!python/object/apply:os.getcwd []", "not a YAML file"),
    ],
)
def test_other_files_are_refused_with_the_reason(tmp_path: Path, content: str, complaint: str) -> None:
    (tmp_path / "camera.yaml").write_text(content)
    with pytest.raises(SourceError, match=complaint) as raised:
        read_camera(tmp_path / "camera.yaml")
    assert "camera.yaml" in str(raised.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"absent\.yaml"):
        read_camera(tmp_path / "absent.yaml")


def test_impossible_values_are_a_calibration_error_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "camera.yaml").write_text(EXAMPLE.replace("520.9", "0.0"))
    with pytest.raises(CalibrationError, match=r"camera\.yaml.*focal"):
        read_camera(tmp_path / "camera.yaml")


def test_an_unwritable_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="cannot be written"):
        write_camera(tmp_path / "file" / "camera.yaml", TUM_CAMERAS["fr3"])
