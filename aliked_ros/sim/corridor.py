# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""A corridor 16 metres long with pictures and boxes along its walls; the camera is carried down it."""

from __future__ import annotations

import numpy as np

from aliked_ros.sim.furniture import Wall, boxes_along, flooring, papered, pictures
from aliked_ros.sim.scene import Quad, Scene
from aliked_ros.sim.trajectory import Sway, SwayingGaze

_LENGTH, _WIDTH, _HEIGHT = 16.0, 2.4, 2.6  # metres
_PERIOD_S = 24.0  # down the corridor, and backwards to where it began
_REACH = 5.2  # metres from the middle that the camera goes to
_AHEAD = 4.0  # metres to where it looks


def corridor(seed: int) -> Scene:
    """The scene; the seed changes the pictures, the boxes, and how the camera is shaken."""
    rng = np.random.default_rng(seed)
    left, right, half = -_LENGTH / 2, _LENGTH / 2, _WIDTH / 2
    sides = (Wall((left, half), (right, half), 0.95), Wall((right, -half), (left, -half), 0.85))
    ends = (Wall((right, half), (right, -half), 0.75), Wall((left, -half), (left, half), 0.75))
    quads: list[Quad] = [flooring((left, -half), (right, half), rng)]
    quads += [papered(wall, _HEIGHT, rng) for wall in (*sides, *ends)]
    quads += [picture for wall in (*sides, *ends) for picture in pictures(wall, 1.1, rng)]
    quads += [side for wall in sides for side in boxes_along(wall, 1.7, rng)]
    return Scene("corridor", tuple(quads), _path(rng))


def _path(rng: np.random.Generator) -> SwayingGaze:
    phase = rng.uniform(-0.4, 0.4, 6)
    # A quarter period early: the camera starts at rest at one end.
    start = -np.pi / 2
    return SwayingGaze(
        position=Sway(
            centre=np.array([0.0, 0.0, 1.3]),
            amplitude=np.array([_REACH, 0.10, 0.04]),
            period_s=np.array([_PERIOD_S, 3.1, 1.3]),
            phase=np.array([start, phase[0], phase[1]]),
        ),
        target=Sway(
            centre=np.array([_AHEAD, 0.0, 1.15]),
            amplitude=np.array([_REACH, 0.7, 0.25]),
            period_s=np.array([_PERIOD_S, 2.6, 1.9]),
            phase=np.array([start, phase[2], phase[3]]),
        ),
        roll_deg=3.0,
        roll_period_s=2.3,
    )
