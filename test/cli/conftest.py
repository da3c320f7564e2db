# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of several commands need: a small sequence, and a display that nobody looks at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from aliked_ros.sim.config import SimulationConfig
from aliked_ros.sim.simulation import write_sequence


@pytest.fixture(scope="session")
def small_sequence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six frames of 320×240 at 15 Hz, as a TUM directory."""
    directory = tmp_path_factory.mktemp("simulated") / "desk"
    write_sequence(SimulationConfig(width=320, height=240, frames=6, rate_hz=15.0), directory)
    return directory


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A display without a screen: what is shown is kept, and keys come from a list."""
    state: dict[str, Any] = {"shown": [], "keys": [], "visible": 1.0, "closed": False}
    monkeypatch.setenv("DISPLAY", ":99")
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "  GUI:                           QT5\n")
    monkeypatch.setattr(cv2, "namedWindow", lambda *args: None)
    monkeypatch.setattr(cv2, "imshow", lambda title, image: state["shown"].append(np.array(image)))
    monkeypatch.setattr(cv2, "waitKey", lambda wait_ms: state["keys"].pop(0) if state["keys"] else -1)
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *args: state["visible"])
    monkeypatch.setattr(cv2, "destroyAllWindows", lambda: state.update(closed=True))
    return state
