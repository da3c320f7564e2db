# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""HPatches' layout: read whole or refused with the place, and exact answers for exact features."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from image_samples import make_textured_image

from aliked_ros.errors import SourceError
from aliked_ros.evaluation import homographies
from aliked_ros.evaluation.metrics import apply_homography
from aliked_ros.evaluation.warping import CONDITIONS, Condition, degraded, random_homography, warped
from aliked_ros.features import Features

IMAGE = make_textured_image(240, 320)
TURN = np.array([[0.95, -0.12, 20.0], [0.1, 0.97, -8.0], [1e-5, 2e-5, 1.0]])
SHIFT = np.array([[1.0, 0, 5.5], [0, 1, 3.25], [0, 0, 1]])


def write_scene(folder: Path, name: str, truths: list[np.ndarray]) -> None:
    scene = folder / name
    scene.mkdir(parents=True)
    cv2.imwrite(str(scene / "1.ppm"), IMAGE)
    for number, truth in enumerate(truths, 2):
        image = warped(IMAGE, truth)
        image[0, 0] = number  # which image it is
        cv2.imwrite(str(scene / f"{number}.ppm"), image)
        np.savetxt(scene / f"H_1_{number}", truth)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_scene(tmp_path, "v_turn", [TURN, SHIFT])
    write_scene(tmp_path, "i_light", [np.eye(3)])
    return tmp_path


def exact_features(error_px: float) -> homographies.Extract:
    """Finds the same points in every image, all off by some pixels in the others."""
    rng = np.random.default_rng(0)
    xy = rng.uniform(40, 200, (60, 2))
    descriptors = np.linalg.qr(rng.normal(size=(64, 64)))[0][:60].astype(np.float32)
    scores = np.linspace(0.9, 0.5, 60, dtype=np.float32)

    def extract(image: np.ndarray) -> Features:
        truth = {2: TURN, 3: SHIFT}.get(int(image[0, 0, 2]))
        where = xy if truth is None else apply_homography(truth, xy) + np.array([error_px, 0])
        return Features(where.astype(np.float32), scores, descriptors, 320, 240)

    return extract


def test_scenes_are_read(folder: Path) -> None:
    scenes = homographies.read_scenes(folder)
    assert [(scene.name, scene.kind, len(scene.images)) for scene in scenes] == [
        ("i_light", "illumination", 2),
        ("v_turn", "viewpoint", 3),
    ]
    np.testing.assert_allclose(scenes[1].homographies[0], TURN)


def test_exact_features_are_all_right_and_biased_ones_are_not(tmp_path: Path) -> None:
    write_scene(tmp_path, "v_turn", [TURN, SHIFT])
    scenes, told = homographies.read_scenes(tmp_path), []
    results = {
        name: homographies.evaluate(scenes, exact_features(error), 0.9, lambda: told.append(1))
        for name, error in (("exact", 0.0), ("off", 2.0))
    }
    assert len(told) == 2
    summary = homographies.report(results, {}).results["summary"]["viewpoint"]
    assert summary["exact"]["mma_1px"] == summary["exact"]["homography_1px"] == 1.0
    assert (summary["off"]["mma_1px"], summary["off"]["mma_3px"]) == (0.0, 1.0)
    assert (summary["off"]["homography_1px"], summary["off"]["homography_3px"]) == (0.0, 1.0)


def test_nothing_found_counts_as_failed(folder: Path) -> None:
    nothing = Features(np.empty((0, 2), np.float32), np.empty(0, np.float32), np.empty((0, 8), np.float32), 320, 240)
    results = homographies.evaluate(homographies.read_scenes(folder), lambda image: nothing, 0.9, lambda: None)
    report = homographies.report({"nothing": results}, {})
    assert report.results["summary"]["all"]["nothing"]["homography_5px"] == 0.0
    assert "| nothing | 0.0 % |" in report.markdown()
    assert '"corner_error_px": null' in report.as_json()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 0 0\n0 1 0\n", "H_1_2: a homography has 3 lines of 3 numbers, this has 2"),
        ("1 0 0\n0 one 0\n0 0 1\n", "H_1_2, line 2: 'one' is no number"),
        ("1 0 0\n\n0 1\n0 0 1\n", "H_1_2, line 3: has 2 columns, needs 3"),
        ("1 0 0\n0 nan 0\n0 0 1\n", "H_1_2, line 2: 'nan' is not finite"),
        ("1 0 0\n1 0 0\n0 0 1\n", "singular"),
        ("", "holds no line of numbers"),
    ],
)
def test_a_broken_homography_is_named(folder: Path, text: str, expected: str) -> None:
    (folder / "v_turn" / "H_1_2").write_text(text)
    with pytest.raises(SourceError, match=expected):
        homographies.read_scenes(folder)


def test_other_folders_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such folder"):
        homographies.read_scenes(tmp_path / "nowhere")
    with pytest.raises(SourceError, match="this is not HPatches' layout"):
        homographies.read_scenes(folder / "v_turn")
    (folder / "v_turn" / "H_1_3").unlink()
    with pytest.raises(SourceError, match="H_1_3: cannot be read"):
        homographies.read_scenes(folder)
    (folder / "i_light" / "2.ppm").unlink()
    with pytest.raises(SourceError, match=r"i_light: needs 1\.ppm and at least one more"):
        homographies.read_scenes(folder)


def test_warps_move_what_they_say() -> None:
    """A white dot lands where the homography takes it, to a twentieth of a pixel; blurs move nothing."""
    image, dot = np.zeros((240, 320, 3), np.uint8), np.array([[150.0, 110.0]])
    cv2.circle(image, (150, 110), 6, (255, 255, 255), -1)
    rng = np.random.default_rng(0)
    for truth in (TURN, SHIFT, *(random_homography(condition, (320, 240), rng) for condition in CONDITIONS)):
        for condition in (
            Condition("none", 0, 1, 0, noise_sigma=0),
            Condition("m", 0, 1, 0, noise_sigma=0, motion_px=7),
        ):
            seen = degraded(warped(image, truth), condition, rng)[..., 0].astype(float)
            y, x = np.mgrid[:240, :320]
            centroid = [(x * seen).sum() / seen.sum(), (y * seen).sum() / seen.sum()]
            np.testing.assert_allclose(centroid, apply_homography(truth, dot)[0], atol=0.05)
