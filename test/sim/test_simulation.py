# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Simulated sequences: depth, poses and colours agree with each other, and are the same every time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from aliked_ros.errors import ConfigError, SourceError
from aliked_ros.io.frames import Frame
from aliked_ros.io.sources.tum import TumSource
from aliked_ros.sim import photographs
from aliked_ros.sim.config import SCENE_NAMES, SimulationConfig
from aliked_ros.sim.loop import TURN_S
from aliked_ros.sim.simulation import SCENES, START_NS, SimulatedSource, simulate, write_sequence
from aliked_ros.sim.truth import depth_at, project, world_points

CLEAN = SimulationConfig(width=320, height=240, noise_sigma=0.0, rate_hz=5.0, frames=12)


@pytest.fixture(scope="module")
def source() -> SimulatedSource:
    return simulate(CLEAN)


@pytest.fixture(scope="module")
def frames(source: SimulatedSource) -> list[Frame]:
    return list(source)


def grid(width: int = 320, height: int = 240, step: int = 3) -> np.ndarray:
    y, x = np.mgrid[4 : height - 4 : step, 4 : width - 4 : step]
    return np.column_stack([x.ravel(), y.ravel()]).astype(np.float64)


def sampled(image: np.ndarray, xy: np.ndarray) -> np.ndarray:
    soft = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 1.0)
    return cv2.remap(soft, xy.astype(np.float32)[None], None, cv2.INTER_LINEAR)[0]


def test_there_is_a_scene_for_every_name() -> None:
    assert tuple(SCENES) == SCENE_NAMES
    for name, make in SCENES.items():
        assert make(0).name == name


@pytest.mark.parametrize("gap", [1, 3, 7])
def test_depth_and_poses_predict_the_colours_of_other_frames(
    source: SimulatedSource, frames: list[Frame], gap: int
) -> None:
    first, other = frames[2], frames[2 + gap]
    points = world_points(first, source.camera, grid())
    seen_at = project(other, source.camera, points)
    seen = np.isfinite(seen_at[:, 0])
    assert seen.mean() > 0.6
    moved = np.linalg.norm(seen_at - grid(), axis=1)[seen]
    assert np.median(moved) > 2  # otherwise nothing would be tested
    difference = np.abs(sampled(first.image, grid()[seen]) - sampled(other.image, seen_at[seen])).mean(1)
    assert np.median(difference) < 3
    # A scene seen at the wrong place differs far more: the check has teeth.
    wrong = np.abs(sampled(first.image, grid()[seen]) - sampled(other.image, grid()[seen])).mean(1)
    assert np.median(wrong) > 2.5 * np.median(difference)


def test_depth_of_two_frames_is_of_the_same_surfaces(source: SimulatedSource, frames: list[Frame]) -> None:
    first, other = frames[0], frames[4]
    assert other.pose_world_from_camera is not None
    assert other.depth_m is not None
    points = world_points(first, source.camera, grid())
    expected = other.pose_world_from_camera.to_camera(points)[:, 2]
    seen_at = project(other, source.camera, points)
    seen = np.isfinite(seen_at[:, 0])
    error = np.abs(depth_at(other.depth_m, seen_at[seen]) - expected[seen])
    assert np.percentile(error, 99) < 0.001
    # Every visible point agrees, but for those at the rim of a surface.
    inside = np.all((seen_at[seen] > 0) & (seen_at[seen] < (319, 239)), axis=1)
    assert inside.sum() > 2000


def test_depth_is_that_of_the_rays(source: SimulatedSource, frames: list[Frame]) -> None:
    frame = frames[0]
    assert frame.pose_world_from_camera is not None
    xy = np.random.default_rng(0).uniform((0, 0), (319, 239), (4000, 2))
    exact = source.renderer.points(frame.pose_world_from_camera, xy)
    interpolated = world_points(frame, source.camera, xy)
    known = np.isfinite(interpolated[:, 0])
    assert known.mean() > 0.8
    error = np.linalg.norm(interpolated - exact, axis=1)[known]
    assert np.median(error) < 1e-6  # float32 depth at a few metres
    assert error.max() < 0.01  # but for the rims of papers, which lie a millimetre above the desk
    assert np.percentile(error, 99) < 1e-5


def test_the_desk_is_flat_and_the_wall_upright(source: SimulatedSource, frames: list[Frame]) -> None:
    points = world_points(frames[0], source.camera, grid())
    points = points[np.isfinite(points[:, 0])]
    assert (np.abs(points[:, 2]) < 1e-4).mean() > 0.1
    assert (np.abs(points[:, 1] - 1.1) < 1e-4).mean() > 0.1
    assert points[:, 2].min() > -1e-4  # nothing below the desk
    assert points[:, 1].max() < 1.1 + 1e-4  # nothing behind the wall


def test_there_is_parallax_and_texture_worth_tracking(source: SimulatedSource, frames: list[Frame]) -> None:
    for frame in frames:
        assert frame.depth_m is not None
        assert np.isfinite(frame.depth_m).all()
        low, high = np.percentile(frame.depth_m, [2, 98])
        assert high / low > 1.5
        grey = cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY)
        corners = cv2.goodFeaturesToTrack(grey, 2000, 0.01, 4)
        assert len(corners) > 500
    positions = np.array(
        [f.pose_world_from_camera.position_xyz for f in frames if f.pose_world_from_camera is not None]
    )
    assert np.ptp(positions, axis=0).max() > 0.3  # metres
    steps = np.linalg.norm(np.diff(positions, axis=0), axis=1) * CLEAN.rate_hz
    assert steps.max() < 1.0  # m/s: a hand, not a jerk


def test_the_same_seed_is_the_same_to_the_bit_and_another_is_not() -> None:
    config = CLEAN.replace(noise_sigma=2.0, frames=3)
    first, again = simulate(config), simulate(config)
    last_first = again.frame(2)  # whatever was rendered before
    for frame, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(frame.image, same.image)
        assert frame.depth_m is not None
        assert same.depth_m is not None
        np.testing.assert_array_equal(frame.depth_m, same.depth_m)
    np.testing.assert_array_equal(last_first.image, frame.image)
    other = simulate(config.replace(seed=1)).frame(2)
    assert (other.image != frame.image).mean() > 0.5


def test_noise_has_the_stated_spread_and_differs_from_frame_to_frame(source: SimulatedSource) -> None:
    noisy = simulate(CLEAN.replace(noise_sigma=4.0))
    clean = source.frame(0).image.astype(float)
    difference = noisy.frame(0).image.astype(float) - clean
    midtones = (clean > 30) & (clean < 225)
    assert difference[midtones].std() == pytest.approx(4.0, rel=0.03)
    assert difference[midtones].mean() == pytest.approx(0.0, abs=0.1)
    other = noisy.frame(1).image.astype(float) - source.frame(1).image
    assert abs(np.corrcoef(difference.ravel(), other.ravel())[0, 1]) < 0.02


def test_a_slow_shutter_blurs_the_image_and_leaves_the_truth(source: SimulatedSource) -> None:
    blurred = simulate(CLEAN.replace(shutter_s=0.15)).frame(3)
    sharp = source.frame(3)

    def sharpness(image: np.ndarray) -> float:
        return float(cv2.Laplacian(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.CV_64F).var())

    assert sharpness(blurred.image) < 0.5 * sharpness(sharp.image)
    assert abs(blurred.image.mean() - sharp.image.mean()) < 2
    assert sharp.depth_m is not None
    assert blurred.depth_m is not None
    np.testing.assert_array_equal(blurred.depth_m, sharp.depth_m)


def test_exposure_swings(source: SimulatedSource) -> None:
    swinging = simulate(CLEAN.replace(exposure_swing=0.3))
    ratios = [swinging.frame(i).image.mean() / source.frame(i).image.mean() for i in (0, 5, 15)]
    assert ratios[0] == pytest.approx(1.0, abs=0.01)
    assert ratios[1] > 1.15
    assert ratios[2] == pytest.approx(0.7, abs=0.02)


def test_stamps_follow_the_rate(frames: list[Frame]) -> None:
    assert [frame.stamp_ns for frame in frames] == [START_NS + index * 200_000_000 for index in range(12)]


@pytest.mark.parametrize(
    "changes",
    [{"frames": 0}, {"rate_hz": 0.0}, {"width": 31}, {"noise_sigma": -1.0}, {"scene": "moon"}, {"seed": -1}],
)
def test_impossible_configurations_cannot_be_built(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(changes))):
        SimulationConfig.from_mapping(changes)


def test_a_written_sequence_reads_back_with_exact_poses(tmp_path: Path) -> None:
    config = CLEAN.replace(frames=3, noise_sigma=1.0)
    done: list[int] = []
    write_sequence(config, tmp_path / "sequence", done.append)
    assert done == [1, 1, 1]
    written = TumSource(tmp_path / "sequence")
    assert written.camera is not None
    assert written.camera.fx == simulate(config).camera.fx
    for frame, back in zip(simulate(config), written, strict=True):
        assert back.stamp_ns == frame.stamp_ns
        np.testing.assert_array_equal(back.image, frame.image)
        assert frame.depth_m is not None
        assert back.depth_m is not None
        np.testing.assert_allclose(back.depth_m, frame.depth_m, atol=0.000101)
        assert frame.pose_world_from_camera is not None
        assert back.pose_world_from_camera is not None
        for name in ("position_xyz", "orientation_quat_xyzw"):
            expected = getattr(frame.pose_world_from_camera, name)
            np.testing.assert_array_equal(getattr(back.pose_world_from_camera, name), expected)


def test_an_interrupted_sequence_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_sequence(CLEAN, tmp_path / "sequence", interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_is_replaced_only_by_force(tmp_path: Path) -> None:
    config = CLEAN.replace(frames=1)
    write_sequence(config, tmp_path / "sequence")
    with pytest.raises(SourceError, match="exists"):
        write_sequence(config, tmp_path / "sequence")
    write_sequence(config.replace(frames=2), tmp_path / "sequence", force=True)
    assert TumSource(tmp_path / "sequence").num_frames == 2


def test_missing_photographs_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    photographs.load_photograph.cache_clear()
    monkeypatch.setattr(photographs.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SourceError, match="pip install scikit-image"):
        photographs.load_photograph("coffee")

    class Spec:
        origin = str(tmp_path / "__init__.py")

    monkeypatch.setattr(photographs.importlib.util, "find_spec", lambda name: Spec)
    with pytest.raises(SourceError, match=r"coffee\.png: this scikit-image comes without"):
        photographs.load_photograph("coffee")


def test_simulation_needs_neither_torch_nor_ros_nor_the_network() -> None:
    code = (
        "import json, socket, sys\n"
        "socket.socket = None\n"
        "from aliked_ros.sim.config import SimulationConfig\n"
        "from aliked_ros.sim.simulation import simulate\n"
        "simulate(SimulationConfig(width=64, height=48)).frame(0)\n"
        "print(json.dumps([name for name in ('torch', 'rclpy', 'pooch', 'skimage') if name in sys.modules]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


@pytest.mark.parametrize("scene", ["corridor", "loop"])
def test_other_scenes_surround_the_camera(scene: str) -> None:
    source = simulate(SimulationConfig(scene=scene, width=160, height=120, noise_sigma=0.0))
    for elapsed_s in (0.0, 3.0, 9.9):
        depth_m = source.renderer.depth(source.scene.trajectory(elapsed_s))
        assert np.isfinite(depth_m).mean() > 0.75  # there is no ceiling
        assert np.nanmin(depth_m) > 0.3
        assert np.nanmax(depth_m) < 17.0


def test_the_corridor_is_walked_down_and_the_loop_closes() -> None:
    corridor, loop = (SCENES[name](0).trajectory for name in ("corridor", "loop"))
    assert corridor(10.0).position_xyz[0] - corridor(0.0).position_xyz[0] > 9.0
    first, around = loop(0.0), loop(TURN_S)
    assert np.linalg.norm((around.position_xyz - first.position_xyz)[:2]) < 1e-9
    assert np.linalg.norm(loop(TURN_S / 2).position_xyz - first.position_xyz) > 2.0


def test_depth_noise_grows_with_the_square_of_the_distance(source: SimulatedSource, frames: list[Frame]) -> None:
    noisy = simulate(CLEAN.replace(depth_noise_m=0.002))
    clean, measured = frames[3].depth_m, noisy.frame(3).depth_m
    assert clean is not None
    assert measured is not None
    relative = (measured - clean) / clean**2
    assert relative.std() == pytest.approx(0.002, rel=0.03)
    assert abs(relative.mean()) < 1e-4
    np.testing.assert_array_equal(noisy.frame(3).depth_m, measured)
    np.testing.assert_array_equal(noisy.frame(3).image, frames[3].image)


def test_a_blackout_shows_nothing_for_its_time(frames: list[Frame]) -> None:
    source = simulate(CLEAN.replace(blackout_start_s=0.4, blackout_s=0.6))
    black = [not source.frame(index).image.any() for index in range(6)]
    assert black == [False, False, True, True, True, False]
    covered = source.frame(3)
    assert covered.depth_m is not None
    assert np.isnan(covered.depth_m).all()
    assert covered.stamp_ns == frames[3].stamp_ns
