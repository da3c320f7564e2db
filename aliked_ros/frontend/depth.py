# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The depth of features, from a depth image registered to theirs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aliked_ros.errors import ImageError
from aliked_ros.features import Features, Float32Array


def depth_of(features: Features, depth_m: NDArray[np.float32]) -> Float32Array:
    """The depth at the pixel nearest to each feature, (N,) metres; NaN where it is unknown.

    Nothing is interpolated: between a near and a far surface there is no third one.

    Args:
        features: N of them.
        depth_m: (H, W) float32 metres along the optical axis, NaN where unknown; pixels as the image's.

    Raises:
        ImageError: the depth image has another size.
    """
    check_size(features, depth_m)
    height, width = depth_m.shape
    columns, rows = np.rint(features.keypoints_xy).astype(np.intp).T
    return np.asarray(depth_m[rows.clip(0, height - 1), columns.clip(0, width - 1)], np.float32)


def check_size(features: Features, depth_m: NDArray[np.float32]) -> None:
    """Raises ImageError where a depth image, (H, W), has not the size of the image that features are of."""
    if depth_m.shape != (features.image_height, features.image_width):
        height, width = depth_m.shape
        raise ImageError(
            f"depth of {width}×{height} pixels for an image of {features.image_width}×{features.image_height}; "
            "it must be registered to the image"
        )
