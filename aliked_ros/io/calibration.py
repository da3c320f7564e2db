# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Calibration files as ROS's camera_calibration writes them and camera_info_manager reads them.

Source: http://wiki.ros.org/camera_calibration_parsers, the YAML format.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from aliked_ros.camera import TUM_CAMERAS, Camera
from aliked_ros.errors import CalibrationError, ConfigError, SourceError
from aliked_ros.io.folders import expanded

FILE_NAME = "camera.yaml"  # the calibration that lies beside a sequence

_OPENCV_LINE = "%YAML:1.0"
_KALIBR_MODELS = {"radial-tangential": "plumb_bob", "radtan": "plumb_bob"}
_REMEDY = "calibrate with ROS's camera_calibration and put its YAML file here"


def read_camera(path: Path, *, rectified: bool = False) -> Camera:
    """The calibration in a camera_info YAML file, or in EuRoC's ``sensor.yaml`` of a camera.

    Args:
        path: the file.
        rectified: the calibration of the rectified images: a camera_info file has it as its projection matrix.

    Raises:
        SourceError: the file is missing or is not of that format.
        CalibrationError: its values are impossible.
    """
    try:
        values = yaml.safe_load(yaml_text(path))
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}); {_REMEDY}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise SourceError(f"{path}: not a YAML file ({_first_line(error)}); {_REMEDY}") from error
    try:
        return _euroc_camera(values) if "intrinsics" in values else _camera(values, rectified=rectified)
    except CalibrationError as error:
        raise CalibrationError(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise SourceError(f"{path}: not a camera_info file ({_complaint(error)}); {_REMEDY}") from error


def yaml_text(path: Path) -> str:
    """A file's text without EuRoC's first line, %YAML:1.0, which is OpenCV's and no YAML."""
    return path.read_text(encoding="utf-8").removeprefix(_OPENCV_LINE)


def camera_named(name: str, *, rectified: bool = False) -> Camera:
    """The calibration that a user names: one of TUM's Kinects (fr1, fr2, fr3), a camera_info YAML file or EuRoC's.

    Args:
        name: fr1, fr2 or fr3, or a path, also with ~ or as a ``file://`` URL, which camera drivers take.
        rectified: as for :func:`read_camera`.

    Raises:
        ConfigError: the path has a ~ without a home folder, or nothing is known of the rectified images.
        SourceError: the file is missing or is not of that format.
        CalibrationError: its values are impossible.
    """
    if name in TUM_CAMERAS:
        camera = TUM_CAMERAS[name]
    else:
        camera = read_camera(expanded(name.removeprefix("file://"), "calibration"), rectified=rectified)
    if rectified and any(camera.distortion):
        raise ConfigError(
            f"calibration {name} has distortion and no projection matrix, which describes rectified images; give a "
            "camera_info YAML file, or leave rectified out"
        )
    return camera


def write_camera(path: Path, camera: Camera, name: str = "camera") -> None:
    """Writes a calibration as camera_info YAML; SourceError when the file cannot be written."""
    k = (camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0)
    p = (camera.fx, 0.0, camera.cx, 0.0, 0.0, camera.fy, camera.cy, 0.0, 0.0, 0.0, 1.0, 0.0)
    identity = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    coefficients = tuple(map(float, camera.distortion)) or (0.0,) * 5
    values = {
        "image_width": camera.width,
        "image_height": camera.height,
        "camera_name": name,
        "camera_matrix": _matrix(3, k),
        "distortion_model": camera.distortion_model,
        "distortion_coefficients": _matrix(1, coefficients),
        "rectification_matrix": _matrix(3, identity),
        "projection_matrix": _matrix(3, p),
    }
    try:
        path.write_text(yaml.safe_dump(values, sort_keys=False, default_flow_style=None), encoding="utf-8")
    except OSError as error:
        raise SourceError(f"{path}: cannot be written ({error.strerror}); choose another folder") from error


def _matrix(rows: int, data: tuple[float, ...]) -> dict[str, Any]:
    return {"rows": rows, "cols": len(data) // rows, "data": [float(value) for value in data]}


def _camera(values: Mapping[str, Any], *, rectified: bool) -> Camera:
    size = int(values["image_width"]), int(values["image_height"])
    if rectified:
        fx, _, cx, _, _, fy, cy, *_ = _numbers(values, "projection_matrix", 12)
        return Camera(*size, fx, fy, cx, cy)
    fx, _, cx, _, fy, cy, *_ = _numbers(values, "camera_matrix", 9)
    model = str(values.get("distortion_model", "plumb_bob"))
    distortion = tuple(float(value) for value in values["distortion_coefficients"]["data"])
    return Camera(*size, fx, fy, cx, cy, model, distortion)


def _numbers(values: Mapping[str, Any], name: str, count: int) -> list[float]:
    found = [float(value) for value in values[name]["data"]]
    if len(found) != count:
        raise ValueError(f"{name} has {len(found)} values, not {count}")
    if not all(map(math.isfinite, found)):
        raise ValueError(f"{name} has a value that is not finite")
    return found


def _euroc_camera(values: Mapping[str, Any]) -> Camera:
    """Burri et al., IJRR 2016: the order of OpenCV, names of Kalibr."""
    fx, fy, cx, cy = map(float, values["intrinsics"])
    width, height = map(int, values["resolution"])
    model = str(values["distortion_model"])
    distortion = tuple(map(float, values["distortion_coefficients"]))
    return Camera(width, height, fx, fy, cx, cy, _KALIBR_MODELS.get(model, model), distortion)


def _complaint(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else _first_line(error)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
