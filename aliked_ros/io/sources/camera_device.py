# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Cameras that OpenCV can open."""

from __future__ import annotations

import time
from collections.abc import Iterator

import cv2
import numpy as np

from aliked_ros.camera import Camera
from aliked_ros.errors import SourceError
from aliked_ros.io.frames import Frame, FrameSource
from aliked_ros.io.sources.window import TimeWindow


class CameraSource(FrameSource):
    """Frames of a live camera, stamped with the Unix time at which they were taken from the driver.

    Raises:
        SourceError: the camera cannot be opened, or stops delivering.
    """

    def __init__(self, index: int, *, window: TimeWindow | None = None, camera: Camera | None = None) -> None:
        self.name = f"camera{index}"
        self.camera = camera
        self.num_frames: int | None = None
        self._window = window or TimeWindow()
        self._capture = cv2.VideoCapture(index)
        if not self._capture.isOpened():
            raise SourceError(
                f"{self.name}: cannot be opened; is it plugged in, used by another program, or barred to this user "
                "(Linux: group video)?"
            )
        # Drivers queue frames while nobody reads: the oldest of them would come first, and late.
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)

    def __iter__(self) -> Iterator[Frame]:
        first_ns, stamp_ns = None, 0
        while True:
            if not self._capture.grab():
                raise SourceError(f"{self.name}: stopped delivering images; is it still plugged in?")
            stamp_ns = max(time.time_ns(), stamp_ns + 1)  # the system's clock may be set back
            first_ns = stamp_ns if first_ns is None else first_ns
            if self._window.ended(stamp_ns - first_ns):
                return
            if self._window.begun(stamp_ns - first_ns):
                yield self._retrieve(stamp_ns)

    def close(self) -> None:
        """Gives the camera back."""
        self._capture.release()

    def _retrieve(self, stamp_ns: int) -> Frame:
        done, image = self._capture.retrieve()
        if not done:
            raise SourceError(f"{self.name}: an image could not be decoded; choose another format of the camera")
        rgb = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB if image.ndim == 2 else cv2.COLOR_BGR2RGB)
        return Frame(stamp_ns, np.asarray(rgb, np.uint8))
