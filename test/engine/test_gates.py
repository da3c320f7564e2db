# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the CPU engine must keep, seen from outside: poses found with its features, and its memory.

The gates on keypoints, descriptors and matches are in test_parity.py (float32) and test_cpu_engine.py (bfloat16).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from aliked_ops import cpu_engine as library
from image_samples import make_textured_image

from aliked_ros import Extractor
from aliked_ros.bench.candidates import OURS, Candidate
from aliked_ros.bench.memory import peak_mb
from aliked_ros.bench.peak import own_resident_mb
from aliked_ros.bench.relative_pose import AUC_THRESHOLDS_DEG, evaluate_relative_poses
from aliked_ros.camera import TUM_CAMERAS
from aliked_ros.frontend.config import MODEL_NAMES
from aliked_ros.io.frames import Frame
from aliked_ros.io.sources.opening import open_source

try:
    INSTRUCTION_SETS = library.instruction_sets()
except library.CpuEngineError as error:
    pytest.skip(f"{error}", allow_module_level=True)

PRECISIONS = [
    "fp32",
    pytest.param(
        "bf16",
        marks=pytest.mark.skipif("avx512bf16" not in INSTRUCTION_SETS, reason="this processor has no AVX512_BF16"),
    ),
]
MAX_OVER_TORCH_MB = 150.0
MAX_GROWTH_MB = 4.0
FP32_POINTS, BF16_POINTS = 0.5, 1.0  # of AUC: against the readable network, and against float32

AucOf = Callable[[str, str, str], list[float]]


@pytest.fixture(scope="module")
def desk_sequence(shared_directory: Path) -> list[Frame]:
    """freiburg2_desk with the poses that motion capture gave."""
    with open_source(str(shared_directory / "data" / "tum_fr2_desk")) as source:
        frames = list(source)
    assert sum(frame.pose_world_from_camera is not None for frame in frames) == 20
    return frames


@pytest.fixture(scope="module")
def auc_of(desk_sequence: list[Frame]) -> AucOf:
    """AUC at 5° and 10° in percentage points, of a model, an engine and a precision."""
    known: dict[tuple[str, str, str], list[float]] = {}

    def evaluate(model: str, engine: str, precision: str) -> list[float]:
        key = (model, engine, precision)
        if key not in known:
            extractor = Extractor.from_pretrained(model, device="cpu", engine=engine, precision=precision)
            result = evaluate_relative_poses(desk_sequence, extractor, TUM_CAMERAS["fr2"], gap=3)
            assert len(result.errors_deg) == 17
            known[key] = [result.auc_percent(threshold) for threshold in AUC_THRESHOLDS_DEG]
        return known[key]

    return evaluate


@pytest.mark.golden
@pytest.mark.parametrize("model", MODEL_NAMES)
def test_relative_poses_of_float32_are_those_of_the_readable_network(model: str, auc_of: AucOf) -> None:
    readable = auc_of(model, "reference", "fp32")
    assert readable[0] > 35  # a network that finds nothing would agree, too
    assert auc_of(model, "fast", "fp32") == pytest.approx(readable, abs=FP32_POINTS)


@pytest.mark.golden
@pytest.mark.skipif("avx512bf16" not in INSTRUCTION_SETS, reason="this processor has no AVX512_BF16")
@pytest.mark.parametrize("model", MODEL_NAMES)
def test_relative_poses_of_bfloat16_are_those_of_float32(model: str, auc_of: AucOf) -> None:
    expected = auc_of(model, "fast", "fp32")
    assert auc_of(model, "fast", "bf16") == pytest.approx(expected, abs=BF16_POINTS)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_memory_of_a_process_that_extracts(precision: str) -> None:
    image = make_textured_image(480, 640)
    # The network with the largest maps and the most sample positions, at threshold 0: 1000 keypoints.
    candidate = Candidate(OURS, 2, 1000, "aliked-n32", precision, score_threshold=0.0)
    assert peak_mb(candidate, image) - peak_mb(None, image) <= MAX_OVER_TORCH_MB


@pytest.mark.parametrize("precision", PRECISIONS)
def test_memory_does_not_grow_over_hundreds_of_frames(precision: str) -> None:
    extractor = Extractor.from_pretrained(
        "aliked-t16", device="cpu", engine="fast", precision=precision, max_keypoints=1000, score_threshold=0.05
    )
    images = [make_textured_image(height, width, seed=height) for height, width in ((240, 320), (96, 160), (200, 333))]

    def extract(count: int) -> None:
        for i in range(count):
            assert np.isfinite(extractor(images[i % len(images)]).descriptors).all()

    extract(60)
    before = own_resident_mb()
    extract(300)
    assert own_resident_mb() - before <= MAX_GROWTH_MB
