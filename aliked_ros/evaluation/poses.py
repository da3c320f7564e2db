# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Relative poses of image pairs, from a list as SuperGlue (arXiv 1911.11763) publishes it for ScanNet and YFCC.

Each line holds two image names below the images' folder, their rotations in quarter turns, the intrinsics of both (9
numbers each, by rows), and the pose T_0to1 (16, by rows) that takes points of the first camera's frame to the second's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from aliked_ros.bench.relative_pose import (
    FAILED_DEG,
    RelativePose,
    estimate_relative_pose,
    pose_auc,
    pose_error_deg,
)
from aliked_ros.camera import Camera
from aliked_ros.engine.base import Image
from aliked_ros.errors import ConfigError, SourceError
from aliked_ros.evaluation.metrics import accuracy
from aliked_ros.evaluation.numbers import parse_numbers, read_lines
from aliked_ros.evaluation.report import Chart, Report, Table
from aliked_ros.features import Features, Float32Array
from aliked_ros.frontend.extractor import MIN_SIZE_PX
from aliked_ros.frontend.matching import mutual_nearest_neighbours
from aliked_ros.io.images import read_image

THRESHOLDS_DEG = (5.0, 10.0, 20.0)
_COLUMNS = 2 + 2 + 9 + 9 + 16
_TURNS = 4
Extract = Callable[[Image], Features]


@dataclass(frozen=True, eq=False)
class Pair:
    """One line of the list."""

    names: tuple[str, str]
    quarter_turns: tuple[int, int]  # counter-clockwise, that make the images upright
    intrinsics: tuple[NDArray[np.float64], NDArray[np.float64]]  # (3, 3) each, of the images as they are
    pose: RelativePose  # takes points of the first camera's frame to the second's


@dataclass(frozen=True)
class PairResult:
    """What one method did with one pair."""

    names: tuple[str, str]
    num_matches: int
    rotation_error_deg: float
    translation_error_deg: float

    @property
    def error_deg(self) -> float:
        """The larger of both."""
        return max(self.rotation_error_deg, self.translation_error_deg)


def read_pairs(path: Path, images: Path) -> list[Pair]:
    """The pairs of a list, whose images exist.

    Raises:
        SourceError: the list cannot be read, a line is wrong or an image is missing: which, and how.
    """
    pairs = []
    for number, line in read_lines(path):
        where, texts = f"{path}, line {number}", line.split()
        if len(texts) != _COLUMNS:
            raise SourceError(
                f"{where}: has {len(texts)} columns, needs {_COLUMNS}: two names, two rotations, K0 (9), K1 (9), "
                "T_0to1 (16); lists without ground truth cannot be evaluated"
            )
        pairs.append(_pair((texts[0], texts[1]), parse_numbers(texts[2:], where), where))
        for name in pairs[-1].names:
            if not (images / name).is_file():
                raise SourceError(f"{where}: {images / name} is no file; give the images' folder")
    if not pairs:
        raise SourceError(f"{path}: holds no pair")
    return pairs


def _pair(names: tuple[str, str], numbers: list[float], where: str) -> Pair:
    turns = (int(numbers[0]), int(numbers[1]))
    if turns != tuple(numbers[:2]) or not all(0 <= turn < _TURNS for turn in turns):
        raise SourceError(f"{where}: rotations are quarter turns from 0 to 3, got {numbers[0]:g} and {numbers[1]:g}")
    first, second = (np.array(numbers[at : at + 9]).reshape(3, 3) for at in (2, 11))
    pose = np.array(numbers[20:]).reshape(4, 4)
    for name, intrinsics in (("K0", first), ("K1", second)):
        if intrinsics[0, 0] <= 0 or intrinsics[1, 1] <= 0 or not np.allclose(intrinsics[2], [0, 0, 1]):
            raise SourceError(f"{where}: {name} is no camera matrix: {intrinsics.ravel().tolist()}")
        if intrinsics[0, 1] != 0 or intrinsics[1, 0] != 0:
            raise SourceError(f"{where}: {name} has a skew of {intrinsics[0, 1]:g}, which no camera here has")
    rotation = pose[:3, :3]
    is_rotation = np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-2) and np.linalg.det(rotation) > 0
    if not is_rotation or not np.allclose(pose[3], [0, 0, 0, 1]):
        raise SourceError(
            f"{where}: T_0to1 is no rigid transformation: its rotation is not orthonormal, or a reflection"
        )
    return Pair(names, turns, (first, second), RelativePose(rotation, pose[:3, 3]))


def evaluate(
    pairs: Sequence[Pair],
    images: Path,
    extract: Extract,
    min_similarity: float,
    done: Callable[[], object],
    longest_px: int = 0,
) -> list[PairResult]:
    """Extracts, matches and estimates the pose of every pair; calls ``done`` after each.

    Args:
        pairs: from :func:`read_pairs`.
        images: the folder that their names are below.
        extract: finds features.
        min_similarity: of a match.
        done: is called after each pair.
        longest_px: images are scaled down to this longer side first; 0 leaves them. Errors are in pixels of the files.

    Raises:
        ConfigError: longest_px is negative.
    """
    if longest_px != 0 and longest_px < MIN_SIZE_PX:
        raise ConfigError(f"the longer side must be at least {MIN_SIZE_PX}, or 0 for the files' own, got {longest_px}")
    results = []
    for pair in pairs:
        read = [read_image(images / name) for name in pair.names]
        before, after = (
            upright_features(image, turns, extract, longest_px)
            for image, turns in zip(read, pair.quarter_turns, strict=True)
        )
        cameras = [_camera(matrix, image) for matrix, image in zip(pair.intrinsics, read, strict=True)]
        matches = mutual_nearest_neighbours(after, before, min_similarity)
        found = estimate_relative_pose(matches, cameras[1], camera_ref=cameras[0])
        errors = (FAILED_DEG, FAILED_DEG) if found is None else pose_error_deg(found, pair.pose)
        # The direction of an essential matrix's translation is known up to its sign only.
        translation = min(errors[1], 180.0 - errors[1]) if found is not None else FAILED_DEG
        results.append(PairResult(pair.names, len(matches), errors[0], translation))
        done()
    return results


def upright_features(image: Image, quarter_turns: int, extract: Extract, longest_px: int = 0) -> Features:
    """The features of an image turned upright and scaled down, at their pixels in the image as it is."""
    height, width = image.shape[:2]
    scale = min(1.0, longest_px / max(height, width)) if longest_px else 1.0
    size = (round(width * scale), round(height * scale))
    scaled = image if scale == 1.0 else np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    features = extract(np.ascontiguousarray(np.rot90(scaled, quarter_turns)))
    xy = turned_back(features.keypoints_xy, quarter_turns, size)
    factors = np.array([width / size[0], height / size[1]], np.float32)
    xy = ((xy + 0.5) * factors - 0.5).astype(np.float32)  # (0, 0) is a pixel's centre
    return Features(xy, features.scores, features.descriptors, width, height)


def turned_back(xy: Float32Array, quarter_turns: int, size: tuple[int, int]) -> Float32Array:
    """Where pixels (N, 2) of ``np.rot90(image, quarter_turns)`` are in the image itself, of size (width, height)."""
    width, height = size
    x, y = xy.T
    places = {0: (x, y), 1: (width - 1 - y, x), 2: (width - 1 - x, height - 1 - y), 3: (y, height - 1 - x)}
    return np.stack(places[quarter_turns % _TURNS], 1).astype(np.float32)


def _camera(matrix: NDArray[np.float64], image: Image) -> Camera:
    values = (float(matrix[0, 0]), float(matrix[1, 1]), float(matrix[0, 2]), float(matrix[1, 2]))
    return Camera(image.shape[1], image.shape[0], *values)


def report(results: dict[str, list[PairResult]], settings: dict[str, object]) -> Report:
    """AUC at 5, 10 and 20 degrees, and recall over error."""
    summary = {}
    for name, pairs in results.items():
        errors = [result.error_deg for result in pairs]
        summary[name] = {
            **{f"auc_{limit:g}deg": pose_auc(errors, limit) for limit in THRESHOLDS_DEG},
            "median_deg": float(np.median(errors)),
            "num_matches_mean": float(np.mean([result.num_matches for result in pairs])),
        }
    header = ("", *(f"AUC {limit:g}°" for limit in THRESHOLDS_DEG), "median error", "matches")
    rows = tuple(
        (name, *(f"{100 * v[f'auc_{limit:g}deg']:.1f} %" for limit in THRESHOLDS_DEG), f"{v['median_deg']:.2f}°",
         f"{v['num_matches_mean']:.0f}")
        for name, v in summary.items()
    )  # fmt: skip
    count = len(next(iter(results.values())))
    limits = np.linspace(0.5, 20, 40).tolist()
    recall = {name: (limits, [accuracy([r.error_deg for r in pairs], limit) for limit in limits])
              for name, pairs in results.items()}  # fmt: skip
    chart = Chart("Relative poses", "error of the pose, degrees", "share of pairs", recall)
    tables = (Table(f"Relative poses: {count} pairs", header, rows),)
    return Report("Relative poses", settings, {"summary": summary, "pairs": results}, tables, (chart,))
