# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Writes features, matches and pairs as Hierarchical-Localization (hloc) keeps them, in HDF5.

========== ============================================================================================
file       holds
========== ============================================================================================
features   per image a group with its name: ``keypoints`` (N, 2), ``descriptors`` (D, N), ``scores`` (N,),
           ``image_size`` (width, height); the centre of the top-left pixel is (0, 0), as in this project
matches    per pair the group ``NAME0/NAME1``, with ``-`` for every ``/`` in a name: ``matches0`` (N0,), the row
           in the second image of each keypoint of the first or -1, and ``matching_scores0`` (N0,), 0 where there
           is none
pairs.txt  per pair a line ``NAME0 NAME1``
========== ============================================================================================

Source: hloc's extract_features, match_features and utils.parsers (https://github.com/cvg/Hierarchical-Localization).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from aliked_ros.errors import ConfigError, SourceError
from aliked_ros.features import Features, Matches
from aliked_ros.io.export.writer import MatchWriter

FEATURES_NAME, MATCHES_NAME, PAIRS_NAME = "features.h5", "matches.h5", "pairs.txt"

_INT16_MAX = 32767


class HlocWriter(MatchWriter):
    """New files for hloc in a new folder.

    Args:
        directory: the folder to make.
        half: store what is float32 as float16, as hloc does by default; keypoints beyond pixel 512 then lie on a grid
            of half pixels.

    Raises:
        ConfigError: h5py is not installed.
        SourceError: the folder cannot be written.
    """

    def __init__(self, directory: Path, *, half: bool = False) -> None:
        h5py = _h5py()
        self._directory = directory
        self._dtype = np.float16 if half else np.float32
        self._sizes: dict[str, int] = {}  # keypoints, by image
        self._pairs: list[tuple[str, str]] = []
        with self._failures():
            directory.mkdir(parents=True)
            self._features = h5py.File(directory / FEATURES_NAME, "w")
            self._matches = h5py.File(directory / MATCHES_NAME, "w")

    def add_image(self, name: str, features: Features) -> None:
        """Adds an image's features.

        Raises:
            SourceError: the name is taken, or the file cannot be written.
        """
        if name in self._sizes:
            raise SourceError(f"{self._directory}: there is an image {name} already; images need different stamps")
        self._sizes[name] = len(features)
        with self._failures():
            group = self._features.create_group(name)
            group.create_dataset("image_size", data=np.array([features.image_width, features.image_height], np.int64))
            keypoints = group.create_dataset("keypoints", data=features.keypoints_xy.astype(self._dtype))
            group.create_dataset("descriptors", data=features.descriptors.T.astype(self._dtype))
            group.create_dataset("scores", data=features.scores.astype(self._dtype))
            if features.sigma_px is not None and len(features):
                keypoints.attrs["uncertainty"] = float(np.median(features.sigma_px))

    def add_pair(self, name: str, name_ref: str, matches: Matches) -> None:
        """Adds the matches of a pair, also where there are none: hloc looks each pair of the list up.

        Raises:
            SourceError: the file cannot be written.
        """
        # hloc writes int16, which more keypoints than it counts would overflow.
        dtype = np.int16 if self._sizes[name_ref] <= _INT16_MAX else np.int32
        rows, scores = np.full(self._sizes[name], -1, dtype), np.zeros(self._sizes[name], np.float16)
        rows[matches.indices] = matches.indices_ref
        scores[matches.indices] = matches.similarities
        with self._failures():
            group = self._matches.create_group(pair_name(name, name_ref))
            group.create_dataset("matches0", data=rows)
            group.create_dataset("matching_scores0", data=scores)
        self._pairs.append((name, name_ref))

    def close(self) -> None:
        """Completes the files; safe to repeat."""
        lines = [f"{name} {name_ref}\n" for name, name_ref in self._pairs]
        with self._failures():
            self._features.close()
            self._matches.close()
            (self._directory / PAIRS_NAME).write_text("".join(lines), encoding="utf-8")

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SourceError(f"{self._directory}: cannot be written ({error}); choose another folder") from error


def pair_name(name0: str, name1: str) -> str:
    """The group of a pair in the file of matches."""
    return f"{name0.replace('/', '-')}/{name1.replace('/', '-')}"


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise ConfigError("hloc's files are HDF5, and h5py is not installed; `pip install h5py`") from error
    return h5py
