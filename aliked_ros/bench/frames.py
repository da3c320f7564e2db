# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The frames of a benchmark: real ones where they lie, a simulated sequence elsewhere."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from aliked_ros.engine.base import Image
from aliked_ros.errors import SourceError
from aliked_ros.io.sources.opening import open_source
from aliked_ros.sim.config import SimulationConfig
from aliked_ros.sim.simulation import simulate

REAL_FRAMES = Path(__file__).resolve().parents[3] / "shared" / "data" / "tum_fr2_desk"
NUM_FRAMES = 20


def load_frames(source: str = "", num_frames: int = NUM_FRAMES) -> tuple[str, list[Image]]:
    """The first frames of a sequence, (H, W, 3) RGB, and what they are.

    Args:
        source: whatever :func:`aliked_ros.io.sources.opening.open_source` opens; empty takes the frames of
            freiburg2_desk beside the project, or a simulated sequence where there are none.
        num_frames: most frames that are kept in memory.

    Raises:
        SourceError: there is no such sequence, or it is empty.
    """
    if not source and not REAL_FRAMES.is_dir():
        simulated = simulate(SimulationConfig(frames=num_frames))
        return f"{simulated.name}, {num_frames} frames", [frame.image for frame in simulated]
    with open_source(source or str(REAL_FRAMES)) as frames:
        images = [_rgb(frame.image) for frame in islice(frames, num_frames)]
    if not images:
        raise SourceError(f"{source}: holds no frame; choose another sequence")
    return f"{Path(source or REAL_FRAMES).resolve().name}, {len(images)} frames", images


def fit(image: Image, size: tuple[int, int]) -> Image:
    """An image scaled to cover (width, height) and cut to it around its centre, so that nothing is distorted."""
    (height, width), (new_width, new_height) = image.shape[:2], size
    if (width, height) == size:
        return np.ascontiguousarray(image)
    scale = max(new_width / width, new_height / height)
    scaled_size = (max(new_width, round(width * scale)), max(new_height, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    scaled = cv2.resize(image, scaled_size, interpolation=method)
    left, top = (scaled_size[0] - new_width) // 2, (scaled_size[1] - new_height) // 2
    return np.ascontiguousarray(scaled[top : top + new_height, left : left + new_width])


def _rgb(image: Image) -> Image:
    return np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else np.ascontiguousarray(image)
