# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Writes sequences in the layout of the TUM RGB-D benchmark."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from aliked_ros.camera import Camera
from aliked_ros.errors import SourceError
from aliked_ros.io.calibration import FILE_NAME, write_camera
from aliked_ros.io.folders import make_output_folder
from aliked_ros.io.frames import Frame
from aliked_ros.io.images import write_depth, write_image
from aliked_ros.io.sources.tum import DEPTH_LIST, GROUND_TRUTH, RGB_LIST
from aliked_ros.io.sources.window import seconds_text


class TumWriter:
    """Writes frames as a TUM RGB-D directory.

    Used as a context manager. The lists are written when the block ends without an error, so a directory that an
    interruption left incomplete is not mistaken for a sequence. Stamps and poses survive exactly; depth is
    rounded to 0.2 mm.

    Args:
        directory: is made; it must not hold a sequence yet.
        camera: is stored as ``camera.yaml``.

    Raises:
        SourceError: the directory holds a sequence or cannot be written, or stamps do not increase.
    """

    def __init__(self, directory: Path, camera: Camera | None = None) -> None:
        if (directory / RGB_LIST).exists():
            raise SourceError(f"{directory}: already holds a sequence; choose another name or remove it")
        self._directory = make_output_folder(directory)
        self._lines: dict[str, list[str]] = {RGB_LIST: [], DEPTH_LIST: [], GROUND_TRUTH: []}
        self._last_ns: int | None = None
        if camera is not None:
            write_camera(directory / FILE_NAME, camera)

    def __enter__(self) -> TumWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.close()

    def write(self, frame: Frame) -> None:
        """Adds a frame with what it has of depth and pose."""
        if self._last_ns is not None and frame.stamp_ns <= self._last_ns:
            raise SourceError(
                f"{self._directory}: stamp {seconds_text(frame.stamp_ns)} does not follow "
                f"{seconds_text(self._last_ns)}; write frames in the order of their stamps"
            )
        self._last_ns = frame.stamp_ns
        stamp = seconds_text(frame.stamp_ns)
        write_image(self._file(RGB_LIST, "rgb", stamp), frame.image)
        if frame.depth_m is not None:
            write_depth(self._file(DEPTH_LIST, "depth", stamp), frame.depth_m)
        if frame.pose_world_from_camera is not None:
            pose = frame.pose_world_from_camera
            values = (*pose.position_xyz, *pose.orientation_quat_xyzw)
            # repr is the shortest text that reads back as the same float64.
            self._lines[GROUND_TRUTH].append(" ".join([stamp, *(repr(float(value)) for value in values)]))

    def close(self) -> None:
        """Writes the lists, which makes the directory a sequence."""
        headings = {
            DEPTH_LIST: "# depth maps, 16 bits, 5000 per metre\n# timestamp filename",
            GROUND_TRUTH: "# ground truth: pose of the camera in the world\n# timestamp tx ty tz qx qy qz qw",
            RGB_LIST: "# color images\n# timestamp filename",  # last: it is what makes it a sequence
        }
        for name, heading in headings.items():
            if self._lines[name]:
                self._write_list(self._directory / name, [heading, *self._lines[name]])

    def _file(self, list_name: str, folder: str, stamp: str) -> Path:
        path = Path(folder) / f"{stamp}.png"
        if not self._lines[list_name]:
            make_output_folder(self._directory / folder)
        self._lines[list_name].append(f"{stamp} {path.as_posix()}")
        return self._directory / path

    def _write_list(self, path: Path, lines: list[str]) -> None:
        try:
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        except OSError as error:
            raise SourceError(f"{path}: cannot be written ({error.strerror})") from error
