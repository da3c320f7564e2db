# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""ALIKED features, matches and tracks for robots: the learned visual front-end of a SLAM system.

The names below load on first use, so that parts which need no network (``io``, ``sim``, ``slam``) never import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aliked_ros.camera import Camera
    from aliked_ros.errors import AlikedError
    from aliked_ros.features import Features, Matches, Tracks
    from aliked_ros.frontend.extractor import Extractor
    from aliked_ros.frontend.frontend import FrameResult, Frontend
    from aliked_ros.frontend.matching import mutual_nearest_neighbours

__version__ = "0.1.0"

_EXPORTS = {
    "AlikedError": "aliked_ros.errors",
    "Camera": "aliked_ros.camera",
    "Extractor": "aliked_ros.frontend.extractor",
    "Features": "aliked_ros.features",
    "FrameResult": "aliked_ros.frontend.frontend",
    "Frontend": "aliked_ros.frontend.frontend",
    "Matches": "aliked_ros.features",
    "Tracks": "aliked_ros.features",
    "mutual_nearest_neighbours": "aliked_ros.frontend.matching",
}

__all__ = [
    "AlikedError",
    "Camera",
    "Extractor",
    "Features",
    "FrameResult",
    "Frontend",
    "Matches",
    "Tracks",
    "mutual_nearest_neighbours",
]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(importlib.import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
