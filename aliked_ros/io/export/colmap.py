# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Writes COLMAP's database: cameras, images, keypoints, matches and verified two-view geometries.

The tables are those that every COLMAP from 3.10 on reads; newer ones add their own tables and columns when they open
the file. They are written with Python's sqlite3, so that an export needs no COLMAP; the tests have the real one read
them. Descriptors are left out: the mapper needs none, and COLMAP's own matcher would take them for SIFT's.

Source: COLMAP's documentation, "Database Format".
"""

from __future__ import annotations

import enum
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from aliked_ros.camera import Camera
from aliked_ros.errors import CalibrationError, SourceError
from aliked_ros.features import Features, Matches, ModelType, TwoViewModel
from aliked_ros.io.export.colmap_camera import PIXEL_SHIFT, calibrated, uncalibrated
from aliked_ros.io.export.writer import MatchWriter
from aliked_ros.io.frames import quaternion_xyzw

_PAIR_FACTOR = 2147483647  # of the smaller image id in a pair's id
_SCHEMA = """
CREATE TABLE cameras (
    camera_id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, model INTEGER NOT NULL, width INTEGER NOT NULL,
    height INTEGER NOT NULL, params BLOB, prior_focal_length INTEGER NOT NULL);
CREATE TABLE images (
    image_id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, name TEXT NOT NULL UNIQUE, camera_id INTEGER NOT NULL,
    CONSTRAINT image_id_check CHECK(image_id >= 0 and image_id < 2147483647),
    FOREIGN KEY(camera_id) REFERENCES cameras(camera_id));
CREATE UNIQUE INDEX index_name ON images(name);
CREATE TABLE keypoints (
    image_id INTEGER PRIMARY KEY NOT NULL, rows INTEGER NOT NULL, cols INTEGER NOT NULL, data BLOB,
    FOREIGN KEY(image_id) REFERENCES images(image_id) ON DELETE CASCADE);
CREATE TABLE descriptors (
    image_id INTEGER PRIMARY KEY NOT NULL, rows INTEGER NOT NULL, cols INTEGER NOT NULL, data BLOB,
    FOREIGN KEY(image_id) REFERENCES images(image_id) ON DELETE CASCADE);
CREATE TABLE matches (
    pair_id INTEGER PRIMARY KEY NOT NULL, rows INTEGER NOT NULL, cols INTEGER NOT NULL, data BLOB);
CREATE TABLE two_view_geometries (
    pair_id INTEGER PRIMARY KEY NOT NULL, rows INTEGER NOT NULL, cols INTEGER NOT NULL, data BLOB,
    config INTEGER NOT NULL, F BLOB, E BLOB, H BLOB, qvec BLOB, tvec BLOB);
"""


class Configuration(enum.IntEnum):
    """How a pair was verified; the values are COLMAP's."""

    CALIBRATED = 2  # E, and the relative pose
    UNCALIBRATED = 3  # F
    PLANAR = 4  # H


class ColmapDatabase(MatchWriter):
    """A new database.

    Args:
        path: the file to make; it must not exist.
        camera: the calibration of all images; COLMAP estimates the intrinsics unless given.

    Raises:
        SourceError: the file cannot be written.
        CalibrationError: COLMAP has no such camera.
    """

    def __init__(self, path: Path, camera: Camera | None = None) -> None:
        self._path = path
        self._camera = camera
        self._calibrated = None if camera is None else calibrated(camera)
        self._camera_ids: dict[tuple[int, int], int] = {}
        self._image_ids: dict[str, int] = {}
        with self._failures():
            self._connection = sqlite3.connect(path)
            self._connection.executescript(_SCHEMA)
        self._is_open = True

    def add_image(self, name: str, features: Features) -> None:
        """Adds an image and its keypoints.

        Raises:
            SourceError: the name is taken, or the file cannot be written.
            CalibrationError: the image has another size than the calibration.
        """
        if name in self._image_ids:
            raise SourceError(f"{self._path}: there is an image {name} already; images need different stamps")
        camera_id = self._camera_id(features.image_width, features.image_height)
        image_id = self._insert("images", name=name, camera_id=camera_id)
        self._image_ids[name] = image_id
        keypoints = features.keypoints_xy.astype("<f4") + np.float32(PIXEL_SHIFT)
        self._insert("keypoints", image_id=image_id, rows=len(features), cols=2, data=keypoints.tobytes())

    def add_pair(self, name: str, name_ref: str, matches: Matches) -> None:
        """Adds matches, where there are any, and their two-view geometry, where they were verified.

        Raises:
            SourceError: the file cannot be written.
        """
        if not len(matches):
            return
        pair = _Pair(self._image_ids[name_ref], self._image_ids[name], matches)
        self._insert("matches", pair_id=pair.id, **_rows(pair.rows))
        if matches.model is not None and matches.inliers is not None:
            geometry = pair.geometry(matches.model, self._camera)
            self._insert("two_view_geometries", pair_id=pair.id, **_rows(pair.rows[matches.inliers]), **geometry)

    def close(self) -> None:
        """Writes what is still in memory; safe to repeat."""
        is_open, self._is_open = self._is_open, False
        if is_open:
            with self._failures():
                self._connection.commit()
                self._connection.close()

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        if kind is None:
            self.close()
        else:
            self._connection.close()

    def _camera_id(self, width: int, height: int) -> int:
        size = width, height
        if size not in self._camera_ids:
            camera = self._calibrated or uncalibrated(width, height)
            if (camera.width, camera.height) != size:
                raise CalibrationError(
                    f"the calibration is for {camera.width}×{camera.height} pixels, the image has {width}×{height}; "
                    "give the calibration of these images"
                )
            self._camera_ids[size] = self._insert(
                "cameras",
                model=int(camera.model),
                width=width,
                height=height,
                params=camera.params.astype("<f8").tobytes(),
                prior_focal_length=int(camera.has_prior),
            )
        return self._camera_ids[size]

    def _insert(self, table: str, **values: Any) -> int:
        columns, marks = ", ".join(values), ", ".join("?" * len(values))
        # The names are this module's own; only values come from outside.
        statement = f"INSERT INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608
        with self._failures():
            return int(self._connection.execute(statement, tuple(values.values())).lastrowid or 0)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise SourceError(f"{self._path}: the database cannot be written ({error}); choose another file") from error


class _Pair:
    """Matches as COLMAP stores them: of the image with the smaller id, the first, to the one with the larger."""

    def __init__(self, reference_id: int, image_id: int, matches: Matches) -> None:
        self.is_swapped = image_id < reference_id
        first, second = sorted((reference_id, image_id))
        self.id = _PAIR_FACTOR * first + second
        rows = np.stack([matches.indices_ref, matches.indices], axis=1)  # (M, 2) uint32
        self.rows = rows[:, ::-1] if self.is_swapped else rows
        self._matches = matches

    def geometry(self, model: TwoViewModel, camera: Camera | None) -> dict[str, Any]:
        """The columns of two_view_geometries that hold the model; x2^T E x1 = 0, x2 ~ H x1."""
        to_pixel = np.array([[1, 0, PIXEL_SHIFT], [0, 1, PIXEL_SHIFT], [0, 0, 1]], np.float64)
        from_pixel = np.linalg.inv(to_pixel)
        if model.type is ModelType.ESSENTIAL:
            pose = {} if camera is None else self._pose(model.matrix, camera)
            return {"config": int(Configuration.CALIBRATED), "E": _blob(self._epipolar(model.matrix)), **pose}
        if model.type is ModelType.FUNDAMENTAL:
            matrix = self._epipolar(from_pixel.T @ model.matrix @ from_pixel)
            return {"config": int(Configuration.UNCALIBRATED), "F": _blob(matrix)}
        homography = to_pixel @ model.matrix @ from_pixel
        if self.is_swapped:
            homography = np.linalg.inv(homography)
        return {"config": int(Configuration.PLANAR), "H": _blob(homography)}

    def _epipolar(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        return matrix.T if self.is_swapped else matrix

    def _pose(self, essential: NDArray[np.float64], camera: Camera) -> dict[str, Any]:
        """The second camera from the first, of the four poses that E allows the one with the points in front."""
        inliers = self._matches.inliers
        reference, current = (camera.normalise(xy[inliers]) for xy in (self._matches.xy_ref, self._matches.xy))
        seen = np.isfinite(np.hstack([reference, current])).all(1)
        reference, current = reference[seen], current[seen]
        if not len(reference):  # under this calibration
            return {}
        if self.is_swapped:
            reference, current = current, reference
        points1, points2 = np.asarray(reference, np.float64), np.asarray(current, np.float64)
        matrix = np.ascontiguousarray(self._epipolar(essential))
        _, rotation, translation, _ = cv2.recoverPose(matrix, points1, points2, np.eye(3))
        x, y, z, w = quaternion_xyzw(np.asarray(rotation, np.float64))
        return {"qvec": _blob(np.array([w, x, y, z])), "tvec": _blob(np.asarray(translation, np.float64))}


def _rows(rows: NDArray[np.uint32]) -> dict[str, Any]:
    return {"rows": len(rows), "cols": 2, "data": np.ascontiguousarray(rows, "<u4").tobytes()}


def _blob(matrix: NDArray[np.float64]) -> bytes:
    return np.ascontiguousarray(matrix, "<f8").tobytes()  # row-major
