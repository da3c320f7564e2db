# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Poses and points of the backend as messages of nav_msgs, geometry_msgs and sensor_msgs."""

from __future__ import annotations

import array

import numpy as np
from geometry_msgs.msg import Pose, PoseStamped, TransformStamped
from nav_msgs.msg import Odometry
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from aliked_ros.ros.conversions import header_of, time_from_ns
from aliked_ros.ros.odometry_frames import Placed
from aliked_ros.slam.geometry import FloatArray, quaternion_wxyz

UNKNOWN = -1.0  # first element of a covariance that was not estimated, as in sensor_msgs/Imu
_POINT_BYTES = 12


def odometry_message(placed: Placed, frame_id: str, child_frame_id: str) -> Odometry:
    """The pose in odom and the velocity, with their covariances."""
    message = Odometry(header=header_of(placed.stamp_ns, frame_id), child_frame_id=child_frame_id)
    message.pose.pose = pose_of(placed.pose_odom_from_child)
    if placed.covariance is None:
        message.pose.covariance[0] = UNKNOWN
    else:
        message.pose.covariance = placed.covariance.ravel().tolist()
    velocity = placed.velocity
    if velocity is None:
        message.twist.covariance[0] = UNKNOWN
        return message
    for vector, values in (
        (message.twist.twist.linear, velocity.linear),
        (message.twist.twist.angular, velocity.angular),
    ):
        vector.x, vector.y, vector.z = map(float, values)
    if velocity.covariance is None:
        message.twist.covariance[0] = UNKNOWN
    else:
        message.twist.covariance = velocity.covariance.ravel().tolist()
    return message


def pose_of(pose: FloatArray) -> Pose:
    """A Pose message of a matrix (4, 4)."""
    message = Pose()
    _fill(message.position, message.orientation, pose)
    return message


def pose_stamped(pose: FloatArray, stamp_ns: int, frame_id: str) -> PoseStamped:
    """A PoseStamped message of a matrix (4, 4)."""
    return PoseStamped(header=header_of(stamp_ns, frame_id), pose=pose_of(pose))


def transform_message(pose: FloatArray, stamp_ns: int, frame_id: str, child_frame_id: str) -> TransformStamped:
    """A TransformStamped message: the child frame's pose (4, 4) in the parent's."""
    message = TransformStamped(header=header_of(stamp_ns, frame_id), child_frame_id=child_frame_id)
    _fill(message.transform.translation, message.transform.rotation, pose)
    return message


def matrix_of(message: TransformStamped) -> FloatArray:
    """The matrix (4, 4) of a TransformStamped message."""
    q, t = message.transform.rotation, message.transform.translation
    x, y, z, w = np.array([q.x, q.y, q.z, q.w]) / np.linalg.norm([q.x, q.y, q.z, q.w])
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, 3] = t.x, t.y, t.z
    return matrix


def cloud_message(points_xyz: FloatArray, stamp_ns: int, frame_id: str) -> PointCloud2:
    """Points (N, 3), metres, as an unordered PointCloud2 of x, y, z in float32."""
    message = PointCloud2(
        header=Header(stamp=time_from_ns(stamp_ns), frame_id=frame_id),
        height=1,
        width=len(points_xyz),
        fields=[
            PointField(name=name, offset=4 * index, datatype=PointField.FLOAT32, count=1)
            for index, name in enumerate("xyz")
        ],
        is_bigendian=False,
        point_step=_POINT_BYTES,
        row_step=_POINT_BYTES * len(points_xyz),
        is_dense=True,
    )
    message.data = array.array("B", points_xyz.astype("<f4").tobytes())
    return message


def _fill(position: object, orientation: object, pose: FloatArray) -> None:
    w, *xyz = quaternion_wxyz(pose[:3, :3])
    for axis, shift, turn in zip("xyz", pose[:3, 3], xyz, strict=True):
        setattr(position, axis, float(shift))
        setattr(orientation, axis, float(turn))
    setattr(orientation, "w", float(w))  # noqa: B010  messages have no type information
