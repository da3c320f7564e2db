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
from aliked_ros.io.sources.folder import FolderSource, list_images
from aliked_ros.io.sources.layouts import EUROC_CALIBRATION, KITTI_CALIBRATION, kitti_matrices
from aliked_ros.io.sources.window import TimeWindow
from aliked_ros.rectified import pair_baseline_m

_RIGHT_OF = {"image_0": "image_1", "image_2": "image_3"}  # KITTI's grey and coloured cameras
_LEFT_OF = {right: left for left, right in _RIGHT_OF.items()}
_LEFT, _RIGHT = "cam0", "cam1"  # EuRoC's
_MAX_TURN_DEG = 60.0
_ONE_PLACE_M = 1e-6
_Image = NDArray[np.uint8]
_Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Rig:
    """Two cameras, rectified."""

    camera: Camera  # of both
    baseline_m: float
    left_maps: tuple[Any, Any] | None = None  # of cv2.remap; None where images are rectified
    right_maps: tuple[Any, Any] | None = None
    rectified_from_camera: _Matrix | None = None  # (3, 3) of the left one, where images are turned


class StereoFolderSource(FolderSource):
    """A folder of left images with those of the right camera, both rectified; a frame may lack the right one.

    Args:
        directory: the left images.
        right: the right camera's, under the same names but for what kind of file they are.
        window: of time.
        frame_rate_hz: as for :class:`FolderSource`.

    Raises:
        SourceError: as for :class:`FolderSource`, there is no calibration of both cameras, or no image of one has a
            partner.
        CalibrationError: it is impossible, or (also while they are read) of images of another size.
    """

    def __init__(self, directory: Path, right: Path, *, window: TimeWindow, frame_rate_hz: float) -> None:
        super().__init__(directory, window=window, frame_rate_hz=frame_rate_hz)
        partners = {path.stem: path for path in list_images(right)}
        self._partners = [partners.get(listed.image.stem) for listed in self._frames]
        if not any(self._partners):
            first = self._frames[0].image.name
            raise SourceError(f"{right}: has no image named as one of {directory}, such as {first}; use --mode mono")
        self._rig = rig_of(right, self._frames[0].image)
        self.camera, self.baseline_m = self._rig.camera, self._rig.baseline_m
        self.rectified_from_camera = self._rig.rectified_from_camera

    def __iter__(self) -> Iterator[Frame]:
        rig = self._rig
        for listed, partner, frame in zip(self._frames, self._partners, super().__iter__(), strict=True):
            left = _rectified(frame.image, listed.image, rig.camera, rig.left_maps)
            right = None
            if partner is not None:
                right = _rectified(read_image(partner), partner, rig.camera, rig.right_maps)
            yield dataclasses.replace(frame, image=left, right_image=right)


def right_of(left: Path) -> Path | None:
    """The folder with the right camera's images beside the left's, where there is one."""
    for path in (left.absolute(), left.resolve()):  # either may be a link
        if path.name in _RIGHT_OF:
            right = path.with_name(_RIGHT_OF[path.name])
        elif path.parent.name == _LEFT:
            right = path.parent.with_name(_RIGHT) / path.name
        else:
            continue
        if right.is_dir():
            return right
    return None


def rig_of(right: Path, first_image: Path) -> Rig:
    """What a data set says of two cameras.

    Args:
        right: the folder of the right camera's images, as :func:`right_of` finds it.
        first_image: of the left camera.

    Raises:
        SourceError: it says nothing, or something else.
        CalibrationError: its values are impossible.
    """
    is_kitti = right.name in _LEFT_OF
    if is_kitti:
        files = [right.parent / KITTI_CALIBRATION]
    else:
        files = [right.parent.with_name(name) / EUROC_CALIBRATION for name in (_LEFT, _RIGHT)]
    for file in files:
        if not file.is_file():
            raise SourceError(f"{file}: not there, and without it nothing is known of the two cameras; use --mode mono")
    return _kitti_rig(files[0], right.name, first_image) if is_kitti else _euroc_rig(files[0], files[1])


def _kitti_rig(path: Path, right: str, first_image: Path) -> Rig:
    matrices = kitti_matrices(path, *(f"P{name.removeprefix('image_')}" for name in (_LEFT_OF[right], right)))
    height, width = read_image(first_image).shape[:2]
    left_camera, right_camera = (Camera(width, height, p[0], p[5], p[2], p[6]) for p in matrices)
    shift_x, shift_y = (matrices[1][index] - matrices[0][index] for index in (3, 7))
    return Rig(left_camera, pair_baseline_m(left_camera, right_camera, (shift_x, shift_y), str(path)))


def _euroc_rig(left: Path, right: Path) -> Rig:
    """By OpenCV's rectification, which leaves no pixel without an image (alpha 0)."""
    cameras = [read_camera(path) for path in (left, right)]
    size = cameras[0].width, cameras[0].height
    for path, camera in zip((left, right), cameras, strict=True):
        if camera.distortion_model == "equidistant":
            raise CalibrationError(
                f"{path}: pairs of equidistant cameras are not rectified here, those of plumb_bob are; rectify the "
                "images beforehand, or use --mode mono"
            )
        if (camera.width, camera.height) != size:
            raise CalibrationError(
                f"{path}: {camera.width}×{camera.height} pixels, but the first camera has {size[0]}×{size[1]}, and a "
                "pair is of one size; use --mode mono"
            )
    (k_left, d_left), (k_right, d_right) = ((camera.matrix, np.array(camera.distortion)) for camera in cameras)
    right_from_left = np.linalg.inv(_body_from_camera(right)) @ _body_from_camera(left)
    rotation, translation = right_from_left[:3, :3].copy(), right_from_left[:3, 3:].copy()
    turn_deg = float(np.degrees(np.arccos(np.clip(rotation[2, 2], -1.0, 1.0))))
    if turn_deg > _MAX_TURN_DEG:
        raise CalibrationError(
            f"{right}: its camera looks {turn_deg:.0f}° away from the first, which is no pair; check T_BS of both, or "
            "use --mode mono"
        )
    turn_left, turn_right, projection_left, projection_right, *_ = cv2.stereoRectify(
        k_left, d_left, k_right, d_right, size, rotation, translation, flags=cv2.CALIB_ZERO_DISPARITY, alpha=0
    )
    if np.linalg.norm(translation) < _ONE_PLACE_M:
        raise CalibrationError(f"{right}: T_BS puts both cameras at one place, which is no pair; use --mode mono")
    left_maps, right_maps = (
        cv2.initUndistortRectifyMap(matrix, distortion, turn, projection, size, cv2.CV_32FC1)
        for matrix, distortion, turn, projection in (
            (k_left, d_left, turn_left, projection_left),
            (k_right, d_right, turn_right, projection_right),
        )
    )
    p_left, p_right = (np.asarray(projection, np.float64) for projection in (projection_left, projection_right))
    cameras = [Camera(*size, float(p[0, 0]), float(p[1, 1]), float(p[0, 2]), float(p[1, 2])) for p in (p_left, p_right)]
    shift = float(p_right[0, 3]), float(p_right[1, 3])
    baseline_m = pair_baseline_m(cameras[0], cameras[1], shift, str(right))
    return Rig(cameras[0], baseline_m, left_maps, right_maps, np.asarray(turn_left, np.float64))


def _body_from_camera(path: Path) -> _Matrix:
    """``T_BS`` of a sensor.yaml, (4, 4)."""
    try:
        matrix = np.array(yaml.safe_load(yaml_text(path))["T_BS"]["data"], np.float64).reshape(4, 4)
    except (KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise SourceError(
            f"{path}: holds no T_BS of 4 by 4 numbers, which says how the cameras stand; use --mode mono"
        ) from error
    rotation = matrix[:3, :3]
    is_motion = (
        np.isfinite(matrix).all()
        and np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3)
        and np.linalg.det(rotation) > 0
        and np.allclose(matrix[3], (0, 0, 0, 1))
    )
    if not is_motion:
        raise CalibrationError(f"{path}: T_BS is no motion, a rotation and metres above 0 0 0 1: {matrix.tolist()}")
    return np.asarray(matrix)


def _rectified(image: _Image, path: Path, camera: Camera, maps: tuple[Any, Any] | None) -> _Image:
    height, width = image.shape[:2]
    if (camera.width, camera.height) != (width, height):
        raise CalibrationError(
            f"{path}: {width}×{height} pixels, but the calibration is for {camera.width}×{camera.height}; calibrate "
            "at the size that is used"
        )
    return image if maps is None else np.asarray(cv2.remap(image, *maps, cv2.INTER_LINEAR), np.uint8)
