# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What sources share that know all their frames in advance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from aliked_ros.camera import Camera
from aliked_ros.errors import SourceError
from aliked_ros.io.calibration import FILE_NAME, read_camera
from aliked_ros.io.frames import Frame, FrameSource, Pose
from aliked_ros.io.images import read_depth, read_image
from aliked_ros.io.sources.window import TimeWindow


@dataclass(frozen=True, eq=False)
class ListedFrame:
    """Where one frame is to be read from."""

    stamp_ns: int
    image: Path
    depth: Path | None = None
    pose_world_from_camera: Pose | None = None


class ListedSource(FrameSource):
    """Frames whose files are listed: in the order of their stamps, one file in memory at a time."""

    def __init__(self, name: str, frames: Sequence[ListedFrame], camera: Camera | None) -> None:
        self.name = name
        self.camera = camera
        self.num_frames: int | None = len(frames)
        self._frames = tuple(frames)

    def __iter__(self) -> Iterator[Frame]:
        return map(_load, self._frames)

    def close(self) -> None:
        """Nothing stays open between frames."""


def in_window(name: str, frames: Sequence[ListedFrame], window: TimeWindow) -> list[ListedFrame]:
    """The frames of the window, whose files exist.

    Raises:
        SourceError: there are none, or a file is missing.
    """
    first_ns = frames[0].stamp_ns
    chosen = [frame for frame in frames if window.contains(frame.stamp_ns - first_ns)]
    if not chosen:
        raise window.nothing_in(name, frames[-1].stamp_ns - first_ns)
    for frame in chosen:
        for path in (frame.image, frame.depth):
            if path is not None and not path.is_file():
                raise SourceError(f"{path}: no such file, though {name} lists it; unpack the sequence again")
    return chosen


def camera_beside(directory: Path, image: Path) -> Camera | None:
    """The calibration in ``camera.yaml`` of a directory, where there is one.

    Raises:
        SourceError: the file is not of that format, or it is for another image size.
        CalibrationError: its values are impossible.
    """
    path = directory / FILE_NAME
    if not path.exists():
        return None
    camera = read_camera(path)
    height, width = read_image(image).shape[:2]
    if (camera.width, camera.height) != (width, height):
        raise SourceError(
            f"{path}: the calibration is for {camera.width}×{camera.height} pixels, but {image.name} has "
            f"{width}×{height}; calibrate at this size or remove the file"
        )
    return camera


def _load(listed: ListedFrame) -> Frame:
    image = read_image(listed.image)
    depth_m = None if listed.depth is None else read_depth(listed.depth)
    if depth_m is not None and depth_m.shape != image.shape[:2]:
        raise SourceError(
            f"{listed.depth}: the depth image is {depth_m.shape[1]}×{depth_m.shape[0]} pixels and its image "
            f"{image.shape[1]}×{image.shape[0]}; register depth to the image"
        )
    return Frame(listed.stamp_ns, image, depth_m, listed.pose_world_from_camera)
