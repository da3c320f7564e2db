# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The readable network on a CUDA device against the same on the CPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aliked_ros import Extractor, Features, Frontend
from aliked_ros.frontend.config import MODEL_NAMES

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


@pytest.fixture(autouse=True)
def exact_arithmetic(monkeypatch: pytest.MonkeyPatch) -> None:
    """TF32 keeps ten bits of a product's factors: too few to compare with."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)


def extract(model: str, device: str, precision: str, image: np.ndarray) -> Features:
    options = {"precision": precision, "max_keypoints": 500, "score_threshold": 0.0, "engine": "reference"}
    return Extractor.from_pretrained(model, device=device, **options)(image)  # type: ignore[arg-type]


def nearest(features: Features, reference: Features) -> tuple[np.ndarray, np.ndarray]:
    """For each reference keypoint the distance to the nearest keypoint, and the cosine of their descriptors."""
    distance = np.linalg.norm(reference.keypoints_xy[:, None] - features.keypoints_xy[None], axis=2)
    rows = distance.argmin(1)
    cosine = np.sum(reference.descriptors * features.descriptors[rows], axis=1)
    return distance[np.arange(len(rows)), rows], cosine


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_float32_equals_the_cpu(model: str, textured_image: np.ndarray) -> None:
    distance, cosine = nearest(
        extract(model, "cuda", "fp32", textured_image), extract(model, "cpu", "fp32", textured_image)
    )
    found = distance <= 0.02
    assert found.mean() >= 0.99
    assert cosine[found].min() >= 0.9999


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_stays_close(precision: str, textured_image: np.ndarray) -> None:
    distance, cosine = nearest(
        extract("aliked-n16", "cuda", precision, textured_image), extract("aliked-n16", "cpu", "fp32", textured_image)
    )
    near = distance <= 0.5
    assert near.mean() >= 0.9
    assert np.median(cosine[near]) >= 0.99


def test_the_same_image_gives_the_same_bytes(textured_image: np.ndarray) -> None:
    extractor = Extractor.from_pretrained("aliked-t16", device="cuda", score_threshold=0.0)
    first, second = extractor(textured_image), extractor(textured_image)
    assert first.keypoints_xy.tobytes() == second.keypoints_xy.tobytes()
    assert first.descriptors.tobytes() == second.descriptors.tobytes()


def test_a_sequence_is_tracked(textured_image: np.ndarray) -> None:
    frontend = Frontend(Extractor.from_pretrained("aliked-t16", device="cuda", score_threshold=0.1))
    frontend(textured_image[:200, :300], 0)
    matches = frontend(textured_image[:200, 4:304], 1).matches
    assert matches is not None
    assert np.median(matches.xy_ref[:, 0] - matches.xy[:, 0]) == pytest.approx(4, abs=0.1)
