# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What makes two projection matrices a pair."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from aliked_ros.camera import Camera
from aliked_ros.errors import CalibrationError
from aliked_ros.rectified import pair_baseline_m

LEFT = Camera(1241, 376, 718.856, 718.856, 607.1928, 185.2157)  # KITTI odometry's first


def test_a_pair_has_a_baseline() -> None:
    assert pair_baseline_m(LEFT, LEFT, (-386.1448, 0.0), "calib") == pytest.approx(0.5372, abs=1e-4)
    # The coloured cameras, which are a few millimetres apart in height.
    coloured = (-333.4597 - 45.38225, 2.201936 + 0.1130887)
    assert pair_baseline_m(LEFT, LEFT, coloured, "calib") == pytest.approx(0.527, abs=1e-4)


@pytest.mark.parametrize(
    ("change", "shift", "what"),
    [
        ({}, (0.0, 0.0), "holds no baseline; .*, got 0.0"),
        ({}, (math.nan, 0.0), "holds no baseline"),
        ({}, (-386.0, math.inf), "holds no baseline"),
        ({}, (386.0, 0.0), "0.537 m to the left of the first; swap them"),
        ({}, (-1.0, -386.0), "0.537 m below the first and 0.001391 m beside it"),
        ({}, (-0.1, 0.0), "0.0001391 m is not in .*; is it metres"),
        ({}, (-386000.0, 0.0), "537 m is not in"),
        ({"cx": 597.0}, (-386.0, 0.0), "not a rectified pair's: .*cx 607.193.* and .*cx 597, .*; rectify both"),
        ({"cy": 186.0}, (-386.0, 0.0), "not a rectified pair's"),
        ({"fx": 700.0}, (-386.0, 0.0), "not a rectified pair's"),
        ({"height": 375}, (-386.0, 0.0), "not a rectified pair's: 1241×376 .* and 1241×375"),
    ],
)
def test_what_is_none_is_named(change: dict[str, Any], shift: tuple[float, float], what: str) -> None:
    with pytest.raises(CalibrationError, match=f"^calib: .*{what}"):
        pair_baseline_m(LEFT, dataclasses.replace(LEFT, **change), shift, "calib")
