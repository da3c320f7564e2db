# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Writes videos for people to look at."""

from __future__ import annotations

import math
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray

from aliked_ros.errors import ConfigError, SourceError
from aliked_ros.io.folders import make_output_folder

# MPEG-4 part 2: the one codec for .mp4 that every OpenCV can encode. The wheels have no H.264 encoder.
_FOURCC = cv2.VideoWriter.fourcc(*"mp4v")


class VideoWriter:
    """Writes an .mp4 of images as they come.

    Used as a context manager. The first image decides the size; later ones of another size are fitted into it with
    black bars.

    Raises:
        SourceError: the file cannot be written, or does not hold every frame when it is closed.
        ConfigError: the frame rate is not positive.
    """

    def __init__(self, path: Path, frame_rate_hz: float) -> None:
        if not (math.isfinite(frame_rate_hz) and frame_rate_hz > 0):
            raise ConfigError(f"frame_rate_hz must be more than 0, got {frame_rate_hz}")
        make_output_folder(path.parent)
        self._path = path
        self._frame_rate_hz = frame_rate_hz
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._num_written = 0

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:  # what was drawn until then is worth seeing, and the error at hand is the one to report
            self._release()

    def write(self, image: NDArray[np.uint8]) -> None:
        """Adds an (H, W, 3) RGB or (H, W) grey image."""
        if self._writer is None:
            self._writer = self._open(image.shape[1], image.shape[0])
        bgr = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR if image.ndim == 2 else cv2.COLOR_RGB2BGR)
        self._writer.write(_fit(np.asarray(bgr, np.uint8), self._size))
        self._num_written += 1

    def close(self) -> None:
        """Completes the file and makes sure that it can be played to its last frame."""
        if self._writer is None:
            return
        self._release()
        capture = cv2.VideoCapture(str(self._path))
        stored = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
        capture.release()
        if stored != self._num_written:
            raise SourceError(f"{self._path}: holds {stored} of {self._num_written} frames; is the disk full?")

    def _release(self) -> None:
        if self._writer is not None:
            self._writer.release()
            self._writer = None

    def _open(self, width: int, height: int) -> cv2.VideoWriter:
        # Colour is stored at half resolution, so an odd row or column would have none.
        self._size = (width + width % 2, height + height % 2)
        writer = cv2.VideoWriter(str(self._path), _FOURCC, self._frame_rate_hz, self._size)
        if not writer.isOpened():
            raise SourceError(
                f"{self._path}: OpenCV cannot write this video ({self._size[0]}×{self._size[1]}, MPEG-4); "
                "give it a name ending in .mp4, in a folder you may write to"
            )
        return writer


def _fit(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The image in the middle of a black one of this size; one that is a pixel smaller is not scaled."""
    width, height = size
    if image.shape[:2] == (height, width):
        return image
    canvas = np.zeros((height, width, 3), np.uint8)
    if not (0 <= width - image.shape[1] <= 1 and 0 <= height - image.shape[0] <= 1):
        scale = min(width / image.shape[1], height / image.shape[0])
        scaled = (max(1, int(image.shape[1] * scale)), max(1, int(image.shape[0] * scale)))
        image = np.asarray(cv2.resize(image, scaled, interpolation=cv2.INTER_AREA), np.uint8)
    top, left = (height - image.shape[0]) // 2, (width - image.shape[1]) // 2
    canvas[top : top + image.shape[0], left : left + image.shape[1]] = image
    return canvas
