# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Video files."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from aliked_ros.camera import Camera
from aliked_ros.errors import SourceError
from aliked_ros.io.frames import Frame, FrameSource
from aliked_ros.io.sources.window import FIRST_STAMP_NS, NS_PER_S, TimeWindow

VIDEO_SUFFIXES = (
    ".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".ogv", ".wmv", ".flv", ".ts", ".gif",
)  # fmt: skip

_NS_PER_MS = 1e6
# Containers without a frame count have it estimated from their duration: then a few frames are nobody's loss.
_COUNT_TOLERANCE = 0.02
_COUNT_SLACK = 2
_logger = logging.getLogger(__name__)


class VideoSource(FrameSource):
    """The frames of a video file; stamps count from one second and are the container's, so a varying rate is kept.

    Raises:
        SourceError: the file is missing, is no video, or its index is cut off; and while reading, when fewer
            frames can be decoded than the file promises, after those were delivered.
    """

    def __init__(self, path: Path, *, window: TimeWindow | None = None, camera: Camera | None = None) -> None:
        self.name = str(path)
        self.camera = camera
        self._path = path
        self._window = window or TimeWindow()
        self._captures: list[cv2.VideoCapture] = []
        capture = self._open()
        count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        rate_hz = capture.get(cv2.CAP_PROP_FPS)
        self.close()
        self._promised = int(count) if math.isfinite(count) and count > 0 else None
        self._period_ns = round(NS_PER_S / rate_hz) if math.isfinite(rate_hz) and rate_hz > 0 else None
        self.num_frames = self._frames_in_window()

    def __iter__(self) -> Iterator[Frame]:
        capture = self._open()
        read, delivered, first_ns, stamp_ns = 0, 0, 0, -1
        while capture.grab():
            container_ns = round(capture.get(cv2.CAP_PROP_POS_MSEC) * _NS_PER_MS)
            first_ns = container_ns if read == 0 else first_ns
            stamp_ns = self._stamp_ns(container_ns - first_ns, stamp_ns)
            if self._window.ended(stamp_ns):
                break
            read += 1
            if self._window.begun(stamp_ns):
                yield self._retrieve(capture, stamp_ns, read)
                delivered += 1
        else:
            self._check_complete(read)
        if delivered == 0:
            raise self._window.nothing_in(self.name, max(stamp_ns, 0))

    def close(self) -> None:
        """Closes the file, also under iterators that have not finished."""
        for capture in self._captures:
            capture.release()
        self._captures.clear()

    def _open(self) -> cv2.VideoCapture:
        if not self._path.is_file():
            raise SourceError(f"{self._path}: no such video file")
        capture = cv2.VideoCapture(str(self._path))
        if not capture.isOpened():
            raise SourceError(
                f"{self._path}: cannot be opened as a video; it is cut off, damaged, or needs a codec that this "
                "OpenCV lacks: copy it again or convert it to H.264 in mp4"
            )
        self._captures.append(capture)
        return capture

    def _stamp_ns(self, stamp_ns: int, previous_ns: int) -> int:
        """The container's time of a frame, or one period on where that does not go forward."""
        if stamp_ns > previous_ns:
            return stamp_ns
        if self._period_ns is None:
            raise SourceError(f"{self.name}: has neither times nor a frame rate; convert it to H.264 in mp4")
        return previous_ns + self._period_ns

    def _retrieve(self, capture: cv2.VideoCapture, stamp_ns: int, number: int) -> Frame:
        done, image = capture.retrieve()
        if not done:
            raise SourceError(f"{self.name}: frame {number} cannot be decoded; copy or convert the video again")
        rgb = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB if image.ndim == 2 else cv2.COLOR_BGR2RGB)
        return Frame(FIRST_STAMP_NS + stamp_ns, np.asarray(rgb, np.uint8))

    def _check_complete(self, read: int) -> None:
        missing = 0 if self._promised is None else self._promised - read
        if missing > _COUNT_SLACK + _COUNT_TOLERANCE * (self._promised or 0):
            raise SourceError(
                f"{self.name}: cut off after {read} of {self._promised} frames; copy or download the video again"
            )
        if missing > 0:
            _logger.warning("%s: %d frames of %s could be read", self.name, read, self._promised)

    def _frames_in_window(self) -> int | None:
        """How many frames will be delivered where the rate is constant; ``None`` where nobody can tell."""
        if self._promised is None or self._period_ns is None:
            return None
        start = -(-self._window.start_ns // self._period_ns)
        end_ns = self._window.end_ns
        end = self._promised if end_ns is None else min(self._promised, -(-end_ns // self._period_ns))
        return max(0, end - start)
