# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Images seen through known homographies, and what a camera does to them: exact ground truth from real frames."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from aliked_ros.engine.base import Image

_Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Condition:
    """How the second view differs from the first; both have noise."""

    name: str
    rotation_deg: float  # each way, as the other ranges
    scale: float  # largest factor
    perspective: float  # of the homography's last row, 1/pixels
    shift_px: float = 20.0
    noise_sigma: float = 2.0  # grey levels
    blur_px: float = 0.0  # 1-sigma of a Gaussian
    motion_px: float = 0.0  # length of a straight motion blur
    gain: float = 1.0


CONDITIONS = (
    Condition("small motion", 3, 1.03, 1e-5, shift_px=10),
    Condition("viewpoint", 15, 1.2, 1e-4),
    Condition("defocus", 10, 1.1, 1e-4, blur_px=1.2),
    Condition("dark and noisy", 10, 1.1, 1e-4, noise_sigma=4, gain=0.6),
    Condition("motion blur", 5, 1.05, 5e-5, motion_px=4),
)


def random_homography(condition: Condition, size: tuple[int, int], rng: np.random.Generator) -> _Matrix:
    """A homography around the centre of images of (width, height), within the condition's ranges."""
    angle = np.radians(rng.uniform(-condition.rotation_deg, condition.rotation_deg))
    scale = condition.scale ** rng.uniform(-1, 1)
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    x, y = rng.uniform(-condition.shift_px, condition.shift_px, 2)
    tilt = rng.uniform(-condition.perspective, condition.perspective, 2)
    centre: _Matrix = np.array([[1, 0, size[0] / 2], [0, 1, size[1] / 2], [0, 0, 1]], np.float64)
    motion: _Matrix = np.array([[c, -s, x], [s, c, y], [*tilt, 1]], np.float64)
    return np.asarray(centre @ motion @ np.linalg.inv(centre), np.float64)


def warped(image: Image, homography: _Matrix) -> Image:
    """An image seen through a homography, of the same size; black where it does not reach.

    It is warped at twice its size and averaged down, so that it is not aliased.
    """
    height, width = image.shape[:2]
    # A pixel's centre (0, 0) is at (0.5, 0.5) of the image twice as large.
    double: _Matrix = np.array([[2.0, 0.0, 0.5], [0.0, 2.0, 0.5], [0.0, 0.0, 1.0]])
    size = (2 * width, 2 * height)
    large = cv2.warpPerspective(image, double, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    seen = cv2.warpPerspective(large, double @ homography @ np.linalg.inv(double), size, flags=cv2.INTER_CUBIC)
    return np.asarray(cv2.resize(seen, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def degraded(image: Image, condition: Condition, rng: np.random.Generator) -> Image:
    """An image blurred, darkened and with noise as the condition says; nothing moves."""
    light = image.astype(np.float32)
    if condition.blur_px > 0:
        light = np.asarray(cv2.GaussianBlur(light, (0, 0), condition.blur_px), np.float32)
    if condition.motion_px > 0:
        light = np.asarray(cv2.filter2D(light, -1, _motion_kernel(condition.motion_px, rng.uniform(0, np.pi))))
    return noisy(light * np.float32(condition.gain), condition.noise_sigma, rng)


def noisy(light: NDArray[np.float32] | Image, sigma: float, rng: np.random.Generator) -> Image:
    """Grey levels as a sensor with noise of this standard deviation gives them."""
    return np.clip(np.rint(light + rng.normal(0, sigma, light.shape)), 0, 255).astype(np.uint8)


def _motion_kernel(length_px: float, angle: float) -> NDArray[np.float32]:
    """A straight line through the centre, drawn bilinearly, so that its centroid is the centre."""
    half = int(np.ceil(length_px / 2)) + 1
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    for t in np.linspace(-length_px / 2, length_px / 2, 101):
        x, y = half + t * np.cos(angle), half + t * np.sin(angle)
        left, top = int(np.floor(x)), int(np.floor(y))
        fx, fy = x - left, y - top
        kernel[top, left] += (1 - fx) * (1 - fy)
        kernel[top, left + 1] += fx * (1 - fy)
        kernel[top + 1, left] += (1 - fx) * fy
        kernel[top + 1, left + 1] += fx * fy
    return np.asarray(kernel / kernel.sum(), np.float32)
