# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Pictures that tests draw themselves."""

from __future__ import annotations

import cv2
import numpy as np


def make_textured_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Random rectangles on random grey: corners everywhere, at every contrast."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), 90, np.uint8)
    for _ in range(height * width // 400):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        w, h = (int(v) for v in rng.integers(4, 40, 2))
        cv2.rectangle(image, (x, y), (x + w, y + h), tuple(int(c) for c in rng.integers(0, 255, 3)), -1)
    return cv2.GaussianBlur(image, (0, 0), 0.8)
