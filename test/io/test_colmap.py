# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The COLMAP database as the real COLMAP reads it."""

from __future__ import annotations

import dataclasses
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from message_samples import make_features, make_matches

from aliked_ros.camera import TUM_CAMERAS, Camera
from aliked_ros.errors import CalibrationError, SourceError
from aliked_ros.features import Matches, ModelType, TwoViewModel
from aliked_ros.io.export.colmap import ColmapDatabase
from aliked_ros.io.export.colmap_camera import calibrated, uncalibrated
from aliked_ros.io.frames import Pose

pycolmap = pytest.importorskip("pycolmap", reason="pycolmap is not installed: pip install pycolmap")

CAMERA = Camera(640, 480, 500.0, 510.0, 321.0, 239.0)
RIGHT = Pose(np.array([0.4, -0.1, 0.2]), np.array([0.02, -0.05, 0.03, 0.9981]))  # of the second camera in the first


def opened(path: Path) -> Any:
    return pycolmap.Database.open(str(path))


def two_views(kind: ModelType, *, newest_first: bool = False) -> Matches:
    """Exact matches of a scene seen by two cameras, all verified by the exact model."""
    rng = np.random.default_rng(3)
    points = rng.uniform((-1.5, -1.0, 3.0), (1.5, 1.0, 6.0), (40, 3))
    if kind is ModelType.HOMOGRAPHY:
        points[:, 2] = 4.0
    pixels = [CAMERA.project(points), CAMERA.project(RIGHT.to_camera(points))]
    rotation, translation = RIGHT.rotation.T, -RIGHT.rotation.T @ RIGHT.position_xyz  # second from first
    x, y, z = translation
    essential = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ rotation
    inverse = np.linalg.inv(CAMERA.matrix)
    matrices = {
        ModelType.ESSENTIAL: essential,
        ModelType.FUNDAMENTAL: inverse.T @ essential @ inverse,
        ModelType.HOMOGRAPHY: CAMERA.matrix @ (rotation + np.outer(translation, [0, 0, 1 / 4.0])) @ inverse,
    }
    matrix = np.ascontiguousarray(matrices[kind])
    if newest_first:  # the reference is the second camera
        pixels.reverse()
        matrix = np.linalg.inv(matrix) if kind is ModelType.HOMOGRAPHY else np.ascontiguousarray(matrix.T)
    reference, current = (xy.astype(np.float32) for xy in pixels)
    rows = np.arange(len(points), dtype=np.uint32)
    return Matches(
        rows,
        rows[::-1].copy(),
        current,
        reference,
        np.ones(len(points), np.float32),
        "exact",
        inliers=np.ones(len(points), np.bool_),
        model=TwoViewModel(kind, matrix),
    )


def write_two_views(path: Path, matches: Matches, camera: Camera | None = CAMERA, *, newest_first: bool) -> None:
    count = len(matches)
    names = ("b.png", "a.png") if newest_first else ("a.png", "b.png")
    images = {
        names[0]: make_features(count, 4),
        names[1]: make_features(count, 4, seed=1),
    }
    images[names[0]].keypoints_xy[matches.indices_ref] = matches.xy_ref
    images[names[1]].keypoints_xy[matches.indices] = matches.xy
    with ColmapDatabase(path, camera) as database:
        for name in sorted(images):
            database.add_image(name, images[name])
        database.add_pair(names[1], names[0], matches)


def test_images_keypoints_and_matches_are_read_back(tmp_path: Path) -> None:
    features = [make_features(9, 4), make_features(7, 4, seed=1), make_features(0, 4)]
    matches = dataclasses.replace(make_matches(5, model=ModelType.NONE), matcher="test")
    with ColmapDatabase(tmp_path / "x.db", CAMERA) as database:
        for name, of_image in zip("abc", features, strict=True):
            database.add_image(f"{name}.png", of_image)
        database.add_pair("b.png", "a.png", matches)
        database.add_pair("c.png", "b.png", make_matches(0, model=ModelType.NONE))
    database.close()
    read = opened(tmp_path / "x.db")
    assert [image.name for image in read.read_all_images()] == ["a.png", "b.png", "c.png"]
    assert (read.num_images(), read.num_cameras(), read.num_matched_image_pairs()) == (3, 1, 1)
    for index, of_image in enumerate(features, 1):
        keypoints = np.asarray(read.read_keypoints(index))
        # COLMAP's (0.5, 0.5) is this project's (0, 0).
        np.testing.assert_array_equal(keypoints[:, :2].reshape(-1, 2), of_image.keypoints_xy + np.float32(0.5))
    np.testing.assert_array_equal(read.read_matches(1, 2), np.stack([matches.indices_ref, matches.indices], 1))
    assert read.num_verified_image_pairs() == 0
    read.close()


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("kind", [ModelType.ESSENTIAL, ModelType.FUNDAMENTAL, ModelType.HOMOGRAPHY])
def test_the_geometry_fits_the_keypoints_that_colmap_reads(kind: ModelType, newest_first: bool, tmp_path: Path) -> None:
    write_two_views(tmp_path / "x.db", two_views(kind, newest_first=newest_first), newest_first=newest_first)
    read = opened(tmp_path / "x.db")
    geometry = read.read_two_view_geometry(1, 2)
    rows = np.asarray(read.read_matches(1, 2))
    np.testing.assert_array_equal(geometry.inlier_matches, rows)
    x1, x2 = (np.asarray(read.read_keypoints(image))[rows[:, image - 1], :2] for image in (1, 2))
    camera = read.read_camera(1)
    configurations = pycolmap.TwoViewGeometryConfiguration
    if kind is ModelType.HOMOGRAPHY:
        assert geometry.config == configurations.PLANAR
        mapped = np.c_[x1, np.ones(len(x1))] @ geometry.H.T
        np.testing.assert_allclose(mapped[:, :2] / mapped[:, 2:], x2, atol=1e-3)
        return
    if kind is ModelType.FUNDAMENTAL:
        assert geometry.config == configurations.UNCALIBRATED
        errors = pycolmap.compute_squared_sampson_error(list(x1), list(x2), geometry.F)
        assert np.sqrt(np.max(errors)) < 1e-3
        return
    assert geometry.config == configurations.CALIBRATED
    rays = [camera.cam_from_img(x) for x in (x1, x2)]
    errors = pycolmap.compute_squared_sampson_error(list(rays[0]), list(rays[1]), geometry.E)
    assert np.sqrt(np.max(errors)) < 1e-6
    pose = geometry.cam2_from_cam1
    np.testing.assert_allclose(pose.rotation.matrix(), RIGHT.rotation.T, atol=1e-5)
    direction = -RIGHT.rotation.T @ RIGHT.position_xyz
    np.testing.assert_allclose(pose.translation, direction / np.linalg.norm(direction), atol=1e-4)
    read.close()


def test_without_a_ray_under_this_calibration_the_geometry_has_no_pose(tmp_path: Path) -> None:
    beside = Camera(640, 480, 20.0, 20.0, 1000.0, 239.0, "equidistant", (0.0,) * 4)  # its circle lies beside the image
    matches = two_views(ModelType.ESSENTIAL)
    write_two_views(tmp_path / "x.db", matches, beside, newest_first=False)
    geometry = opened(tmp_path / "x.db").read_two_view_geometry(1, 2)
    assert geometry.config == pycolmap.TwoViewGeometryConfiguration.CALIBRATED
    np.testing.assert_allclose(geometry.E, matches.model.matrix)
    assert geometry.cam2_from_cam1 is None


DISTORTED = {
    "pinhole": CAMERA,
    "four": Camera(640, 480, 500.0, 510.0, 321.0, 239.0, "plumb_bob", (-0.2, 0.05, 1e-3, -2e-3)),
    "five": TUM_CAMERAS["fr1"],
    "rational": Camera(
        640, 480, 500.0, 510.0, 321.0, 239.0, "rational_polynomial", (0.1, 0.02, 1e-3, 2e-3, 3e-3, 0.2, 0.03, 1e-3)
    ),
    "rational 14": Camera(
        640, 480, 500.0, 510.0, 321.0, 239.0, "rational_polynomial", (0.1, 0.02, 1e-3, 2e-3, 3e-3, 0.2, *(0.0,) * 8)
    ),
    "fisheye": Camera(640, 480, 300.0, 301.0, 321.0, 239.0, "equidistant", (0.1, -0.02, 0.003, -0.001)),
}


@pytest.mark.parametrize("camera", DISTORTED.values(), ids=DISTORTED)
def test_colmap_projects_as_this_camera_does(camera: Camera, tmp_path: Path) -> None:
    with ColmapDatabase(tmp_path / "x.db", camera) as database:
        database.add_image("a.png", make_features())
    read = opened(tmp_path / "x.db").read_camera(1)
    assert (read.width, read.height, read.has_prior_focal_length) == (640, 480, True)
    points = np.random.default_rng(0).uniform((-0.5, -0.4, 1.0), (0.5, 0.4, 1.0), (50, 3))
    pixels = np.array([read.img_from_cam(point) for point in points])
    np.testing.assert_allclose(pixels.reshape(-1, 2), camera.project(points) + 0.5, atol=1e-6)


def test_images_of_unknown_cameras_have_a_guess_that_says_so(tmp_path: Path) -> None:
    other = dataclasses.replace(make_features(), image_width=320, image_height=240)
    with ColmapDatabase(tmp_path / "x.db") as database:
        database.add_image("a.png", make_features())
        database.add_image("b.png", other)
    cameras = opened(tmp_path / "x.db").read_all_cameras()
    assert [(c.width, c.has_prior_focal_length, c.focal_length) for c in cameras] == [
        (640, False, 768),
        (320, False, 384),
    ]
    assert uncalibrated(640, 480).params.tolist() == [768.0, 320.0, 240.0, 0.0]


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="thin-prism"):
        calibrated(Camera(64, 48, 50.0, 50.0, 31.0, 23.0, "rational_polynomial", (0.1,) * 12))
    with ColmapDatabase(tmp_path / "x.db", CAMERA) as database:
        database.add_image("a.png", make_features())
        with pytest.raises(SourceError, match=r"there is an image a.png already"):
            database.add_image("a.png", make_features())
        with pytest.raises(CalibrationError, match=r"for 640×480 pixels, the image has 64×48"):
            database.add_image("b.png", dataclasses.replace(make_features(), image_width=64, image_height=48))
    with pytest.raises(SourceError, match=r"cannot be written \(table cameras already exists\)"):
        ColmapDatabase(tmp_path / "x.db")
    with pytest.raises(SourceError, match=r"unable to open"):
        ColmapDatabase(tmp_path / "nowhere" / "x.db")


def test_a_failure_leaves_no_half_written_rows(tmp_path: Path) -> None:
    def write_until_it_fails() -> None:
        with ColmapDatabase(tmp_path / "x.db") as database:
            database.add_image("a.png", make_features())
            database.add_pair("unknown.png", "a.png", make_matches())

    with pytest.raises(KeyError):
        write_until_it_fails()
    assert sqlite3.connect(tmp_path / "x.db").execute("SELECT count(*) FROM images").fetchone() == (0,)
