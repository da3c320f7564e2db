# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Tracks as the feature topic of VINS-Fusion: a sensor_msgs/PointCloud of nine channels.

======== ============ ====================================================================================
channel  name         value of a point
======== ============ ====================================================================================
0        feature_id   number of its track, below 2^24: the estimator reads it from a float32
1        camera_id    0, the left or only camera
2, 3     p_u, p_v     pixels
4, 5     velocity_x/y of the point on the z = 1 plane, 1/s; 0 at a track's first observation, as VINS has it
6, 7, 8  gx, gy, gz   NaN: where the point truly is, which only a simulation knows
======== ============ ====================================================================================

The points are on the z = 1 plane. The estimator reads channels 6 to 8 of every message that has more than five, into a
table that only its commented-out debug lines look at; without them it would read past the end of its list of channels.

Source: feature_callback in vins_estimator/src/rosNodeTest.cpp of https://github.com/HKUST-Aerial-Robotics/VINS-Fusion.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aliked_ros.errors import CalibrationError
from aliked_ros.features import Tracks

POINT_CLOUD_TYPE = "sensor_msgs/msg/PointCloud"
CHANNELS = ("feature_id", "camera_id", "p_u", "p_v", "velocity_x", "velocity_y", "gx", "gy", "gz")
ID_LIMIT = 1 << 24  # whole numbers below it are exact in float32


class FeatureIds:
    """Numbers of tracks for VINS: one for each track, below :data:`ID_LIMIT`, and not used again by a new epoch or by
    a tracker that was started again.

    They go round after 16.8 million tracks; the estimator's window holds far fewer.
    """

    def __init__(self) -> None:
        self._epoch = 0
        self._frame_seq = -1
        self._offset = 0
        self._next = 0  # above every number given, before it goes round

    def of(self, tracks: Tracks, epoch: int, frame_seq: int) -> NDArray[np.int64]:
        """The number (T,) of each track of the image with this epoch and frame_seq."""
        if epoch != self._epoch or frame_seq <= self._frame_seq:
            self._offset = self._next
        self._epoch, self._frame_seq = epoch, frame_seq
        ids = tracks.ids + self._offset
        if len(ids):
            self._next = max(self._next, int(ids.max()) + 1)
        return ids % ID_LIMIT


def oldest(tracks: Tracks, count: int) -> NDArray[np.intp]:
    """The rows of the oldest tracks, at most ``count``, in their order; those chosen stay chosen while they last.

    What has no place on the plane z = 1 is not among them: to VINS every coordinate is a measurement.
    """
    order = np.argsort(-tracks.ages.astype(np.int64), kind="stable")
    if tracks.xy_norm is not None:
        order = order[np.isfinite(tracks.xy_norm[order]).all(1)]
    return np.sort(order[:count])


def vins_arrays(
    tracks: Tracks, ids: NDArray[np.int64], rows: NDArray[np.intp]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The points (K, 3) and the channels (9, K), float32, of some of the tracks.

    Args:
        tracks: with ``xy_norm``, unless there are none.
        ids: (T,) of :class:`FeatureIds`.
        rows: which are sent.

    Raises:
        CalibrationError: the tracks have no coordinates on the z = 1 plane.
    """
    if len(tracks) and tracks.xy_norm is None:
        raise CalibrationError(
            "tracks carry no normalised coordinates, which VINS needs; connect camera_info to the tracker, or give it "
            "a calibration"
        )
    count = len(rows)
    points, channels = np.ones((count, 3), np.float32), np.full((len(CHANNELS), count), np.nan, np.float32)
    channels[1] = 0.0
    if count and tracks.xy_norm is not None:
        points[:, :2] = tracks.xy_norm[rows]
        velocity = np.zeros((count, 2), np.float32) if tracks.velocity is None else tracks.velocity[rows]
        channels[0] = ids[rows]
        channels[2:4] = tracks.xy[rows].T
        channels[4:6] = np.where(np.isfinite(velocity), velocity, np.float32(0.0)).T
    return points, channels


def vins_message(message: Any, point_type: Any, channel_type: Any, points: NDArray[Any], channels: NDArray[Any]) -> Any:
    """Fills a new PointCloud, all but its header, from what :func:`vins_arrays` made; the types are its parts'."""
    message.points = [point_type(x=x, y=y, z=z) for x, y, z in points.tolist()]
    message.channels = [
        channel_type(name=name, values=values.tolist()) for name, values in zip(CHANNELS, channels, strict=True)
    ]
    return message
