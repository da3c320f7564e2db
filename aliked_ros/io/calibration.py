# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Calibration files as ROS's camera_calibration writes them and camera_info_manager reads them.

Source: http://wiki.ros.org/camera_calibration_parsers, the YAML format.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from aliked_ros.camera import TUM_CAMERAS, Camera
from aliked_ros.errors import CalibrationError, SourceError

FILE_NAME = "camera.yaml"  # the calibration that lies beside a sequence

_OPENCV_LINE = "%YAML:1.0"
_KALIBR_MODELS = {"radial-tangential": "plumb_bob", "radtan": "plumb_bob"}
_REMEDY = "calibrate with ROS's camera_calibration and put its YAML file here"


def read_camera(path: Path) -> Camera:
    """The calibration in a camera_info YAML file, or in EuRoC's ``sensor.yaml`` of a camera.

    Raises:
        SourceError: the file is missing or is not of that format.
        CalibrationError: its values are impossible.
    """
    try:
        text = path.read_text(encoding="utf-8")
        # EuRoC's first line, %YAML:1.0, is OpenCV's and no YAML.
        values = yaml.safe_load(text.removeprefix(_OPENCV_LINE))
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}); {_REMEDY}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise SourceError(f"{path}: not a YAML file ({_first_line(error)}); {_REMEDY}") from error
    try:
        return _euroc_camera(values) if "intrinsics" in values else _camera(values)
    except CalibrationError as error:
        raise CalibrationError(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise SourceError(f"{path}: not a camera_info file ({_complaint(error)}); {_REMEDY}") from error


def camera_named(name: str) -> Camera:
    """The calibration that a user names: one of TUM's Kinects (fr1, fr2, fr3), a camera_info YAML file or EuRoC's.

    Raises:
        SourceError: the file is missing or is not of that format.
        CalibrationError: its values are impossible.
    """
    return TUM_CAMERAS[name] if name in TUM_CAMERAS else read_camera(Path(name))


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


def _camera(values: Mapping[str, Any]) -> Camera:
    k = [float(value) for value in values["camera_matrix"]["data"]]
    if len(k) != 9:
        raise ValueError(f"camera_matrix has {len(k)} values, not 9")
    return Camera(
        width=int(values["image_width"]),
        height=int(values["image_height"]),
        fx=k[0],
        fy=k[4],
        cx=k[2],
        cy=k[5],
        distortion_model=str(values.get("distortion_model", "plumb_bob")),
        distortion=tuple(float(value) for value in values["distortion_coefficients"]["data"]),
    )


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
