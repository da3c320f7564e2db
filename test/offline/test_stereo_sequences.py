# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Two cameras: simulated ones, and the directories of KITTI odometry and of EuRoC that are written from them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from aliked_ros.camera import Camera
from aliked_ros.errors import CalibrationError, SourceError
from aliked_ros.frontend.extractor import Extractor
from aliked_ros.io.frames import Pose
from aliked_ros.io.sources.opening import open_source
from aliked_ros.offline.sequence import SequenceRun, run_sequence
from aliked_ros.sim.config import SimulationConfig
from aliked_ros.sim.render import Renderer
from aliked_ros.sim.simulation import SimulatedSource, simulate
from aliked_ros.slam.config import BackendConfig
from aliked_ros.slam.geometry import make_pose
from aliked_ros.slam.trajectory import Trajectory, absolute_errors, rmse

BASELINE_M = 0.1
CONFIG = SimulationConfig(width=320, height=240, frames=16, rate_hz=10.0, baseline_m=BASELINE_M)
START_NS = 1403636579763555584
PERIOD_NS = 100_000_000
# Two cameras of a body: apart, turned against each other and it, with lenses of their own.
LENSES = {
    "cam0": Camera(320, 240, 262.0, 261.0, 160.5, 118.0, "plumb_bob", (-0.12, 0.03, 0.0005, -0.0004)),
    "cam1": Camera(320, 240, 259.0, 259.5, 157.0, 121.5, "plumb_bob", (-0.11, 0.02, -0.0003, 0.0002)),
}
TURNS_DEG = {"cam0": (0.5, -0.3, 0.4), "cam1": (-0.8, 1.1, -0.6)}
CENTRES_M = {"cam0": (0.02, 0.01, 0.0), "cam1": (0.12, 0.012, -0.003)}


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    return Extractor.from_pretrained("aliked-t16", device="cpu", max_keypoints=500)


@pytest.fixture(scope="module")
def simulated() -> SimulatedSource:
    return simulate(CONFIG)


@pytest.fixture(scope="module")
def kitti(simulated: SimulatedSource, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layout of KITTI odometry: rectified pairs, and a baseline in calib.txt."""
    directory = tmp_path_factory.mktemp("kitti") / "sequences" / "00"
    for index, frame in enumerate(simulated):
        assert frame.right_image is not None
        for name, image in (("image_0", frame.image), ("image_1", frame.right_image)):
            write(directory / name / f"{index:06d}.png", image)
    (directory / "times.txt").write_text("".join(f"{index / 10:e}\n" for index in range(CONFIG.frames)))
    camera = simulated.camera
    rows = {"P0": 0.0, "P1": -camera.fx * BASELINE_M}
    (directory / "calib.txt").write_text(
        "".join(
            f"{name}: {camera.fx} 0 {camera.cx} {shift} 0 {camera.fy} {camera.cy} 0 0 0 1 0\n"
            for name, shift in rows.items()
        )
    )
    return directory


@pytest.fixture(scope="module")
def euroc(simulated: SimulatedSource, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layout of EuRoC: pairs as they were taken, and what sensor.yaml says of the lenses and of the body."""
    directory = tmp_path_factory.mktemp("euroc") / "mav0"
    for name, lens in LENSES.items():
        renderer = Renderer(simulated.scene, wide(lens))
        for index in range(CONFIG.frames):
            pose = pose_of(name, body_pose(simulated, index))
            write(directory / name / "data" / f"{START_NS + index * PERIOD_NS}.png", bent(renderer.image(pose), lens))
        sensor = {
            "resolution": [lens.width, lens.height],
            "intrinsics": [lens.fx, lens.fy, lens.cx, lens.cy],
            "distortion_model": "radial-tangential",
            "distortion_coefficients": list(lens.distortion),
            "T_BS": {"rows": 4, "cols": 4, "data": body_from(name).ravel().tolist()},
        }
        (directory / name / "sensor.yaml").write_text("%YAML:1.0\n" + yaml.safe_dump(sensor))
    return directory


def write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))


def body_from(name: str) -> np.ndarray:
    rotation, _ = cv2.Rodrigues(np.radians(TURNS_DEG[name]))
    return make_pose(rotation, np.array(CENTRES_M[name]))


def body_pose(simulated: SimulatedSource, index: int) -> np.ndarray:
    pose = simulated.scene.trajectory(index / CONFIG.rate_hz)
    return make_pose(pose.rotation, pose.position_xyz)


def pose_of(name: str, body: np.ndarray) -> Pose:
    pose = body @ body_from(name)
    return Pose.from_rotation(pose[:3, :3], pose[:3, 3])


def wide(lens: Camera) -> Camera:
    """A camera without distortion that sees all that the lens does."""
    return Camera(600, 450, lens.fx, lens.fy, 299.5, 224.5)


def bent(image: np.ndarray, lens: Camera) -> np.ndarray:
    """What the lens makes of a picture by :func:`wide`'s camera."""
    straight = wide(lens)
    x, y = np.meshgrid(np.arange(lens.width), np.arange(lens.height))
    rays = lens.normalise(np.stack([x.ravel(), y.ravel()], 1).astype(np.float32))
    xy = (rays * [straight.fx, straight.fy] + [straight.cx, straight.cy]).astype(np.float32)
    columns, rows = (values.reshape(lens.height, lens.width) for values in xy.T)
    return cv2.remap(image, columns, rows, cv2.INTER_LINEAR)


def error_share(run: SequenceRun, truth: Trajectory) -> float:
    """RMSE of the positions after alignment without a scale, as a share of the path."""
    return rmse(absolute_errors(run.trajectory(), truth, "se3")) / truth.length


def turn_error_deg(estimate: Trajectory, truth: Trajectory) -> float:
    """The largest error of how the camera has turned since the first image, as it sees it itself."""

    def turns(trajectory: Trajectory) -> np.ndarray:
        quaternions = np.roll(trajectory.orientations_quat_wxyz, -1, axis=1)
        rotations = [Pose(np.zeros(3), quaternion).rotation for quaternion in quaternions]
        return np.array([cv2.Rodrigues(rotations[0].T @ rotation)[0].ravel() for rotation in rotations])

    return float(np.degrees(np.linalg.norm(turns(estimate) - turns(truth), axis=1)).max())


def true_trajectory(simulated: SimulatedSource, scale: float = 1.0) -> Trajectory:
    """Of KITTI's first camera; seen from as many times as far, the world is as many times as large."""
    poses = [body_pose(simulated, index) for index in range(CONFIG.frames)]
    for pose in poses:
        pose[:3, 3] *= scale
    return Trajectory.from_poses([round(1e9 * index / 10) for index in range(CONFIG.frames)], poses)


def copy_of(directory: Path, tmp_path: Path) -> Path:
    return shutil.copytree(directory, tmp_path / directory.name)


def test_a_simulated_pair_gives_metres(simulated: SimulatedSource, extractor: Extractor) -> None:
    run = run_sequence(simulated, extractor, BackendConfig(), mode="stereo")
    assert run.mode == "stereo"
    assert error_share(run, run.truth) < 0.01
    assert run_sequence(simulated, extractor, BackendConfig()).mode == "rgbd", "depth goes before"


def test_kitti_s_second_camera_gives_metres(kitti: Path, simulated: SimulatedSource, extractor: Extractor) -> None:
    with open_source(str(kitti), stereo=True) as source:
        assert source.baseline_m == pytest.approx(BASELINE_M)
        run = run_sequence(source, extractor, BackendConfig())
    assert run.mode == "stereo"
    assert error_share(run, true_trajectory(simulated)) < 0.01
    with open_source(str(kitti)) as source:
        assert run_sequence(source, extractor, BackendConfig()).mode == "mono"


def test_euroc_s_pair_is_rectified(euroc: Path, simulated: SimulatedSource, extractor: Extractor) -> None:
    with open_source(str(euroc.parent), stereo=True) as source:
        distance = np.linalg.norm(np.subtract(CENTRES_M["cam1"], CENTRES_M["cam0"]))
        assert source.baseline_m == pytest.approx(distance, rel=1e-6)
        run = run_sequence(source, extractor, BackendConfig())
    assert run.mode == "stereo"
    bodies = [body_pose(simulated, index) @ body_from("cam0") for index in range(CONFIG.frames)]
    truth = Trajectory.from_poses([START_NS + index * PERIOD_NS for index in range(CONFIG.frames)], bodies)
    assert error_share(run, truth) < 0.01
    of_images = turn_error_deg(run.backend.trajectory(), truth)
    assert turn_error_deg(run.trajectory(), truth) < 0.11 < of_images, "of cam0, not of its rectified images"


def test_what_is_far_away_has_depth_by_stereo(
    kitti: Path, simulated: SimulatedSource, extractor: Extractor, tmp_path: Path
) -> None:
    """With a baseline of ten times as much, the same images are of a street: 20 m and more away."""
    directory = copy_of(kitti, tmp_path)
    calib, shift = (directory / "calib.txt").read_text(), -simulated.camera.fx * BASELINE_M
    (directory / "calib.txt").write_text(calib.replace(f"{shift}", f"{10 * shift}"))
    with open_source(str(directory), stereo=True) as source:
        assert source.baseline_m == pytest.approx(10 * BASELINE_M)
        run = run_sequence(source, extractor, BackendConfig())
    assert len(run.trajectory()) == CONFIG.frames
    assert error_share(run, true_trajectory(simulated, 10.0)) < 0.01


def test_images_of_another_size_than_the_calibration_are_refused(euroc: Path, tmp_path: Path) -> None:
    directory = copy_of(euroc, tmp_path)
    path = sorted((directory / "cam1" / "data").iterdir())[3]
    cv2.imwrite(str(path), cv2.resize(cv2.imread(str(path)), None, fx=0.5, fy=0.5))
    with open_source(str(tmp_path), stereo=True) as source:
        frames = iter(source)
        for _ in range(3):
            next(frames)
        with pytest.raises(CalibrationError, match=rf"{path.name}: 160×120 pixels, but .* for 320×240; calibrate"):
            next(frames)


def test_partners_are_found_by_their_names_whatever_the_kind_of_file(kitti: Path, tmp_path: Path) -> None:
    directory = copy_of(kitti, tmp_path)
    for path in list((directory / "image_1").iterdir()):
        cv2.imwrite(str(path.with_suffix(".jpg")), cv2.imread(str(path)))
        path.unlink()
    with open_source(str(directory), stereo=True) as source:
        assert all(frame.right_image is not None for frame in source)
    for path in list((directory / "image_1").iterdir()):
        path.rename(path.with_stem(f"right{path.stem}"))
    with pytest.raises(SourceError, match=r"image_1: has no image named as one of .*image_0, such as 000000\.png"):
        open_source(str(directory), stereo=True)
    shutil.rmtree(directory / "image_1")
    (directory / "image_1").mkdir()
    with pytest.raises(SourceError, match=r"image_1: has no image \(png"):
        open_source(str(directory), stereo=True)


def test_links_to_image_folders_are_followed(kitti: Path, tmp_path: Path) -> None:
    for name in ("image_0", "image_1"):
        (tmp_path / name).symlink_to(kitti / name)
        (tmp_path / f"to_{name}").symlink_to(kitti / name)
    shutil.copy(kitti / "calib.txt", tmp_path)
    for name in ("image_0", "to_image_0"):
        with open_source(str(tmp_path / name), stereo=True) as source:
            assert source.baseline_m == pytest.approx(BASELINE_M)


def moved(position_xyz: tuple[float, float, float]) -> np.ndarray:
    """A camera's place in the body, if it looks where cam0 does and is so far from it, along its axes."""
    return body_from("cam0") @ make_pose(np.eye(3), np.array(position_xyz))


@pytest.mark.parametrize(
    ("name", "change", "what"),
    [
        ("cam1", {"T_BS": np.diag([1.0, 1.0, -1.0, 1.0])}, "is no motion"),
        ("cam1", {"T_BS": moved((0.1, 0, 0)) + np.diag([0, 0, 0, 1.0])}, "is no motion"),
        ("cam1", {"T_BS": moved((0, 0, 0))}, "both cameras at one place"),
        ("cam1", {"T_BS": moved((120.0, 0, 0))}, "120 m is not in .*; is it metres"),
        ("cam1", {"T_BS": moved((-0.1, 0, 0))}, "0.1 m to the left of the first; swap them"),
        ("cam1", {"T_BS": moved((0, 0.1, 0))}, "0.1 m below the first and .* m beside it"),
        ("cam1", {"T_BS": make_pose(np.diag([-1.0, 1.0, -1.0]), np.array(CENTRES_M["cam1"]))}, "looks 17.° away"),
        ("cam1", {"resolution": [640, 480]}, "640×480 pixels, but the first camera has 320×240"),
        ("cam0", {"distortion_model": "equidistant"}, "pairs of equidistant cameras are not rectified here"),
    ],
)
def test_rigs_that_are_none_are_named(
    euroc: Path, name: str, change: dict[str, Any], what: str, tmp_path: Path
) -> None:
    path = copy_of(euroc, tmp_path) / name / "sensor.yaml"
    values = yaml.safe_load(path.read_text().removeprefix("%YAML:1.0\n"))
    for key, value in change.items():
        values[key] = {"data": value.ravel().tolist()} if key == "T_BS" else value
    path.write_text("%YAML:1.0\n" + yaml.safe_dump(values))
    with pytest.raises(CalibrationError, match=what):
        open_source(str(tmp_path), stereo=True)


def test_a_frame_without_a_right_image_has_no_depth(kitti: Path, extractor: Extractor, tmp_path: Path) -> None:
    shutil.copytree(kitti, tmp_path / "00")
    (tmp_path / "00" / "image_1" / "000005.png").unlink()
    with open_source(str(tmp_path / "00"), stereo=True) as source:
        assert [index for index, frame in enumerate(source) if frame.right_image is None] == [5]
        run = run_sequence(source, extractor, BackendConfig())
    assert len(run.backend.trajectory()) == CONFIG.frames


def test_a_pair_without_its_calibration_is_refused(kitti: Path, euroc: Path, tmp_path: Path) -> None:
    shutil.copytree(kitti, tmp_path / "00")
    calib = (kitti / "calib.txt").read_text()
    (tmp_path / "00" / "calib.txt").write_text(calib.replace("P1", "P7"))
    with pytest.raises(SourceError, match=r"calib\.txt: holds no projection matrix P1 \(0 of 12 numbers\)"):
        open_source(str(tmp_path / "00"), stereo=True)
    (tmp_path / "00" / "calib.txt").write_text(calib.replace(": ", ": 300 0 160 0 0 300 120 0 0 0 1 0 #", 1))
    with pytest.raises(SourceError, match="P0"):
        open_source(str(tmp_path / "00"), stereo=True)
    (tmp_path / "00" / "calib.txt").write_text(calib.replace("P1", "PX").replace("P0", "P1").replace("PX", "P0"))
    with pytest.raises(CalibrationError, match=r"0\.1 m to the left of the first; swap them"):
        open_source(str(tmp_path / "00"), stereo=True)

    shutil.copytree(euroc, tmp_path / "mav0")
    sensor = tmp_path / "mav0" / "cam1" / "sensor.yaml"
    text = sensor.read_text()
    sensor.write_text(text.replace("T_BS", "T_SB"))
    with pytest.raises(SourceError, match=r"cam1/sensor\.yaml: holds no T_BS"):
        open_source(str(tmp_path), stereo=True)
    sensor.unlink()
    with pytest.raises(SourceError, match=r"cam1/sensor\.yaml: not there, .* use --mode mono"):
        open_source(str(tmp_path), stereo=True)


def test_one_camera_is_no_pair(kitti: Path, extractor: Extractor, tmp_path: Path) -> None:
    shutil.copytree(kitti / "image_0", tmp_path / "00" / "image_0")
    shutil.copy(kitti / "calib.txt", tmp_path / "00" / "calib.txt")
    with (
        open_source(str(tmp_path / "00"), stereo=True) as source,
        pytest.raises(SourceError, match="mode stereo needs a second camera beside the first"),
    ):
        run_sequence(source, extractor, BackendConfig(), mode="stereo")
