# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""From messages to what a front-end takes: an image, its depth, and what they cost until then."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header

from aliked_ros.errors import AlikedError
from aliked_ros.io.messages.encodings import DepthArray
from aliked_ros.io.messages.stamps import require_valid
from aliked_ros.ros.image_conversions import compressed_image_view, depth_metres, image_view
from aliked_ros.ros.intake import Arrival
from aliked_ros.ros.process import one_line

Tell = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class PreparedImage:
    """An image that can be processed."""

    header: Header
    image: NDArray[np.uint8]  # (H, W, 3) RGB or (H, W) grey, a view of the message
    depth_m: DepthArray | None  # (H, W), or None where none came or what came is unfit
    received_at_s: float  # monotonic
    wait_ms: float
    convert_ms: float
    is_unpaired: bool = False  # another camera is alive and had no image of the moment


def prepare(arrival: Arrival, *, with_depth: bool, tell: Tell) -> PreparedImage:
    """What a front-end takes of an image and its depth.

    Args:
        arrival: the messages.
        with_depth: whether the camera has depth.
        tell: is told why depth that came is unfit.

    Raises:
        AlikedError: the image's message cannot be used.
    """
    started_at_s = time.monotonic()
    header = arrival.message.header
    require_valid(header.stamp)
    convert = compressed_image_view if isinstance(arrival.message, CompressedImage) else image_view
    image = convert(arrival.message)
    depth_m = _depth_m(arrival.depth, image.shape[:2], tell) if with_depth else None
    return PreparedImage(
        header=header,
        image=image,
        depth_m=depth_m,
        received_at_s=arrival.received_at_s,
        wait_ms=1e3 * (started_at_s - arrival.received_at_s),
        convert_ms=1e3 * (time.monotonic() - started_at_s),
        is_unpaired=arrival.is_unpaired,
    )


def _depth_m(message: Any, size: tuple[int, int], tell: Tell) -> DepthArray | None:
    if message is None:
        return None
    try:
        depth_m = depth_metres(message)
    except AlikedError as error:
        tell(f"depth refused: {one_line(error)}")
        return None
    if depth_m.shape == size:
        return depth_m
    tell(
        f"depth refused: it has {depth_m.shape[1]}×{depth_m.shape[0]} pixels and the image {size[1]}×{size[0]}; "
        "register it to the image"
    )
    return None
