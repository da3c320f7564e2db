# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Photometric alignment: the compiled kernel against its reference in NumPy, and both against known motions."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from aliked_ops import cpu_engine, patch_alignment
from image_samples import make_textured_image

from aliked_ros.evaluation.warping import Condition, degraded, random_homography, warped
from aliked_ros.frontend import alignment
from aliked_ros.frontend.alignment import align, align_by_numpy, cut_patches, cut_patches_by_numpy, smoothed

try:
    INSTRUCTION_SETS = cpu_engine.instruction_sets()
except cpu_engine.CpuEngineError:
    INSTRUCTION_SETS = ()
SCENE = make_textured_image(240, 320, seed=3)
UNITY = np.array([1, 0, 0, 1], np.float32)


def random_points(count: int, margin: float = 30.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.uniform([margin, margin], [320 - margin, 240 - margin], (count, 2)).astype(np.float32)


def warps_at(xy: np.ndarray, matrix: np.ndarray = UNITY) -> np.ndarray:
    return np.column_stack([xy, np.tile(matrix, (len(xy), 1))]).astype(np.float32)


def moved_by(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Image points x at matrix @ (x, 1) of the result."""
    size = (image.shape[1], image.shape[0])
    return np.asarray(cv2.warpAffine(image, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT))


@pytest.mark.skipif(not INSTRUCTION_SETS, reason="the compiled engine is not built")
@pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)
def test_the_kernel_equals_its_reference(monkeypatch: pytest.MonkeyPatch, instruction_set: str) -> None:
    monkeypatch.setenv(cpu_engine.INSTRUCTION_SET_VARIABLE, instruction_set)
    rng = np.random.default_rng(1)
    condition = Condition("test", 8, 1.1, 1e-4, noise_sigma=3, blur_px=0.7, gain=0.8)
    homography = random_homography(condition, (320, 240), rng)
    before, after = smoothed(SCENE), smoothed(degraded(warped(SCENE, homography), condition, rng))
    xy = np.concatenate([random_points(60, margin=0), [[0, 0], [319, 239], [9, 9], [310, 230]]]).astype(np.float32)
    patches, reference = cut_patches(before, xy), cut_patches_by_numpy(before, xy)
    np.testing.assert_array_equal(np.isnan(patches.pixels), np.isnan(reference))
    np.testing.assert_allclose(patches.pixels, reference, atol=1e-3)
    projected = np.column_stack([xy, np.ones(len(xy))]) @ homography.T
    starts = warps_at(projected[:, :2] / projected[:, 2:] + rng.normal(0, 0.5, xy.shape))
    rows = rng.permutation(len(xy)).astype(np.int32)
    compiled = align(after, patches, rows, starts[rows])
    by_numpy = align_by_numpy(after, patches.pixels, rows, starts[rows])
    found = np.isfinite(by_numpy.sigma_px)
    np.testing.assert_array_equal(np.isfinite(compiled.sigma_px), found)
    assert 20 < found.sum() < len(xy)
    # Sums in another order end the iteration at another step, each within its tolerance of the minimum.
    np.testing.assert_allclose(compiled.warps, by_numpy.warps, atol=3e-3)
    np.testing.assert_allclose(compiled.sigma_px[found], by_numpy.sigma_px[found], rtol=5e-3)
    np.testing.assert_allclose(compiled.correlations[found], by_numpy.correlations[found], atol=1e-4)
    np.testing.assert_array_equal(compiled.warps[~found], starts[rows][~found])


@pytest.mark.parametrize(
    "matrix",
    [
        np.array([[1, 0, 0.37], [0, 1, -0.81]]),
        np.array([[1.04, -0.05, 3.3], [0.06, 0.97, -2.2]]),
    ],
    ids=["shift", "affine"],
)
@pytest.mark.parametrize("change", ["none", "light", "blur"])
def test_a_known_motion_is_found(matrix: np.ndarray, change: str) -> None:
    image = moved_by(cv2.GaussianBlur(SCENE, (0, 0), 1.0), matrix)
    if change == "light":
        image = np.clip(image * 0.6 + 30, 0, 255).astype(np.uint8)
    elif change == "blur":
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), 1.0))
    xy = random_points(200)
    truth = np.column_stack([xy, np.ones(len(xy))]) @ matrix.T
    detected = truth + np.random.default_rng(2).normal(0, 0.6, truth.shape)
    patches = cut_patches(smoothed(cv2.GaussianBlur(SCENE, (0, 0), 1.0)), xy)
    found = align(smoothed(image), patches, np.arange(len(xy), dtype=np.int32), warps_at(detected))
    known = np.isfinite(found.sigma_px) & (found.sigma_px < 0.5)
    assert known.mean() > 0.85
    errors = np.linalg.norm(found.warps[:, :2] - truth, axis=1)[known]
    assert np.median(errors) < 0.12
    assert np.median(errors) < 0.2 * np.median(np.linalg.norm(detected - truth, axis=1))


def test_what_cannot_be_found_is_said() -> None:
    flat = np.full((240, 320), 90, np.uint8)
    xy = np.array([[100, 100], [4, 100], [150, 120]], np.float32)
    rows = np.arange(3, dtype=np.int32)
    patches = cut_patches(smoothed(SCENE), xy)
    assert np.isnan(patches.pixels[1]).all()
    outside = warps_at(np.array([[100, 100], [100, 100], [-500, 1e9]], np.float32))
    found = align(smoothed(SCENE), patches, rows, outside)
    assert np.isfinite(found.sigma_px[0])
    assert np.isnan(found.sigma_px[1:]).all()
    assert np.isnan(found.correlations[1:]).all()
    textureless = align(smoothed(flat), cut_patches(smoothed(flat), xy), rows, warps_at(xy))
    assert not (textureless.correlations >= 0.8).any()


def test_no_points_and_threads() -> None:
    image = smoothed(SCENE)
    none = np.empty((0, 2), np.float32)
    nothing = align(image, cut_patches(image, none), np.empty(0, np.int32), np.empty((0, 6), np.float32))
    assert len(nothing.sigma_px) == 0
    xy = random_points(300)
    patches, rows = cut_patches(image, xy), np.arange(300, dtype=np.int32)
    results = [align(image, patches, rows, warps_at(xy + 0.4), threads) for threads in (1, 2, 5)]
    for other in results[1:]:
        np.testing.assert_array_equal(other.warps, results[0].warps)
        np.testing.assert_array_equal(other.sigma_px, results[0].sigma_px)


@pytest.mark.skipif(not INSTRUCTION_SETS, reason="the compiled engine is not built")
def test_arrays_that_do_not_fit_are_refused() -> None:
    image, patches, statistics = smoothed(SCENE), np.zeros((2, 18, 18), np.float32), np.zeros((2, 87))
    settings = (12.0, 0.05, 1.0)
    with pytest.raises(ValueError, match="warps"):
        patch_alignment.align_patches(image, patches, statistics, np.zeros(2), np.zeros((3, 6)), settings)
    with pytest.raises(ValueError, match="among the 2 patches, got 0 to 2"):
        patch_alignment.align_patches(image, patches, statistics, np.array([0, 2]), np.zeros((2, 6)), settings)
    with pytest.raises(ValueError, match="statistics"):
        patch_alignment.align_patches(image, patches, statistics[:1], np.zeros(2), np.zeros((2, 6)), settings)
    with pytest.raises(ValueError, match="at least 20 pixels"):
        patch_alignment.cut_patches(image[:10], np.zeros((1, 2), np.float32))
    with pytest.raises(ValueError, match="points must be"):
        patch_alignment.cut_patches(image, np.zeros((1, 3), np.float32))


def test_numpy_serves_without_the_library(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def missing() -> None:
        raise cpu_engine.CpuEngineError("not built")

    monkeypatch.setattr(cpu_engine, "library", missing)
    alignment._compiled.cache_clear()
    try:
        xy = random_points(3)
        patches = cut_patches(smoothed(SCENE), xy)
        found = align(smoothed(SCENE), patches, np.arange(3, dtype=np.int32), warps_at(xy + 0.3))
        np.testing.assert_allclose(found.warps[:, :2], xy, atol=0.05)
        assert "hundred times slower: not built" in caplog.text
    finally:
        alignment._compiled.cache_clear()
