# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Poses in the frames of REP 105, their covariances, and the messages that carry them."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from aliked_ros.ros.odometry_frames import BODY_FROM_OPTICAL, OdometryFrames, Placed
from aliked_ros.ros.odometry_messages import cloud_message, matrix_of, odometry_message, transform_message
from aliked_ros.slam.backend import Outcome, State
from aliked_ros.slam.geometry import inverse, make_pose, rotation_of, rotation_vector
from aliked_ros.slam.loop_closure import LoopClosure

SECOND_NS = 1_000_000_000
BASE_FROM_CAMERA = BODY_FROM_OPTICAL.copy()
BASE_FROM_CAMERA[:3, 3] = 0.2, 0.0, 0.5  # ahead of and above the base


def optical(forward: float, left: float = 0.0, yaw: float = 0.0) -> np.ndarray:
    """A camera that went forward and to the left and turned to the left, in the first camera's optical frame."""
    return make_pose(rotation_of(np.array([0.0, -yaw, 0.0])), np.array([-left, 0.0, forward]))


def outcome(second: float, pose: np.ndarray | None, **more: object) -> Outcome:
    state = State.LOST if pose is None else State.TRACKING
    return Outcome(round(10 * second), round(second * SECOND_NS), state, pose, more.pop("covariance", None), 50, **more)


def placed(frames: OdometryFrames, *args: object, **more: object) -> Placed:
    result = frames.place(outcome(*args, **more))
    assert result is not None
    return result


def test_a_robots_map_has_x_forward_y_left_and_z_up() -> None:
    frames = OdometryFrames()
    found = placed(frames, 0.0, optical(2.0, left=1.0))
    np.testing.assert_allclose(found.pose_map_from_child[:3, 3], [2, 1, 0], atol=1e-12)
    # The child is the optical frame: its z looks along the map's x.
    np.testing.assert_allclose(found.pose_map_from_child[:3, 2], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(frames.points(np.array([[0.0, -1.0, 5.0]])), [[5, 0, 1]], atol=1e-12)


def test_the_base_starts_at_the_origin_and_turns_about_itself() -> None:
    frames = OdometryFrames(BASE_FROM_CAMERA)
    np.testing.assert_allclose(placed(frames, 0.0, optical(0.0)).pose_odom_from_child, np.eye(4), atol=1e-12)
    # Turning on the spot by 90°, the camera moves on a circle of 0.2 m around the base.
    turned = placed(frames, 1.0, optical(-0.2, left=0.2, yaw=math.pi / 2)).pose_odom_from_child
    np.testing.assert_allclose(turned[:3, 3], 0, atol=1e-12)
    np.testing.assert_allclose(rotation_vector(turned[:3, :3]), [0, 0, math.pi / 2], atol=1e-12)


def test_a_loop_moves_the_map_and_not_the_pose_in_odom() -> None:
    frames = OdometryFrames()
    placed(frames, 0.0, optical(0.0))
    before = placed(frames, 1.0, optical(1.0))
    # Without the loop the pose would be 1.1 m ahead; it corrects that to 1.3 m and 0.1 m to the left.
    uncorrected, corrected = optical(1.1), optical(1.3, left=0.1, yaw=0.1)
    loop = LoopClosure(9, 0, 100, 0.2, 5.0, inverse(uncorrected) @ corrected)
    after = placed(frames, 1.1, corrected, loop=loop)
    np.testing.assert_allclose(before.pose_odom_from_child[:3, 3], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(after.pose_odom_from_child[:3, 3], [1.1, 0, 0], atol=1e-9)
    np.testing.assert_allclose(after.pose_map_from_child[:3, 3], [1.3, 0.1, 0], atol=1e-9)
    np.testing.assert_allclose(after.map_from_odom @ after.pose_odom_from_child, after.pose_map_from_child, atol=1e-9)
    # From then on both frames see the same motion.
    later = placed(frames, 1.2, corrected @ optical(0.1))
    motion = inverse(after.pose_odom_from_child) @ later.pose_odom_from_child
    np.testing.assert_allclose(motion, optical(0.1), atol=1e-9)
    np.testing.assert_allclose(later.map_from_odom, after.map_from_odom)


def test_no_pose_without_tracking_and_no_velocity_after_a_loss() -> None:
    frames = OdometryFrames()
    assert placed(frames, 0.0, optical(0.0)).velocity is None
    assert placed(frames, 1.0, optical(0.5)).velocity is not None
    assert frames.place(outcome(1.1, None)) is None
    assert placed(frames, 1.2, optical(2.0)).velocity is None


def test_velocities_are_the_childs_own() -> None:
    frames = OdometryFrames(BASE_FROM_CAMERA)
    placed(frames, 0.0, optical(0.0))
    found = placed(frames, 0.5, optical(1.0)).velocity
    assert found is not None
    np.testing.assert_allclose(found.linear, [2, 0, 0], atol=1e-12)
    frames = OdometryFrames()
    placed(frames, 0.0, optical(0.0))
    found = placed(frames, 0.5, optical(0.0, yaw=0.1)).velocity
    assert found is not None
    np.testing.assert_allclose(found.angular, [0, -0.2, 0], atol=1e-12)  # optical y looks down


def test_covariances_are_those_of_many_samples() -> None:
    """Disturbs the camera's pose in its own frame and compares with the spread of the base's pose in odom."""
    rng = np.random.default_rng(0)
    factor = np.diag([0.01, 0.02, 0.03, 0.004, 0.005, 0.006]) @ (np.eye(6) + 0.3 * rng.normal(size=(6, 6)))
    covariance = factor @ factor.T  # (rotation, translation)
    pose = optical(1.0, left=0.3, yaw=0.7)
    expected = placed(OdometryFrames(BASE_FROM_CAMERA), 0.0, pose, covariance=covariance)
    mean = expected.pose_odom_from_child
    samples = []
    for noise in rng.multivariate_normal(np.zeros(6), covariance, 20000):
        disturbed = pose @ make_pose(rotation_of(noise[:3]), noise[3:])
        found = BASE_FROM_CAMERA @ disturbed @ inverse(BASE_FROM_CAMERA)
        samples.append([*(found[:3, 3] - mean[:3, 3]), *rotation_vector(found[:3, :3] @ mean[:3, :3].T)])
    spread = np.cov(np.array(samples).T)
    scale = np.sqrt(np.diag(spread))
    np.testing.assert_allclose(expected.covariance / np.outer(scale, scale), spread / np.outer(scale, scale), atol=0.05)


def test_the_message_says_what_is_not_known() -> None:
    frames = OdometryFrames()
    first = odometry_message(placed(frames, 3.5, optical(0.0)), "odom", "camera")
    assert (first.header.frame_id, first.child_frame_id, first.header.stamp.sec) == ("odom", "camera", 3)
    assert first.twist.covariance[0] == -1.0
    assert not np.any(first.pose.covariance)  # the first pose is the map's origin
    second = odometry_message(placed(frames, 4.0, optical(1.0), covariance=np.eye(6)), "odom", "camera")
    assert second.pose.pose.position.x == pytest.approx(1.0)
    assert second.twist.twist.linear.z == pytest.approx(2.0)
    assert second.twist.covariance[0] == pytest.approx(2.0 / 0.25)
    # A single camera's first pose is not the world's origin, and nothing is known of its error.
    late = odometry_message(placed(OdometryFrames(), 3.5, optical(1.0)), "odom", "camera")
    assert late.pose.covariance[0] == -1.0
    assert late.twist.covariance[0] == -1.0


def test_a_transform_survives_its_message() -> None:
    pose = make_pose(rotation_of(np.array([0.3, -2.0, 0.5])), np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(matrix_of(transform_message(pose, 7, "a", "b")), pose, atol=1e-12)


def test_a_cloud_holds_its_points() -> None:
    points = np.random.default_rng(0).normal(size=(7, 3))
    message = cloud_message(points, 5, "map")
    assert (message.width, message.height, message.point_step, message.row_step) == (7, 1, 12, 84)
    np.testing.assert_array_equal(np.frombuffer(message.data, np.float32).reshape(-1, 3), points.astype(np.float32))
    assert [(field.name, field.offset) for field in message.fields] == [("x", 0), ("y", 4), ("z", 8)]
