# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Sequences of the TUM RGB-D benchmark (Sturm et al., IROS 2012), and directories laid out like them.

A directory holds ``rgb.txt`` (``stamp file`` per line), and perhaps ``depth.txt``, ``groundtruth.txt``
(``stamp tx ty tz qx qy qz qw``) and ``camera.yaml``.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from aliked_ros.camera import TUM_CAMERAS, Camera
from aliked_ros.errors import ShapeError, SourceError
from aliked_ros.io.frames import Pose
from aliked_ros.io.images import read_image
from aliked_ros.io.sources.listed import ListedFrame, ListedSource, camera_beside, in_window
from aliked_ros.io.sources.window import TimeWindow, stamp_ns_of

RGB_LIST, DEPTH_LIST, GROUND_TRUTH = "rgb.txt", "depth.txt", "groundtruth.txt"
MAX_DIFFERENCE_NS = 20_000_000  # the benchmark's associate.py joins stamps that differ by less

_KINECT_TOKEN = re.compile(r"(?<![a-z0-9])(?:freiburg|fr)([123])(?![a-z0-9])")
_ValueT = TypeVar("_ValueT")
_logger = logging.getLogger(__name__)


class TumSource(ListedSource):
    """A TUM RGB-D directory as frames: every colour image, with the depth and pose nearest in time.

    Raises:
        SourceError: a list is malformed (with the line), a listed file is missing, or the window is empty.
        CalibrationError: ``camera.yaml`` has impossible values.
    """

    def __init__(self, directory: Path, *, window: TimeWindow | None = None, camera: Camera | None = None) -> None:
        images = read_list(directory / RGB_LIST, 2, lambda fields: directory / fields[0])
        if not images:
            raise SourceError(f"{directory / RGB_LIST}: lists no image")
        stamps_ns = sorted(images)
        depths = _nearest(directory / DEPTH_LIST, stamps_ns, 2, lambda fields: directory / fields[0])
        poses = _nearest(directory / GROUND_TRUTH, stamps_ns, 8, _pose)
        listed = [ListedFrame(ns, images[ns], depths.get(ns), poses.get(ns)) for ns in stamps_ns]
        frames = in_window(str(directory), listed, window or TimeWindow())
        super().__init__(str(directory), frames, camera or _camera_of(directory, frames[0].image))


def read_list(path: Path, num_columns: int, value: Callable[[Sequence[str]], _ValueT]) -> dict[int, _ValueT]:
    """A TUM list by stamp in nanoseconds: ``#`` starts a comment, blanks or commas separate the columns.

    A stamp that comes twice keeps its last line, as with the benchmark's own tools, and is logged.

    Raises:
        SourceError: the file cannot be read, or a line is malformed.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: cannot be read ({error}); unpack the sequence again") from error
    values: dict[int, _ValueT] = {}
    for number, line in enumerate(lines, 1):
        columns = line.partition("#")[0].replace(",", " ").split()
        if not columns:
            continue
        try:
            if len(columns) < num_columns:
                raise ValueError(f"{len(columns)} columns instead of {num_columns}")
            stamp_ns, entry = stamp_ns_of(columns[0]), value(columns[1:num_columns])
        except (ValueError, ShapeError) as error:
            raise SourceError(f"{path}:{number}: {error}; correct or remove the line") from error
        if stamp_ns in values:
            _logger.warning("%s:%d: stamp %s comes twice; the last line counts", path, number, columns[0])
        values[stamp_ns] = entry
    return values


def associate(
    first_ns: Sequence[int], second_ns: Sequence[int], max_difference_ns: int = MAX_DIFFERENCE_NS
) -> dict[int, int]:
    """Joins two lists of stamps one to one, closest pairs first, as the benchmark's associate.py does.

    Args:
        first_ns: stamps, in any order, each once.
        second_ns: as the first.
        max_difference_ns: pairs are closer than this.

    Returns:
        For each joined stamp of the first list the one of the second, in the order of the first's stamps.
    """
    first, second = np.array(sorted(first_ns), np.int64), np.array(sorted(second_ns), np.int64)
    low = np.searchsorted(second, first - max_difference_ns, side="right")
    high = np.searchsorted(second, first + max_difference_ns, side="left")
    candidates = sorted(
        (abs(int(a) - int(b)), int(a), int(b))
        for a, lo, hi in zip(first, low, high, strict=True)
        for b in second[lo:hi]
    )
    joined: dict[int, int] = {}
    taken: set[int] = set()
    for _, a, b in candidates:
        if a not in joined and b not in taken:
            joined[a] = b
            taken.add(b)
    return dict(sorted(joined.items()))


def guess_camera(directory: Path) -> Camera | None:
    """The Kinect a sequence was taken with, where its directory's name says which and says it once.

    Names like ``rgbd_dataset_freiburg2_desk`` and ``tum_fr2_desk`` do; anything less clear gives ``None``,
    because wrong intrinsics do more harm than none.
    """
    kinects = set(_KINECT_TOKEN.findall(directory.resolve().name.lower()))
    return TUM_CAMERAS[f"fr{kinects.pop()}"] if len(kinects) == 1 else None


def _nearest(
    path: Path, stamps_ns: Sequence[int], num_columns: int, value: Callable[[Sequence[str]], _ValueT]
) -> dict[int, _ValueT]:
    """The values of an optional list by the image stamps they are joined to."""
    if not path.is_file():
        return {}
    values = read_list(path, num_columns, value)
    return {ours: values[theirs] for ours, theirs in associate(stamps_ns, list(values)).items()}


def _pose(fields: Sequence[str]) -> Pose:
    values: NDArray[np.float64] = np.array([float(field) for field in fields], np.float64)
    return Pose(values[:3], values[3:])


def _camera_of(directory: Path, image: Path) -> Camera | None:
    camera = camera_beside(directory, image)
    if camera is not None:
        return camera
    guess = guess_camera(directory)
    if guess is None:
        return None
    height, width = read_image(image).shape[:2]
    return guess if (guess.width, guess.height) == (width, height) else None
