# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Masks as users name them: an image file, or polygons in one line of text."""

from __future__ import annotations

import re

import numpy as np

from aliked_ros.errors import ConfigError, SourceError
from aliked_ros.io.folders import expanded
from aliked_ros.io.images import read_image
from aliked_ros.mask import ImageMask, PolygonMask, ViewMask

_POLYGONS = re.compile(r"[\d\s.,;+-]+")  # no path looks like that
_LOSSY = (".jpg", ".jpeg")


def mask_named(text: str) -> ViewMask:
    """The mask that a user names.

    Args:
        text: an image file, black where nothing is wanted, also with ~ or as a ``file://`` URL; or the corners of a
            polygon to ignore, in pixels, such as ``0,400 640,400 640,480 0,480``, with ``;`` between several polygons.

    Raises:
        SourceError: the file cannot be read.
        ConfigError: the mask hides everything, the file's format does not keep black black, or the text is no polygon.
    """
    if _POLYGONS.fullmatch(text):
        return PolygonMask(tuple(_polygon(part) for part in text.split(";") if part.strip()))
    path = expanded(text.removeprefix("file://"), "mask")
    if path.suffix.lower() in _LOSSY:
        raise ConfigError(f"{path}: JPEG does not keep the zeros of a mask; save it as PNG")
    if not path.is_file():
        raise SourceError(f"{path}: no such mask; name an image file, or corners such as 0,400 640,400 640,480")
    image = read_image(path)
    try:
        return ImageMask(np.asarray(np.atleast_3d(image).any(axis=2), np.bool_))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _polygon(text: str) -> tuple[tuple[float, float], ...]:
    try:
        corners = [tuple(map(float, corner.split(","))) for corner in text.split()]
        return tuple((x, y) for x, y in corners)
    except ValueError as error:
        raise ConfigError(
            f"a polygon's corners are written x,y with spaces between them, such as 0,400 640,400 640,480; got {text!r}"
        ) from error
