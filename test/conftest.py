# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures that every part of the tests shares."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from image_samples import make_textured_image

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session")
def shared_directory() -> Path:
    """Real frames and the published network's outputs, which lie beside the project and not in a user's clone."""
    if not (SHARED / "golden").is_dir():
        pytest.skip(f"{SHARED} is absent: no recorded outputs of the published network to compare with")
    return SHARED


@pytest.fixture(scope="session")
def desk_frames(shared_directory: Path) -> list[np.ndarray]:
    """The 20 frames of freiburg2_desk, (480, 640, 3) RGB."""
    directory = shared_directory / "data" / "tum_fr2_desk"
    names = [line.split()[1] for line in (directory / "rgb.txt").read_text().splitlines() if line[0] != "#"]
    return [cv2.imread(str(directory / name))[..., ::-1] for name in names]


@pytest.fixture(scope="session")
def golden(shared_directory: Path) -> Any:
    """Loads a recorded output by file name."""

    def load(name: str) -> Any:
        path = shared_directory / "golden" / name
        return json.loads(path.read_text()) if path.suffix == ".json" else np.load(path)

    return load


@pytest.fixture(scope="session")
def textured_image() -> np.ndarray:
    """An image with many corners, (240, 320, 3) RGB."""
    return make_textured_image(240, 320)


@pytest.fixture(scope="module")
def one_torch_thread() -> Iterator[None]:
    """torch's threads wait for one another at great length where a machine has other things to do."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
