# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""One way to open whatever holds a sequence."""

from __future__ import annotations

import re
from pathlib import Path

from aliked_ros.camera import Camera
from aliked_ros.errors import SourceError
from aliked_ros.io.folders import expanded
from aliked_ros.io.frames import FrameSource
from aliked_ros.io.sources.camera_device import CameraSource
from aliked_ros.io.sources.folder import DEFAULT_FRAME_RATE_HZ, FolderSource, is_image
from aliked_ros.io.sources.layouts import images_inside
from aliked_ros.io.sources.stereo import StereoFolderSource, right_of
from aliked_ros.io.sources.tum import RGB_LIST, TumSource
from aliked_ros.io.sources.video import VIDEO_SUFFIXES, VideoSource
from aliked_ros.io.sources.window import TimeWindow

BAG_SUFFIXES = (".mcap", ".db3", ".bag", ".active")
ACCEPTED = (
    f"a TUM directory (with {RGB_LIST}), a sequence of KITTI odometry or EuRoC, a bag (rosbag 2 directory, .mcap, "
    ".db3, or ROS 1 .bag), a folder of images, a video file, or a camera (camera0)"
)

_BAG_METADATA = "metadata.yaml"
_CAMERA = re.compile(r"camera:?(\d+)")


def open_source(
    spec: str,
    *,
    start_s: float = 0.0,
    duration_s: float | None = None,
    camera: Camera | None = None,
    image_topic: str | None = None,
    frame_rate_hz: float = DEFAULT_FRAME_RATE_HZ,
    stereo: bool = False,
) -> FrameSource:
    """Opens a sequence by what it is.

    Args:
        spec: a TUM directory, a bag, a folder of images, a video file, ``camera0`` or ``camera:0``.
        start_s: seconds after the first frame from which frames are delivered.
        duration_s: seconds that are delivered; ``None`` goes to the end.
        camera: a calibration instead of the source's own.
        image_topic: which topic of a bag; ``None`` where it has one camera only.
        frame_rate_hz: of a folder whose file names are no times.
        stereo: with the second camera of a directory of KITTI or EuRoC, where there is one; the images are rectified
            then, and a calibration of one camera is not enough.

    Raises:
        SourceError: nothing is there, or nothing that can be read.
        ConfigError: an option is out of range.
    """
    window = TimeWindow(start_s, duration_s)
    device, path = _CAMERA.fullmatch(spec), expanded(spec, "input")
    if device is not None and not path.exists():
        return CameraSource(int(device.group(1)), window=window, camera=camera)
    if not spec or not path.exists():
        raise SourceError(f"{spec or 'an empty name'}: no such file, folder or camera; accepted: {ACCEPTED}")
    if is_bag(path):
        from aliked_ros.io.bags.source import BagSource  # reads bags only where bags are read

        return BagSource(path, start_s=start_s, duration_s=duration_s, camera=camera, image_topic=image_topic)
    if (path / RGB_LIST).is_file():
        return TumSource(path, window=window, camera=camera)
    if path.is_dir():
        return _open_folder(path, window, camera, frame_rate_hz, stereo=stereo)
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return VideoSource(path, window=window, camera=camera)
    raise SourceError(f"{path}: a file of this kind is no sequence; accepted: {ACCEPTED}")


def is_bag(path: Path) -> bool:
    """Whether this is a bag: a file by its suffix, a directory by what a recorder writes into it."""
    if path.is_dir():
        return (path / _BAG_METADATA).is_file() or any(map(_is_bag_file, _entries(path)))
    return _is_bag_file(path)


def _is_bag_file(path: Path) -> bool:
    return path.suffix.lower() in BAG_SUFFIXES and path.is_file()


def _open_folder(
    path: Path, window: TimeWindow, camera: Camera | None, frame_rate_hz: float, *, stereo: bool
) -> FolderSource:
    entries = _entries(path)
    if not any(map(is_image, entries)):
        if (inside := images_inside(path)) is not None:
            return _open_folder(inside, window, camera, frame_rate_hz, stereo=stereo)
        names = sorted(entry.name for entry in entries)
        found = ", ".join(names[:4]) + (", …" if len(names) > 4 else "") if names else "nothing"
        raise SourceError(f"{path}: this folder holds {found}; accepted: {ACCEPTED}")
    if stereo and camera is None and (right := right_of(path)) is not None:
        return StereoFolderSource(path, right, window=window, frame_rate_hz=frame_rate_hz)
    return FolderSource(path, window=window, camera=camera, frame_rate_hz=frame_rate_hz)


def _entries(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except OSError as error:
        raise SourceError(f"{directory}: cannot be read ({error.strerror}); check its permissions") from error
