# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Folders of images."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Sequence
from pathlib import Path

from aliked_ros.camera import Camera
from aliked_ros.errors import ConfigError, SourceError
from aliked_ros.io.images import IMAGE_SUFFIXES
from aliked_ros.io.sources.layouts import camera_of, times_beside
from aliked_ros.io.sources.listed import ListedFrame, ListedSource, camera_beside, in_window
from aliked_ros.io.sources.window import FIRST_STAMP_NS, NS_PER_S, TimeWindow, stamp_ns_of

DEFAULT_FRAME_RATE_HZ = 30.0
_logger = logging.getLogger(__name__)

_SECONDS = re.compile(r"\d+\.\d+")  # 1311868169.163498.png, as TUM names images
_NANOSECONDS = re.compile(r"\d{19}")  # 1403636579763555584.png, as EuRoC does: Unix time since 2001
_DIGITS = re.compile(r"(\d+)")


class FolderSource(ListedSource):
    """The images of a folder in natural order of their names, as frames.

    Stamps are the names where all of them are times, else those of KITTI's ``times.txt`` beside the folder, else they
    count from one second on at the stated frame rate, which is said in the log. The calibration is that of
    ``camera.yaml`` in the folder, or what KITTI's ``calib.txt`` or EuRoC's ``sensor.yaml`` beside it says.

    Raises:
        SourceError: the folder has no image, or nothing is in the window.
        ConfigError: the frame rate is not positive.
    """

    def __init__(
        self,
        directory: Path,
        *,
        window: TimeWindow | None = None,
        camera: Camera | None = None,
        frame_rate_hz: float = DEFAULT_FRAME_RATE_HZ,
    ) -> None:
        paths = list_images(directory)
        stamps_ns = stamps_of_names(paths)
        if stamps_ns is None:
            stamps_ns = times_beside(directory, len(paths))
        if stamps_ns is None:
            stamps_ns = stamps_at_rate(len(paths), frame_rate_hz)
            _logger.info("%s: names are no times; %g frames per second are assumed", directory, frame_rate_hz)
        ordered = sorted(zip(stamps_ns, paths, strict=True))
        listed = [ListedFrame(stamp_ns, path) for stamp_ns, path in ordered]
        frames = in_window(str(directory), listed, window or TimeWindow())
        first = frames[0].image
        camera = camera or camera_beside(directory, first) or camera_of(directory, first)
        super().__init__(str(directory), frames, camera)


def list_images(directory: Path) -> list[Path]:
    """The images of a folder in natural order, ``2.png`` before ``10.png``; SourceError without any."""
    try:
        paths = [path for path in directory.iterdir() if is_image(path)]
    except OSError as error:
        raise SourceError(f"{directory}: cannot be read ({error.strerror})") from error
    if not paths:
        raise SourceError(f"{directory}: has no image ({', '.join(s[1:] for s in IMAGE_SUFFIXES)})")
    return sorted(paths, key=natural_key)


def is_image(path: Path) -> bool:
    """Whether this is an image by its name; hidden files, such as macOS leaves behind, are not."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()


def natural_key(path: Path) -> tuple[list[str | int], str]:
    """Sorts numbers in names by value; names that differ only in leading zeros keep a fixed order."""
    # The pieces alternate, text first, so that text is never compared with a number.
    pieces = _DIGITS.split(path.name.lower())
    return [int(piece) if index % 2 else piece for index, piece in enumerate(pieces)], path.name


def stamps_of_names(paths: Sequence[Path]) -> list[int] | None:
    """Nanoseconds, where all file names are times: seconds with decimals, or Unix nanoseconds; else ``None``."""
    stems = [path.stem for path in paths]
    if all(_SECONDS.fullmatch(stem) for stem in stems):
        stamps_ns = [stamp_ns_of(stem) for stem in stems]
    elif all(_NANOSECONDS.fullmatch(stem) for stem in stems):
        stamps_ns = [int(stem) for stem in stems]
    else:
        return None
    # One time for two files (a.png, a.jpg) cannot order them: then names are only names.
    return stamps_ns if len(set(stamps_ns)) == len(stamps_ns) else None


def stamps_at_rate(count: int, frame_rate_hz: float) -> list[int]:
    """Nanoseconds of so many frames from one second on, each rounded by itself so that errors do not add up."""
    if not (math.isfinite(frame_rate_hz) and frame_rate_hz > 0):
        raise ConfigError(f"frame_rate_hz must be more than 0, got {frame_rate_hz}")
    return [FIRST_STAMP_NS + round(index * NS_PER_S / frame_rate_hz) for index in range(count)]
