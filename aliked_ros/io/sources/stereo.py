# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The second camera of KITTI odometry's and EuRoC's directories, and the rectification that EuRoC's images need.

KITTI's images are rectified, and its ``calib.txt`` holds the baseline: the right camera's P is the left's but for
``P[3] = -fx b``. EuRoC's are as taken; its two ``sensor.yaml`` hold what :func:`cv2.stereoRectify` wants.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from aliked_ros.camera import Camera
from aliked_ros.errors import CalibrationError, SourceError
from aliked_ros.io.calibration import read_camera, yaml_text
from aliked_ros.io.frames import Frame
from aliked_ros.io.images import read_image
from aliked_ros.io.sources.folder import FolderSource
from aliked_ros.io.sources.layouts import EUROC_CALIBRATION, KITTI_CALIBRATION, kitti_matrices
from aliked_ros.io.sources.window import TimeWindow

_RIGHT_OF = {"image_0": "image_1", "image_2": "image_3"}  # KITTI's grey and coloured cameras
_LEFT, _RIGHT = "cam0", "cam1"  # EuRoC's
_Image = NDArray[np.uint8]
_Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Rig:
    """Two cameras, rectified."""

    camera: Camera  # of both
    baseline_m: float
    left_maps: tuple[Any, Any] | None = None  # of cv2.remap; None where images are rectified
    right_maps: tuple[Any, Any] | None = None


class StereoFolderSource(FolderSource):
    """A folder of left images with those of the right camera, both rectified; a frame may lack the right one.

    Args:
        directory: the left images.
        right: the right camera's, under the same names.
        window: of time.
        frame_rate_hz: as for :class:`FolderSource`.

    Raises:
        SourceError: as for :class:`FolderSource`, or there is no calibration of both cameras.
        CalibrationError: it is impossible.
    """

    def __init__(self, directory: Path, right: Path, *, window: TimeWindow, frame_rate_hz: float) -> None:
        super().__init__(directory, window=window, frame_rate_hz=frame_rate_hz)
        self._right = right
        self._rig = rig_of(directory, right, self._frames[0].image)
        self.camera, self.baseline_m = self._rig.camera, self._rig.baseline_m

    def __iter__(self) -> Iterator[Frame]:
        for listed, frame in zip(self._frames, super().__iter__(), strict=True):
            path = self._right / listed.image.name
            right = _mapped(read_image(path), self._rig.right_maps) if path.is_file() else None
            yield dataclasses.replace(frame, image=_mapped(frame.image, self._rig.left_maps), right_image=right)


def right_of(left: Path) -> Path | None:
    """The folder with the right camera's images beside the left's, where there is one."""
    left = left.resolve()
    if left.name in _RIGHT_OF:
        right = left.with_name(_RIGHT_OF[left.name])
    elif left.parent.name == _LEFT:
        right = left.parent.with_name(_RIGHT) / left.name
    else:
        return None
    return right if right.is_dir() else None


def rig_of(left: Path, right: Path, first_image: Path) -> Rig:
    """What a data set says of two cameras.

    Raises:
        SourceError: it says nothing, or something else.
        CalibrationError: its values are impossible.
    """
    left, right = left.resolve(), right.resolve()
    if (left.parent / KITTI_CALIBRATION).is_file():
        return _kitti_rig(left.parent / KITTI_CALIBRATION, left.name, right.name, first_image)
    files = left.parent / EUROC_CALIBRATION, right.parent / EUROC_CALIBRATION
    for file in files:
        if not file.is_file():
            raise SourceError(f"{file}: not there, and without it nothing is known of the two cameras; use --mode mono")
    return _euroc_rig(*files)


def _kitti_rig(path: Path, left: str, right: str, first_image: Path) -> Rig:
    p_left, p_right = kitti_matrices(path, *(f"P{name.removeprefix('image_')}" for name in (left, right)))
    height, width = read_image(first_image).shape[:2]
    camera = Camera(width, height, p_left[0], p_left[5], p_left[2], p_left[6])
    return Rig(camera, _positive_baseline(path, (p_left[3] - p_right[3]) / p_left[0]))


def _euroc_rig(left: Path, right: Path) -> Rig:
    """By OpenCV's rectification, which leaves no pixel without an image (alpha 0)."""
    cameras = [read_camera(path) for path in (left, right)]
    size = cameras[0].width, cameras[0].height
    for path, camera in zip((left, right), cameras, strict=True):
        if camera.distortion_model == "equidistant" or (camera.width, camera.height) != size:
            raise CalibrationError(
                f"{path}: a {camera.distortion_model} camera of {camera.width}×{camera.height} pixels cannot be "
                f"rectified with one of {size[0]}×{size[1]}; plumb_bob cameras of one size can"
            )
    (k_left, d_left), (k_right, d_right) = ((camera.matrix, np.array(camera.distortion)) for camera in cameras)
    right_from_left = np.linalg.inv(_body_from_camera(right)) @ _body_from_camera(left)
    rotation, translation = right_from_left[:3, :3].copy(), right_from_left[:3, 3:].copy()
    turn_left, turn_right, projection_left, projection_right, *_ = cv2.stereoRectify(
        k_left, d_left, k_right, d_right, size, rotation, translation, flags=cv2.CALIB_ZERO_DISPARITY, alpha=0
    )
    p = np.asarray(projection_right, np.float64)
    baseline_m = _positive_baseline(right, float(-p[0, 3] / p[0, 0]))
    left_maps, right_maps = (
        cv2.initUndistortRectifyMap(matrix, distortion, turn, projection, size, cv2.CV_32FC1)
        for matrix, distortion, turn, projection in (
            (k_left, d_left, turn_left, projection_left),
            (k_right, d_right, turn_right, projection_right),
        )
    )
    rectified = Camera(*size, float(p[0, 0]), float(p[1, 1]), float(p[0, 2]), float(p[1, 2]))
    return Rig(rectified, baseline_m, left_maps, right_maps)


def _body_from_camera(path: Path) -> _Matrix:
    """``T_BS`` of a sensor.yaml, (4, 4)."""
    try:
        matrix = np.array(yaml.safe_load(yaml_text(path))["T_BS"]["data"], np.float64).reshape(4, 4)
    except (KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise SourceError(
            f"{path}: holds no T_BS of 4 by 4 numbers, which says how the cameras stand; use --mode mono"
        ) from error
    rotation = matrix[:3, :3]
    if not (np.isfinite(matrix).all() and np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3)):
        raise CalibrationError(f"{path}: T_BS is no motion: {matrix.tolist()}")
    return np.asarray(matrix)


def _positive_baseline(path: Path, baseline_m: float) -> float:
    if not (np.isfinite(baseline_m) and baseline_m > 0):
        raise CalibrationError(f"{path}: the second camera must be to the right of the first, found {baseline_m} m")
    return float(baseline_m)


def _mapped(image: _Image, maps: tuple[Any, Any] | None) -> _Image:
    return image if maps is None else np.asarray(cv2.remap(image, *maps, cv2.INTER_LINEAR), np.uint8)
