# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Pairs as SuperGlue lists them: read or refused with the line, turned images, and exact poses."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from aliked_ros.camera import Camera
from aliked_ros.errors import ConfigError, SourceError
from aliked_ros.evaluation import poses
from aliked_ros.features import Features

K0 = np.array([[300.0, 0, 160], [0, 300, 120], [0, 0, 1]])
K1 = np.array([[360.0, 0, 150], [0, 350, 130], [0, 0, 1]])
ANGLE = np.radians(8)
POSE = np.array(
    [[np.cos(ANGLE), 0, np.sin(ANGLE), 0.4], [0, 1, 0, 0.05], [-np.sin(ANGLE), 0, np.cos(ANGLE), -0.1], [0, 0, 0, 1]]
)


def line(turns: tuple[int, int] = (0, 0), pose: np.ndarray = POSE) -> str:
    numbers = [*turns, *K0.ravel(), *K1.ravel(), *pose.ravel()]
    return " ".join(["a.png", "b.png", *(f"{number:.9g}" for number in numbers)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, level in (("a.png", 10), ("b.png", 20)):
        cv2.imwrite(str(tmp_path / name), np.full((240, 320, 3), level, np.uint8))
    return tmp_path


def write(folder: Path, *lines: str) -> Path:
    path = folder / "pairs.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


def exact_features(image: np.ndarray) -> Features:
    """The same points of the world in both images, told apart by their grey level."""
    rng = np.random.default_rng(3)
    points = rng.uniform([-0.8, -0.6, 2], [0.8, 0.6, 5], (150, 3))
    if image[0, 0, 0] == 10:
        xy = Camera(320, 240, 300, 300, 160, 120).project(points)
    else:
        xy = Camera(320, 240, 360, 350, 150, 130).project(points @ POSE[:3, :3].T + POSE[:3, 3])
    descriptors = rng.normal(size=(150, 64)).astype(np.float32)
    descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
    return Features(xy.astype(np.float32), np.linspace(0.9, 0.4, 150, dtype=np.float32), descriptors, 320, 240)


def test_exact_features_give_the_pose_of_two_cameras(folder: Path) -> None:
    pairs = poses.read_pairs(write(folder, line(), "# a comment", line()), folder)
    told: list[int] = []
    results = poses.evaluate(pairs, folder, exact_features, 0.9, lambda: told.append(1))
    assert len(told) == len(results) == 2
    assert results[0].num_matches == 150
    assert results[0].error_deg < 0.1
    report = poses.report({"exact": results}, {})
    assert report.results["summary"]["exact"]["auc_5deg"] > 0.97


def test_nothing_found_counts_as_failed(folder: Path) -> None:
    nothing = Features(np.empty((0, 2), np.float32), np.empty(0, np.float32), np.empty((0, 8), np.float32), 320, 240)
    pairs = poses.read_pairs(write(folder, line()), folder)
    results = poses.evaluate(pairs, folder, lambda image: nothing, 0.9, lambda: None)
    assert results[0].error_deg == 180.0
    assert poses.report({"nothing": results}, {}).results["summary"]["nothing"]["auc_20deg"] == 0.0


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("longest", [0, 80])
def test_turned_and_scaled_images_give_pixels_of_the_file(turns: int, longest: int) -> None:
    image = np.zeros((120, 160, 3), np.uint8)
    cv2.circle(image, (120, 30), 5, (255, 255, 255), -1)

    def brightest(seen: np.ndarray) -> Features:
        y, x = np.mgrid[: seen.shape[0], : seen.shape[1]]
        weights = seen[..., 0].astype(float)
        xy = np.array([[(x * weights).sum(), (y * weights).sum()]]) / weights.sum()
        assert seen.shape[:2] == tuple(np.rot90(image, turns).shape[i] // (2 if longest else 1) for i in (0, 1))
        return Features(xy.astype(np.float32), np.ones(1, np.float32), np.ones((1, 1), np.float32), *seen.shape[1::-1])

    found = poses.upright_features(image, turns, brightest, longest)
    np.testing.assert_allclose(found.keypoints_xy, [[120, 30]], atol=0.1)
    assert (found.image_width, found.image_height) == (160, 120)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.png b.png 0 0", "line 2: has 4 columns, needs 38.*without ground truth"),
        (line().replace("300", "wide", 1), "line 2: 'wide' is no number"),
        (line((0, 4)), "line 2: rotations are quarter turns from 0 to 3, got 0 and 4"),
        (line().replace("300", "0", 1), "line 2: K0 is no camera matrix"),
        (line(pose=2 * POSE), "line 2: T_0to1 is no rigid transformation"),
        (line(pose=np.diag([1.0, 1.0, -1.0, 1.0])), "line 2: T_0to1 is no rigid transformation: .* or a reflection"),
        (line().replace("b.png", "c.png"), "line 2: .*c.png is no file"),
    ],
)
def test_a_broken_line_is_named(folder: Path, text: str, expected: str) -> None:
    with pytest.raises(SourceError, match=expected):
        poses.read_pairs(write(folder, line(), text), folder)


def test_empty_lists_and_impossible_sizes_are_refused(folder: Path) -> None:
    with pytest.raises(SourceError, match="holds no pair"):
        poses.read_pairs(write(folder, "# nothing"), folder)
    pairs = poses.read_pairs(write(folder, line()), folder)
    with pytest.raises(ConfigError, match="longer side"):
        poses.evaluate(pairs, folder, exact_features, 0.9, lambda: None, -1)
