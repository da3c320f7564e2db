# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The CUDA engine against the recorded outputs of the published network, with every model and precision."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Iterator

import numpy as np

from aliked_ros.bench.frames import REAL_FRAMES, load_frames
from aliked_ros.engine.cuda_engine import CudaEngine
from aliked_ros.features import Features
from aliked_ros.frontend.config import MODEL_NAMES
from aliked_ros.network.selection import Selection
from aliked_ros.network.weights import load
from tools.gpu_check.device import precisions
from tools.gpu_check.rows import Row, check, not_run

GOLDEN = REAL_FRAMES.parents[1] / "golden"
# Share of the published keypoints found within a distance, and the lowest cosine of their descriptors.
GATES = {"fp32": (0.995, 0.02, 0.9999), "fp16": (0.98, 0.25, 0.998), "bf16": (0.95, 0.25, 0.98)}
POSE_POINTS = {"fp16": 0.5, "bf16": 1.0}  # of AUC, against float32
POSE_GAPS = (2, 3, 4)  # frames between the two of a pair


def run(options: argparse.Namespace) -> Iterator[Row]:
    """All gates, or the reason why there are none."""
    if not GOLDEN.is_dir():
        yield not_run("gates", "recorded outputs", f"{GOLDEN} is absent")
        return
    _, frames = load_frames()
    available = precisions()
    for precision in GATES:
        if precision not in available:
            yield not_run("gates", precision, "this device's tensor cores lack it")
    engines = {}
    for model in MODEL_NAMES:
        engines[model] = {precision: CudaEngine(load(model), precision) for precision in available}
        for precision, engine in engines[model].items():
            yield golden_row(model, precision, engine, frames)
    for model in MODEL_NAMES if "fp32" in available and not options.quick else ():
        yield from pose_rows(model, engines[model])


def golden_row(model: str, precision: str, engine: CudaEngine, frames: list[np.ndarray]) -> Row:
    """How much of the recorded frame the engine finds again."""
    recorded = np.load(GOLDEN / f"{model}_frame0_threshold.npz")
    features = engine.extract(frames[0], Selection(5000, 0.2))
    share, cosine = agreement(features, recorded["keypoints"], recorded["descriptors"], GATES[precision][1])
    passes = share >= GATES[precision][0] and cosine >= GATES[precision][2]
    note = f"{100 * share:.2f} % within {GATES[precision][1]} px, cosine ≥ {cosine:.5f}"
    return check("gates", f"{model} {precision}", passes, note)


def agreement(
    features: Features, keypoints: np.ndarray, descriptors: np.ndarray, max_distance_px: float
) -> tuple[float, float]:
    """The share of recorded keypoints that are found again, and the lowest cosine of their descriptors.

    The network looks for a descriptor's offsets at the pixel that its keypoint is truncated to. Where that is another
    pixel the descriptor makes a step, however near the positions are; these count as found, their cosines do not.
    """
    distance = np.linalg.norm(keypoints[:, None] - features.keypoints_xy[None], axis=2)
    rows = distance.argmin(1)
    found = distance[np.arange(len(rows)), rows] <= max_distance_px
    same_pixel = (np.trunc(features.keypoints_xy[rows]) == np.trunc(keypoints)).all(1)
    cosine = np.sum(features.descriptors[rows] * descriptors, axis=1)[found & same_pixel]
    return float(found.mean()), float(cosine.min()) if len(cosine) else 0.0


def pose_rows(model: str, engines: dict[str, CudaEngine]) -> list[Row]:
    """Relative poses of a real sequence, of the narrow precisions against float32.

    AUC is a mean over several distances between frames: it makes a step where the error of one of 17 pairs crosses the
    threshold.
    """
    try:
        from aliked_ros.bench.relative_pose import AUC_THRESHOLDS_DEG, evaluate_relative_poses
        from aliked_ros.camera import TUM_CAMERAS
        from aliked_ros.io.sources.opening import open_source
    except ImportError as error:
        return [not_run("gates", f"{model} relative poses", str(error))]
    with open_source(str(REAL_FRAMES)) as source:
        frames = list(source)
    auc = {}
    for precision, engine in engines.items():
        found = {id(frame.image): engine.extract(frame.image, Selection(1000, 0.2)) for frame in frames}
        extract = functools.partial(_look_up, found)
        results = [evaluate_relative_poses(frames, extract, TUM_CAMERAS["fr2"], gap=gap) for gap in POSE_GAPS]
        auc[precision] = [
            float(np.mean([result.auc_percent(threshold) for result in results])) for threshold in AUC_THRESHOLDS_DEG
        ]
    rows = []
    for precision, points in POSE_POINTS.items():
        if precision in auc:
            off = max(abs(a - b) for a, b in zip(auc[precision], auc["fp32"], strict=True))
            note = f"AUC differs by {off:.2f} points from {auc['fp32'][0]:.1f} and {auc['fp32'][1]:.1f} %"
            rows.append(check("gates", f"{model} {precision} relative poses", off <= points, note))
    return rows


def _look_up(found: dict[int, Features], image: np.ndarray) -> Features:
    return found[id(image)]
