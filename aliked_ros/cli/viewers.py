# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Where the demos' pictures go: a window, picture files, or a video."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from types import TracebackType
from typing import Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from aliked_ros.errors import ConfigError
from aliked_ros.io.drawing import as_rgb, draw_banner
from aliked_ros.io.folders import make_output_folder
from aliked_ros.io.images import write_image
from aliked_ros.io.sources.window import NS_PER_S
from aliked_ros.io.video_writer import VideoWriter

_KEY_ESCAPE, _KEY_SPACE, _KEY_QUIT = 27, ord(" "), ord("q")
_POLL_MS = 50
_FRAME_RATE_RANGE_HZ = (1.0, 60.0)  # what players show well
_SINGLE_FRAME_RATE_HZ = 30.0
_ViewerT = TypeVar("_ViewerT", bound="Viewer")


class Viewer(Protocol):
    """Takes one picture after another; a context manager."""

    def show(self, image: NDArray[np.uint8], name: str, stamp_ns: int) -> bool:
        """Shows an (H, W, 3) RGB image; false when the user wants no more."""
        ...

    def close(self) -> None:
        """Completes what was written."""
        return

    def __enter__(self: _ViewerT) -> _ViewerT:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class WindowViewer(Viewer):
    """A window that waits for the space bar, at the first picture or at each; q, escape or closing it ends.

    Raises:
        ConfigError: this machine or this OpenCV has no windows.
    """

    def __init__(self, title: str, *, wait_always: bool) -> None:
        require_display()
        self._title = title
        self._wait_always = wait_always
        self._started = False

    def show(self, image: NDArray[np.uint8], name: str, stamp_ns: int) -> bool:
        """Shows the picture, and waits where it is time to."""
        del name, stamp_ns
        wait = self._wait_always or not self._started
        self._started = True
        height = image.shape[0]
        hint = "space: go on    q: end"
        shown = draw_banner(image, hint, line=max(1, height // 40)) if wait else as_rgb(image)
        cv2.namedWindow(self._title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
        cv2.imshow(self._title, shown[..., ::-1])
        return self._key(wait)

    def close(self) -> None:
        """Closes the window."""
        if self._started:
            cv2.destroyAllWindows()

    def _key(self, wait: bool) -> bool:
        while True:
            key = cv2.waitKey(_POLL_MS if wait else 1) & 0xFF
            if key in (_KEY_ESCAPE, _KEY_QUIT):
                return False
            if cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1:  # closed with the mouse
                return False
            if not wait or key == _KEY_SPACE:
                return True


class PictureViewer(Viewer):
    """Writes each picture as ``NAME.png`` into a folder; SourceError where that cannot be written."""

    def __init__(self, folder: Path) -> None:
        self._folder = make_output_folder(folder)

    def show(self, image: NDArray[np.uint8], name: str, stamp_ns: int) -> bool:
        """Writes the picture."""
        del stamp_ns
        write_image(self._folder / f"{name}.png", image)
        return True


class VideoViewer(Viewer):
    """Writes the pictures as a video at the rate their stamps say; SourceError where that cannot be written."""

    def __init__(self, path: Path) -> None:
        make_output_folder(path.parent)
        self._path = path
        self._first: tuple[NDArray[np.uint8], int] | None = None
        self._writer: VideoWriter | None = None

    def show(self, image: NDArray[np.uint8], name: str, stamp_ns: int) -> bool:
        """Adds the picture; the first is kept until the second tells the rate."""
        del name
        if self._writer is not None:
            self._writer.write(image)
        elif self._first is None:
            self._first = (image, stamp_ns)
        else:
            low, high = _FRAME_RATE_RANGE_HZ
            period_ns = max(1, stamp_ns - self._first[1])
            self._open(min(max(NS_PER_S / period_ns, low), high)).write(image)
        return True

    def close(self) -> None:
        """Completes the video."""
        if self._writer is None and self._first is not None:
            self._open(_SINGLE_FRAME_RATE_HZ)
        if self._writer is not None:
            self._writer.close()
            self._writer = self._first = None

    def _open(self, frame_rate_hz: float) -> VideoWriter:
        assert self._first is not None
        self._writer = VideoWriter(self._path, frame_rate_hz)
        self._writer.write(self._first[0])
        return self._writer


def require_display() -> None:
    """Raises ConfigError where no window can be shown, before a GUI library ends the process over it."""
    if re.search(r"^\s*GUI:\s+NONE\s*$", cv2.getBuildInformation(), re.MULTILINE):
        raise ConfigError(
            "this OpenCV is built without windows; use --no_display, or install opencv-python in place of "
            "opencv-python-headless"
        )
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise ConfigError("there is no display (DISPLAY is not set); use --no_display")
