# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Matches between two cameras are verified as those from frame to frame are."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from message_samples import make_tracks, unit_rows
from node_harness import PERIOD_NS, START_NS, Station, has_stamp, parameter_arguments, wait_until
from sensor_msgs.msg import Image

from aliked_msgs.msg import Matches, TrackerStatus
from aliked_ros.camera import TUM_CAMERAS, Camera
from aliked_ros.engine.base import EngineInfo
from aliked_ros.features import Features, ModelType
from aliked_ros.frontend.config import TrackingConfig, VerificationConfig
from aliked_ros.frontend.frontend import FrameResult
from aliked_ros.frontend.matchers import MutualNearestNeighbours
from aliked_ros.io.calibration import write_camera
from aliked_ros.io.frames import Frame, Pose
from aliked_ros.ros.child import NodeProcess
from aliked_ros.ros.conversions import header_of
from aliked_ros.ros.frame_log import FrameLog
from aliked_ros.ros.image_conversions import image_message
from aliked_ros.ros.publishing import ResultPublisher
from aliked_ros.ros.stereo import StereoMatcher
from aliked_ros.sim import truth
from aliked_ros.sim.config import SimulationConfig
from aliked_ros.sim.render import Renderer
from aliked_ros.sim.simulation import simulate

pytestmark = pytest.mark.ros

LEFT = TUM_CAMERAS["fr2"]
RIGHT = Camera(640, 480, 480.0, 482.0, 310.0, 245.0, "plumb_bob", (0.05, -0.1, 0.001, 0.0, 0.0))
PINHOLE = TUM_CAMERAS["fr3"]
NUM_POINTS, NUM_WRONG = 200, 40
INFO = EngineInfo("aliked-t16", "cpu", "compiled", "fp32", 64, Path("weights"), "0" * 64)


def rotation_y(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


ROTATION, TRANSLATION = rotation_y(0.03), np.array([0.12, 0.004, -0.002])  # the left camera from the right one
CROSS = np.array([[0, -TRANSLATION[2], TRANSLATION[1]], [TRANSLATION[2], 0, -TRANSLATION[0]],
                  [-TRANSLATION[1], TRANSLATION[0], 0]])  # fmt: skip
ESSENTIAL = CROSS @ ROTATION


def pair(left: Camera | None, right: Camera | None, *, planar: bool = False) -> list[FrameResult]:
    """What two cameras see of the same points; of the last NUM_WRONG the right one sees something alike elsewhere.

    A camera that is not given is not calibrated, and a pinhole.
    """
    rng = np.random.default_rng(1)
    depth = np.full(NUM_POINTS, 2.5) if planar else rng.uniform(1.0, 4.0, NUM_POINTS)
    in_right = np.stack(
        [rng.uniform(-0.4, 0.4, NUM_POINTS) * depth, rng.uniform(-0.3, 0.3, NUM_POINTS) * depth, depth], 1
    )
    in_left = in_right @ ROTATION.T + TRANSLATION
    seen = [(left or PINHOLE).project(in_left), (right or PINHOLE).project(in_right)]
    # Across the rows, which is across the epipolar lines of cameras that are side by side.
    seen[1][-NUM_WRONG:, 1] += rng.uniform(20, 60, NUM_WRONG) * rng.choice([-1, 1], NUM_WRONG)
    descriptors, scores = unit_rows(rng, NUM_POINTS, 64), np.linspace(0.9, 0.3, NUM_POINTS, dtype=np.float32)
    return [
        FrameResult(3, 0, START_NS, Features(xy.astype(np.float32), scores, descriptors, 640, 480),
                    make_tracks(), None, None, None, {}, camera=camera)
        for xy, camera in zip(seen, (left, right), strict=True)
    ]  # fmt: skip


IS_RIGHT = np.arange(NUM_POINTS) < NUM_POINTS - NUM_WRONG


@pytest.fixture
def station() -> Iterator[Station]:
    station = Station()
    yield station
    station.close()


Verified = Callable[[VerificationConfig, list[FrameResult]], Any]


@pytest.fixture
def verified(station: Station) -> Iterator[Verified]:
    """Has a node match a pair, and returns the message."""
    node, topic = station.node, "/station/matches"
    stereo = StereoMatcher(
        node, MutualNearestNeighbours(), TrackingConfig(), VerificationConfig(), FrameLog(node.get_logger())
    )
    cameras = [ResultPublisher(node, name, INFO, f"~/{name}") for name in ("left", "right")]
    station.subscribe(Matches, topic)
    wait_until(lambda: node.count_subscribers(topic) > 0, "the subscription")

    def verify(config: VerificationConfig, results: list[FrameResult]) -> Any:
        stereo.verification = config
        before = len(station.messages(topic))
        header = header_of(START_NS, "camera")
        stereo.publish([(camera, result, header) for camera, result in zip(cameras, results, strict=True)])
        wait_until(lambda: len(station.messages(topic)) > before, "the matches")
        message = station.messages(topic)[-1]
        assert message.num_matches == NUM_POINTS, "wrong matches are published, too"
        np.testing.assert_array_equal(message.idx, message.idx_ref)
        return message

    yield verify
    stereo.close()
    for camera in cameras:
        camera.close()


@pytest.mark.parametrize(
    ("geometry", "cameras", "model"),
    [
        ("essential", (LEFT, RIGHT), ModelType.ESSENTIAL),
        ("fundamental", (None, None), ModelType.FUNDAMENTAL),
        ("homography", (None, None), ModelType.HOMOGRAPHY),
    ],
)
def test_wrong_matches_are_told_from_right_ones(
    verified: Verified, geometry: str, cameras: tuple[Camera | None, Camera | None], model: ModelType
) -> None:
    results = pair(*cameras, planar=geometry == "homography")
    message = verified(VerificationConfig(geometry=geometry, max_error_px=1.0), results)
    assert message.model_type == model
    np.testing.assert_array_equal(np.array(message.inlier, bool), IS_RIGHT[np.array(message.idx)])
    if model is ModelType.ESSENTIAL:
        matrix = np.reshape(message.model_matrix, (3, 3))
        scaled = matrix / np.linalg.norm(matrix) * np.sign(np.sum(matrix * ESSENTIAL))
        np.testing.assert_allclose(scaled, ESSENTIAL / np.linalg.norm(ESSENTIAL), atol=0.01)


def test_nothing_is_verified_unless_asked_for(verified: Verified) -> None:
    message = verified(VerificationConfig(), pair(LEFT, RIGHT))
    assert (message.model_type, len(message.inlier), set(message.model_matrix)) == (ModelType.NONE, 0, {0.0})


def test_without_enough_inliers_nothing_is_verified(verified: Verified) -> None:
    message = verified(VerificationConfig(geometry="essential", min_inliers=180), pair(LEFT, RIGHT))
    assert (message.model_type, len(message.inlier)) == (ModelType.NONE, 0)


@pytest.mark.parametrize("cameras", [(None, RIGHT), (LEFT, None), (None, None)])
def test_a_missing_calibration_is_said_once_until_it_has_been_there(
    verified: Verified, capfd: pytest.CaptureFixture[str], cameras: tuple[Camera | None, Camera | None]
) -> None:
    config = VerificationConfig(geometry="essential")
    for _ in range(3):
        assert verified(config, pair(*cameras)).model_type == ModelType.NONE
    assert verified(config, pair(LEFT, RIGHT)).model_type == ModelType.ESSENTIAL
    line = "matches between left and right are not verified: geometry essential needs the calibration of both"
    assert capfd.readouterr().err.count(line) == 1
    assert verified(config, pair(*cameras)).model_type == ModelType.NONE
    assert capfd.readouterr().err.count(line) == 1


def rendered(width: int, focal_px: float, pose: Pose) -> tuple[Camera, Frame]:
    """What a camera sees of the simulated desk."""
    source = simulate(SimulationConfig(width=320, height=240))
    camera = Camera(width, 240, focal_px, focal_px, (width - 1) / 2, 119.5)
    renderer = Renderer(source.scene, camera)
    return camera, Frame(START_NS, renderer.image(pose), renderer.depth(pose), pose)


def test_a_rendered_pair_through_the_node(tmp_path: Path) -> None:
    pose = simulate(SimulationConfig()).scene.trajectory(0.0)
    beside = Pose.from_rotation(
        pose.rotation @ rotation_y(-0.05), pose.position_xyz + pose.rotation @ np.array([0.15, 0.01, 0.0])
    )
    (left_camera, left), (right_camera, right) = rendered(320, 262.0, pose), rendered(352, 240.0, beside)
    write_camera(tmp_path / "left.yaml", left_camera)
    write_camera(tmp_path / "right.yaml", right_camera)
    arguments = parameter_arguments(
        model="aliked-t16", device="cpu", precision="fp32", process_every_frame=True, warmup_width=0,
        cameras="[left, right]", sync_timeout=5.0, score_threshold=0.05, tracking__min_similarity=0.5,
        verification__geometry="essential", verification__max_error_px=1.5,
        left__calibration=tmp_path / "left.yaml", right__calibration=tmp_path / "right.yaml",
    )  # fmt: skip
    station = Station()
    try:
        station.subscribe(Matches, "/tracker/matches")
        cameras = {name: station.publisher(Image, f"/{name}/image") for name in ("left", "right")}
        station.subscribe(TrackerStatus, "/tracker/right/status", latched=True)

        stamps_ns = itertools.count(START_NS, PERIOD_NS)

        def send_pair() -> int:
            stamp_ns = next(stamps_ns)
            for name, frame in (("left", left), ("right", right)):
                cameras[name].publish(image_message(frame.image, stamp_ns, name))
            return stamp_ns

        def is_matched() -> bool:
            send_pair()
            time.sleep(0.2)
            return bool(station.messages("/tracker/matches"))

        with NodeProcess("aliked_ros.ros.tracker", arguments, tmp_path / "log"):
            station.wait_for("/tracker/right/status", lambda status: status.state == TrackerStatus.STATE_IDLE)
            wait_until(is_matched, "matches")  # of the first pair that comes when all know of each other
            assert station.set_parameters("/tracker", verification__geometry="none").successful
            last_ns = send_pair()
            unverified = station.wait_for("/tracker/matches", has_stamp(last_ns))
            found = station.messages("/tracker/matches")[0]
    finally:
        station.close()
    assert (unverified.model_type, len(unverified.inlier)) == (Matches.MODEL_NONE, 0)
    assert found.model_type == Matches.MODEL_ESSENTIAL
    xy, xy_ref = (np.reshape(values, (-1, 2)) for values in (found.xy, found.xy_ref))
    expected = truth.project(right, right_camera, truth.world_points(left, left_camera, xy))
    error_px = np.linalg.norm(expected - xy_ref, axis=1)  # NaN where the right camera does not see the point
    is_inlier = np.array(found.inlier, bool)
    off_line_px = distance_from_epipolar_line(xy, xy_ref, left_camera, right_camera, pose, beside)
    is_right, is_wrong = error_px < 1, off_line_px > 4
    assert is_right.sum() > 300
    assert is_wrong.sum() > 10
    assert is_inlier[is_right].mean() > 0.98
    assert not is_inlier[is_wrong].any()


def distance_from_epipolar_line(
    xy: np.ndarray, xy_ref: np.ndarray, camera: Camera, camera_ref: Camera, pose: Pose, pose_ref: Pose
) -> np.ndarray:
    """How far the reference's points (N, 2) lie from where any depth would have them, (N,) pixels."""
    ray = np.hstack([camera.normalise(xy), np.ones((len(xy), 1))])
    near, distant = (camera_ref.project(pose_ref.to_camera(pose.to_world(depth_m * ray))) for depth_m in (0.5, 50.0))
    along = (distant - near) / np.linalg.norm(distant - near, axis=1, keepdims=True)
    across = np.stack([-along[:, 1], along[:, 0]], 1)
    return np.asarray(np.abs(np.sum((xy_ref - near) * across, 1)))
