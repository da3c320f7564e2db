# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What KITTI odometry's and EuRoC's directories say of their images: where they lie, of when they are, by what camera.

KITTI (Geiger et al., CVPR 2012): ``sequences/NN`` with ``image_0``, ``times.txt`` and ``calib.txt``. EuRoC (Burri et
al., IJRR 2016): ``mav0/cam0/data`` with names that are times, and ``mav0/cam0/sensor.yaml``.
"""

from __future__ import annotations

from pathlib import Path

from aliked_ros.camera import Camera
from aliked_ros.errors import SourceError
from aliked_ros.io.calibration import read_camera
from aliked_ros.io.images import read_image
from aliked_ros.io.sources.window import stamp_ns_of

_IMAGES = ("image_0", "image_2", "mav0/cam0/data", "cam0/data", "data")  # of a sequence's directory; left cameras
KITTI_CALIBRATION, EUROC_CALIBRATION = "calib.txt", "sensor.yaml"
_TIMES = "times.txt"


def images_inside(directory: Path) -> Path | None:
    """The folder with the left camera's images of a sequence in one of these layouts, or ``None``."""
    return next((directory / inside for inside in _IMAGES if (directory / inside).is_dir()), None)


def times_beside(images: Path, count: int) -> list[int] | None:
    """Nanoseconds of so many images from ``times.txt`` beside their folder, where there is one.

    Raises:
        SourceError: it cannot be read, has another number of lines, or a line is no time after the one before.
    """
    path = images.resolve().parent / _TIMES
    if not path.is_file():
        return None
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: cannot be read ({error})") from error
    if len(lines) != count:
        raise SourceError(f"{path}: has {len(lines)} times for the {count} images of {images}")
    stamps_ns: list[int] = []
    for number, line in enumerate(lines, 1):
        try:
            stamp_ns = stamp_ns_of(line)
        except ValueError as error:
            raise SourceError(f"{path}, line {number}: {line[:40]!r} is no time in seconds") from error
        if stamps_ns and stamp_ns <= stamps_ns[-1]:
            raise SourceError(f"{path}, line {number}: {line[:40]} is not after the time before it")
        stamps_ns.append(stamp_ns)
    return stamps_ns


def camera_of(images: Path, first_image: Path) -> Camera | None:
    """The calibration that a data set has of a folder's images, where it has one.

    Raises:
        SourceError: its file cannot be read or holds something else.
        CalibrationError: its values are impossible.
    """
    for folder in (images.absolute(), images.resolve()):  # either may be a link
        sequence, name = folder.parent, folder.name
        if (sequence / EUROC_CALIBRATION).is_file():
            return read_camera(sequence / EUROC_CALIBRATION)
        if (sequence / KITTI_CALIBRATION).is_file() and name.startswith("image_"):
            (p,) = kitti_matrices(sequence / KITTI_CALIBRATION, f"P{name.removeprefix('image_')}")
            height, width = read_image(first_image).shape[:2]
            return Camera(width, height, p[0], p[5], p[2], p[6])
    return None


def kitti_matrices(path: Path, *names: str) -> list[list[float]]:
    """Projection matrices of rectified cameras, 12 numbers each, by their names in a ``calib.txt``.

    Raises:
        SourceError: it cannot be read, or lacks one.
    """
    try:
        rows = dict(line.split(":", 1) for line in path.read_text(encoding="utf-8").splitlines() if ":" in line)
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: cannot be read ({error})") from error
    return [_matrix_of(path, name, rows.get(name, "")) for name in names]


def _matrix_of(path: Path, name: str, text: str) -> list[float]:
    try:
        values = [float(word) for word in text.split()]
        if len(values) == 12:
            return values
        found = f"{len(values)} of 12 numbers"
    except ValueError as error:
        found = str(error)
    raise SourceError(f"{path}: holds no projection matrix {name} ({found}); name a file with --calibration")
