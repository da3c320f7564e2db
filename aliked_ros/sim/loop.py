# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""A room of 6 by 5 metres; the camera is carried around in it and comes back to where it began, looking outwards."""

from __future__ import annotations

import numpy as np

from aliked_ros.sim.furniture import Wall, boxes_along, flooring, papered, pictures
from aliked_ros.sim.scene import Quad, Scene
from aliked_ros.sim.trajectory import Sway, SwayingGaze

_HALF_X, _HALF_Y, _HEIGHT = 3.0, 2.5, 2.6  # metres
TURN_S = 8.5  # seconds of a turn
_RADIUS = 1.1  # metres, of the camera's path
_GAZE_RADIUS = 2.7  # metres, of what it looks at
_GAZE_LEAD = 0.45  # radians by which it looks ahead


def loop(seed: int) -> Scene:
    """The scene; the seed changes the pictures, the boxes, and how the camera is shaken."""
    rng = np.random.default_rng(seed)
    x, y = _HALF_X, _HALF_Y
    walls = (
        Wall((-x, y), (x, y), 0.95),
        Wall((x, y), (x, -y), 0.8),
        Wall((x, -y), (-x, -y), 0.85),
        Wall((-x, -y), (-x, y), 0.75),
    )
    quads: list[Quad] = [flooring((-x, -y), (x, y), rng)]
    quads += [papered(wall, _HEIGHT, rng) for wall in walls]
    quads += [picture for wall in walls for picture in pictures(wall, 0.95, rng)]
    quads += [side for wall in walls for side in boxes_along(wall, 1.3, rng)]
    return Scene("loop", tuple(quads), _path(rng))


def _path(rng: np.random.Generator) -> SwayingGaze:
    start, shake = rng.uniform(-0.4, 0.4, 2)
    return SwayingGaze(
        position=Sway(
            centre=np.array([0.0, 0.0, 1.3]),
            amplitude=np.array([_RADIUS, _RADIUS, 0.05]),
            period_s=np.array([TURN_S, TURN_S, 1.7]),
            phase=np.array([start + np.pi / 2, start, shake]),
        ),
        target=Sway(
            centre=np.array([0.0, 0.0, 1.2]),
            amplitude=np.array([_GAZE_RADIUS, _GAZE_RADIUS, 0.2]),
            period_s=np.array([TURN_S, TURN_S, 2.9]),
            phase=np.array([start + _GAZE_LEAD + np.pi / 2, start + _GAZE_LEAD, shake]),
        ),
        roll_deg=3.0,
        roll_period_s=2.7,
    )
