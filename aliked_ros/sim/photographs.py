# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The photographs that scenes are papered with: files inside the installed scikit-image, never downloaded.

All are in the public domain or CC0 (scikit-image's docstrings in ``skimage.data`` name each source).
"""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aliked_ros.errors import SourceError
from aliked_ros.io.drawing import as_rgb
from aliked_ros.io.images import read_image

FILES = {
    "astronaut": "astronaut.png",
    "brick": "brick.png",
    "camera": "camera.png",
    "chelsea": "chelsea.png",
    "coffee": "coffee.png",
    "coins": "coins.png",
    "grass": "grass.png",
    "gravel": "gravel.png",
    "hubble": "hubble_deep_field.jpg",
    "retina": "retina.jpg",
    "rocket": "rocket.jpg",
    "text": "text.png",
}


@lru_cache(maxsize=len(FILES))
def load_photograph(name: str) -> NDArray[np.uint8]:
    """A photograph, (H, W, 3) RGB, not to be written to.

    Raises:
        SourceError: scikit-image is not installed, or comes without the file.
    """
    # Located, not imported: only the file is needed, and the import takes a second.
    package = importlib.util.find_spec("skimage")
    if package is None or package.origin is None:
        raise SourceError("simulation needs scikit-image's photographs; run `pip install scikit-image`")
    path = Path(package.origin).parent / "data" / FILES[name]
    if not path.is_file():
        raise SourceError(
            f"{path}: this scikit-image comes without the photograph; run `pip install --upgrade scikit-image`"
        )
    photograph = as_rgb(read_image(path))
    photograph.flags.writeable = False
    return photograph
