# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What every source delivers: a stamped image, with depth and the camera's pose where they are known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from aliked_ros.camera import Camera
from aliked_ros.errors import ShapeError

_SourceT = TypeVar("_SourceT", bound="FrameSource")


@dataclass(frozen=True, eq=False)
class Pose:
    """Where a camera is in the world: it takes points from the camera's frame to the world's.

    The camera's frame is optical: x right, y down, z forward.

    Raises:
        ShapeError: an array has another shape, a value is not finite, or the quaternion has not unit length.
    """

    position_xyz: NDArray[np.float64]  # (3,) metres
    orientation_quat_xyzw: NDArray[np.float64]  # (4,) unit length; q and -q are the same orientation

    def __post_init__(self) -> None:
        for name, count in (("position_xyz", 3), ("orientation_quat_xyzw", 4)):
            values = getattr(self, name)
            if not isinstance(values, np.ndarray) or values.shape != (count,) or values.dtype != np.float64:
                raise ShapeError(f"{name} must be a float64 array of shape ({count},), got {values!r}")
            if not np.all(np.isfinite(values)):
                raise ShapeError(f"{name} must be finite, got {values}")
        length = float(np.linalg.norm(self.orientation_quat_xyzw))
        # Files round quaternions to four decimals, so their length is only near one.
        if abs(length - 1.0) > 1e-2:
            raise ShapeError(f"orientation_quat_xyzw must have unit length, got {self.orientation_quat_xyzw}")

    @classmethod
    def from_rotation(cls, rotation: NDArray[np.float64], position_xyz: NDArray[np.float64]) -> Pose:
        """The pose of a rotation matrix (3, 3), camera to world, and a position (3,) in metres."""
        return cls(np.array(position_xyz, np.float64), quaternion_xyzw(np.asarray(rotation, np.float64)))

    @property
    def rotation(self) -> NDArray[np.float64]:
        """The rotation matrix (3, 3) from the camera's frame to the world's."""
        x, y, z, w = self.orientation_quat_xyzw / np.linalg.norm(self.orientation_quat_xyzw)
        return np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
            ],
            np.float64,
        )

    def to_world(self, points_camera: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points (N, 3) of the camera's frame in the world's, metres."""
        return points_camera @ self.rotation.T + self.position_xyz

    def to_camera(self, points_world: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points (N, 3) of the world's frame in the camera's, metres."""
        return (points_world - self.position_xyz) @ self.rotation


def quaternion_xyzw(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """The unit quaternion (4,) of a rotation matrix (3, 3), with w >= 0.

    Shepperd's method (J. Guidance and Control 1(3), 1978): divide by the largest of the four components.
    """
    r = rotation
    trace = float(np.trace(r))
    largest = int(np.argmax([r[0, 0], r[1, 1], r[2, 2], trace]))
    if largest == 3:
        q = np.array([r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], 1 + trace])
    else:
        i, j, k = largest, (largest + 1) % 3, (largest + 2) % 3
        q = np.empty(4)
        q[i] = 1 - trace + 2 * r[i, i]
        q[j] = r[j, i] + r[i, j]
        q[k] = r[k, i] + r[i, k]
        q[3] = r[k, j] - r[j, k]
    q = q / np.linalg.norm(q)
    return np.asarray(-q if q[3] < 0 else q, np.float64)


@dataclass(frozen=True, eq=False)
class Frame:
    """One image of a sequence.

    Raises:
        ShapeError: an image is not 8 bits in one or three channels, or depth or the right image is of another size.
    """

    stamp_ns: int
    image: NDArray[np.uint8]  # (H, W, 3) RGB or (H, W) grey
    depth_m: NDArray[np.float32] | None = None  # (H, W) metres along the optical axis, NaN where missing
    pose_world_from_camera: Pose | None = None
    right_image: NDArray[np.uint8] | None = None  # of a second camera at the same moment; both are rectified then

    def __post_init__(self) -> None:
        image: Any = self.image
        _require_image("image", image)
        depth: Any = self.depth_m
        if depth is not None and (depth.dtype != np.float32 or depth.shape != image.shape[:2]):
            raise ShapeError(f"depth_m must be float32 of shape {image.shape[:2]}, got {depth.dtype} {depth.shape}")
        right: Any = self.right_image
        if right is None:
            return
        _require_image("right_image", right)
        if right.shape[:2] != image.shape[:2]:
            raise ShapeError(f"right_image must be of the left one's size {image.shape[:2]}, got {right.shape[:2]}")


def _require_image(name: str, image: Any) -> None:
    is_image = isinstance(image, np.ndarray) and image.dtype == np.uint8
    if not is_image or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
        found = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ShapeError(f"{name} must be uint8 of shape (H, W, 3) or (H, W), got {found}")


class FrameSource(Protocol):
    """Frames in the order of their stamps, read while they are asked for.

    Used as ``with open_source(...) as source: for frame in source: ...``. Iterating again starts over, except
    on a live camera. Reading raises SourceError, after the frames before the fault were delivered.
    """

    name: str  # what the user would call it: the path, topic or device
    camera: Camera | None  # the calibration, where the source carries one
    num_frames: int | None  # None where nobody can tell: a camera, a damaged video
    baseline_m: float = 0.0  # metres to the second camera; 0 where there is none
    rectified_from_camera: NDArray[np.float64] | None = None  # (3, 3), where the images were turned to rectify them

    def __iter__(self) -> Iterator[Frame]:
        """Delivers the frames."""
        ...

    def close(self) -> None:
        """Gives back files and devices; safe to repeat."""

    def __enter__(self: _SourceT) -> _SourceT:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
