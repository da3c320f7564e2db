# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""HPatches (arXiv 1704.05939): matching accuracy and estimated homographies of planar scenes.

The folder holds ``i_*`` (light changes) and ``v_*`` (the view changes), each with ``1.ppm`` to ``6.ppm`` and the
homographies ``H_1_2`` to ``H_1_6`` that take pixels of the first image to the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import poselib
from numpy.typing import NDArray

from aliked_ros.engine.base import Image
from aliked_ros.errors import SourceError
from aliked_ros.evaluation.metrics import accuracy, apply_homography, corner_error_px, matching_accuracy
from aliked_ros.evaluation.numbers import read_numbers
from aliked_ros.evaluation.report import Chart, Report, Table
from aliked_ros.features import Features
from aliked_ros.frontend.matching import mutual_nearest_neighbours
from aliked_ros.io.images import IMAGE_SUFFIXES, read_image

THRESHOLDS_PX = (1.0, 3.0, 5.0)
_CURVE_PX = tuple(float(px) for px in range(1, 11))
_RANSAC = {"max_reproj_error": 3.0, "seed": 0, "min_iterations": 1000, "max_iterations": 10000}
_MIN_MATCHES = 4
_KINDS = {"i": "illumination", "v": "viewpoint"}
Extract = Callable[[Image], Features]
Notify = Callable[[], object]


@dataclass(frozen=True, eq=False)
class Scene:
    """One folder of HPatches."""

    name: str
    images: tuple[Path, ...]  # the first is the reference
    homographies: tuple[NDArray[np.float64], ...]  # to each of the others

    @property
    def kind(self) -> str:
        """What changes."""
        return _KINDS[self.name[0]]


@dataclass(frozen=True)
class PairResult:
    """What one method did with one pair of images."""

    scene: str
    image: int  # 2 to 6
    num_features: int  # of the second image
    num_matches: int
    errors_px: tuple[float, ...]  # of each match, by the true homography
    corner_error_px: float  # of the homography estimated from the matches


def read_scenes(folder: Path) -> list[Scene]:
    """The scenes of a folder in HPatches' layout.

    Raises:
        SourceError: there is none, an image is missing, or a homography cannot be read: which line, and why.
    """
    if not folder.is_dir():
        raise SourceError(f"{folder}: no such folder; give the one that holds HPatches' i_* and v_* folders")
    folders = sorted(path for path in folder.iterdir() if path.is_dir() and path.name[:2] in ("i_", "v_"))
    if not folders:
        raise SourceError(f"{folder}: holds no folder i_* or v_*; this is not HPatches' layout")
    return [_read_scene(path) for path in folders]


def _read_scene(folder: Path) -> Scene:
    names = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and path.stem.isdigit())
    numbered = {int(path.stem): path for path in names}
    if 1 not in numbered or len(numbered) < 2:
        raise SourceError(f"{folder}: needs 1.ppm and at least one more image, has {len(numbered)} numbered ones")
    named = {int(path.name.removeprefix("H_1_")) for path in folder.glob("H_1_*") if path.name[4:].isdigit()}
    missing = sorted(({*numbered, *named} | set(range(1, max(numbered) + 1))) - numbered.keys())
    if missing:
        raise SourceError(f"{folder}: image {missing[0]} is missing; take the data set as it was published")
    others = sorted(number for number in numbered if number > 1)
    homographies = tuple(read_homography(folder / f"H_1_{number}") for number in others)
    return Scene(folder.name, (numbered[1], *(numbered[number] for number in others)), homographies)


def read_homography(path: Path) -> NDArray[np.float64]:
    """A homography of three lines of three numbers; SourceError naming the line otherwise."""
    rows = read_numbers(path, 3)
    if len(rows) != 3:
        raise SourceError(f"{path}: a homography has 3 lines of 3 numbers, this has {len(rows)} lines")
    matrix = np.array(rows, np.float64)
    if abs(np.linalg.det(matrix)) < 1e-12:
        raise SourceError(f"{path}: the homography is singular; copy the file again")
    return matrix


def evaluate(scenes: Sequence[Scene], extract: Extract, min_similarity: float, done: Notify) -> list[PairResult]:
    """Extracts, matches and estimates for every pair; calls ``done`` after each scene."""
    results = []
    for scene in scenes:
        results += list(_evaluate_scene(scene, extract, min_similarity))
        done()
    return results


def _evaluate_scene(scene: Scene, extract: Extract, min_similarity: float) -> Iterator[PairResult]:
    first = read_image(scene.images[0])
    reference = extract(first)
    height, width = first.shape[:2]
    for path, truth in zip(scene.images[1:], scene.homographies, strict=True):
        features = extract(read_image(path))
        matches = mutual_nearest_neighbours(features, reference, min_similarity)
        errors = np.linalg.norm(apply_homography(truth, matches.xy_ref) - matches.xy, axis=1)
        estimate = None
        if len(matches) >= _MIN_MATCHES:
            found, info = poselib.estimate_homography(
                matches.xy_ref.astype(np.float64), matches.xy.astype(np.float64), dict(_RANSAC), {}
            )
            estimate = np.asarray(found, np.float64) if info["num_inliers"] >= _MIN_MATCHES else None
        corner = corner_error_px(estimate, truth, width, height)
        errors = np.nan_to_num(errors, nan=np.inf)
        yield PairResult(scene.name, int(path.stem), len(features), len(matches), tuple(errors.tolist()), corner)


def report(results: dict[str, list[PairResult]], settings: dict[str, object]) -> Report:
    """Tables and charts of what each method did, over all scenes and for each kind."""
    kinds = [kind for letter, kind in _KINDS.items() if any(r.scene[0] == letter for r in next(iter(results.values())))]
    tables, summary = [], {}
    for kind in ["all", *kinds]:
        chosen = {name: [r for r in pairs if kind in ("all", _KINDS[r.scene[0]])] for name, pairs in results.items()}
        summary[kind] = {name: _summary(pairs) for name, pairs in chosen.items()}
        tables.append(_table(kind, summary[kind]))
    charts = tuple(
        Chart(title, "threshold, px", label, {name: (_CURVE_PX, [f(pairs, px) for px in _CURVE_PX])
              for name, pairs in results.items()})
        for title, label, f in (
            ("Mean matching accuracy", "share of matches", _mean_accuracy),
            ("Homographies", "share of pairs", lambda pairs, px: accuracy([r.corner_error_px for r in pairs], px)),
        )
    )  # fmt: skip
    return Report("Homographies", settings, {"summary": summary, "pairs": results}, tuple(tables), charts)


def _mean_accuracy(pairs: Sequence[PairResult], threshold_px: float) -> float:
    return float(np.mean([matching_accuracy(np.array(r.errors_px), threshold_px) for r in pairs]))


def _summary(pairs: Sequence[PairResult]) -> dict[str, float]:
    corners = [r.corner_error_px for r in pairs]
    values = {f"mma_{px:g}px": _mean_accuracy(pairs, px) for px in THRESHOLDS_PX}
    values |= {f"homography_{px:g}px": accuracy(corners, px) for px in THRESHOLDS_PX}
    for name in ("num_features", "num_matches"):
        values[f"{name}_mean"] = float(np.mean([getattr(r, name) for r in pairs]))
    return {"pairs": len(pairs), **values}


def _table(kind: str, summary: dict[str, dict[str, float]]) -> Table:
    marks = [f"{px:g} px" for px in THRESHOLDS_PX]
    header = ("", *(f"MMA {mark}" for mark in marks), *(f"homography {mark}" for mark in marks), "features", "matches")
    keys = [f"mma_{px:g}px" for px in THRESHOLDS_PX] + [f"homography_{px:g}px" for px in THRESHOLDS_PX]
    rows = tuple(
        (name, *(f"{100 * values[key]:.1f} %" for key in keys), f"{values['num_features_mean']:.0f}",
         f"{values['num_matches_mean']:.0f}")
        for name, values in summary.items()
    )  # fmt: skip
    pairs = next(iter(summary.values()))["pairs"]
    return Table(f"{kind[0].upper()}{kind[1:]}: {pairs} pairs", header, rows)
