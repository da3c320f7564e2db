# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Bags, videos, pictures, lists and calibrations, cut and damaged, through what opens them."""

from __future__ import annotations

import random
import shutil
from itertools import islice
from pathlib import Path

import numpy as np

from aliked_ros.camera import Camera
from aliked_ros.errors import AlikedError
from aliked_ros.io.bags.writer import BagWriter
from aliked_ros.io.calibration import read_camera, write_camera
from aliked_ros.io.frames import Frame
from aliked_ros.io.images import read_depth, read_image, write_depth, write_image
from aliked_ros.io.sources.opening import open_source
from aliked_ros.io.tum_writer import TumWriter
from aliked_ros.io.video_writer import VideoWriter
from tools.fuzz.mutation import damaged
from tools.fuzz.outcome import outcome_of, require

_NUM_FRAMES, _MOST_FRAMES = 4, 100
_SIZE = (48, 64)  # height, width
_CAMERA = Camera(64, 48, 50.0, 51.0, 31.5, 23.5, "plumb_bob", (0.1, -0.05, 0.001, 0.002, 0.0))
_START_NS, _PERIOD_NS = 1_311_868_169_163_498_001, 33_333_333
_PICTURES = (".png", ".jpg", ".bmp", ".tiff", ".ppm")


class FileTarget:
    """Damages one file after another and reads what is left.

    Args:
        seed: of all cases.
        folder: for the files, which are made once; it is emptied.
    """

    def __init__(self, seed: int, folder: Path) -> None:
        self._seed = seed
        shutil.rmtree(folder, ignore_errors=True)
        self._folder = folder
        folder.mkdir(parents=True)
        self._kinds = {**_make_sequences(folder), **_make_single_files(folder)}
        self._whole = {path: path.read_bytes() for path, _ in self._kinds.values()}

    def run(self, index: int) -> tuple[str, str]:
        """One file; see Target."""
        rng = random.Random(f"{self._seed}/file/{index}")
        kind = tuple(self._kinds)[index % len(self._kinds)]
        path, opened = self._kinds[kind]
        path.write_bytes(damaged(rng, self._whole[path]) if rng.random() < 0.95 else self._whole[path])
        try:
            _read(kind, opened)
        except AlikedError as error:
            require(bool(str(error)), "refused without a reason")
            return kind, outcome_of(error)
        finally:
            path.write_bytes(self._whole[path])
        return kind, outcome_of(None)

    def close(self) -> None:
        """Removes the files."""
        shutil.rmtree(self._folder)


def _read(kind: str, path: Path) -> None:
    if kind == "calibration":
        read_camera(path)
    elif kind == "depth picture":
        read_depth(path)
    elif kind in _PICTURES:
        read_image(path).sum()
    else:
        with open_source(str(path)) as source:
            for frame in islice(source, _MOST_FRAMES):
                frame.image.sum()


def _make_sequences(folder: Path) -> dict[str, tuple[Path, Path]]:
    """By kind: the file to damage, and what is opened then."""
    frames = [_frame(index) for index in range(_NUM_FRAMES)]
    made: dict[str, tuple[Path, Path]] = {}
    for kind, storage, compression in (
        ("mcap", "mcap", None),
        ("mcap jpeg", "mcap", "jpeg"),
        ("sqlite", "sqlite3", None),
    ):
        bag = folder / kind.replace(" ", "_")
        with BagWriter(bag, _CAMERA, storage=storage, compression=compression) as writer:
            for frame in frames:
                writer.write(frame)
        recorded = next(path for path in bag.iterdir() if path.suffix in (".mcap", ".db3"))
        made[kind], made[f"{kind} metadata"] = (recorded, recorded), (bag / "metadata.yaml", bag)
    with TumWriter(folder / "tum", _CAMERA) as tum:
        for frame in frames:
            tum.write(frame)
    for name in ("rgb.txt", "depth.txt", "camera.yaml"):
        made[f"TUM {name}"] = (folder / "tum" / name, folder / "tum")
    with VideoWriter(folder / "video.mp4", 30.0) as video:
        for frame in frames:
            video.write(frame.image)
    made["video"] = (folder / "video.mp4", folder / "video.mp4")
    return made


def _make_single_files(folder: Path) -> dict[str, tuple[Path, Path]]:
    paths = {suffix: folder / f"picture{suffix}" for suffix in _PICTURES}
    frame = _frame(0)
    for path in paths.values():
        write_image(path, frame.image)
    paths["depth picture"], paths["calibration"] = folder / "depth.png", folder / "calibration.yaml"
    assert frame.depth_m is not None
    write_depth(paths["depth picture"], frame.depth_m)
    write_camera(paths["calibration"], _CAMERA)
    return {kind: (path, path) for kind, path in paths.items()}


def _frame(index: int) -> Frame:
    rng = np.random.default_rng(index)
    depth_m = (rng.integers(1, 65536, _SIZE) / np.float32(5000.0)).astype(np.float32)
    return Frame(_START_NS + index * _PERIOD_NS, rng.integers(0, 256, (*_SIZE, 3), np.uint8), depth_m)
