# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Which of an image's local maxima become keypoints."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Grid:
    """Equal cells over the image, each of which may have so many keypoints."""

    rows: int
    columns: int
    max_per_cell: int


@dataclass(frozen=True, eq=False)
class Selection:
    """What is wanted of an image: of the unmasked maxima above the threshold the strongest, cell by cell and in all.

    A maximum is masked, and belongs to a cell, by the pixel that it lies in after its refinement: where a mask says
    so there is no keypoint, and no cell has more than it may. What is masked takes nothing of any limit.
    """

    max_keypoints: int
    score_threshold: float  # maxima score more than this; 0 leaves the choice to the limits
    grid: Grid | None = None
    mask: NDArray[np.bool_] | None = None  # (H, W), false where no keypoint is wanted
