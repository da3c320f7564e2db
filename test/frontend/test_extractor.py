# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import cv2
import numpy as np
import pytest
from image_samples import make_textured_image

from aliked_ros import Extractor
from aliked_ros.errors import ConfigError, DeviceError, ImageError
from aliked_ros.frontend.extractor import ExtractionRequest
from aliked_ros.network import weights


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    return Extractor.from_pretrained(
        "aliked-t16", device="cpu", precision="fp32", score_threshold=0.0, max_keypoints=300
    )


@pytest.fixture(autouse=True)
def usual_limits(extractor: Extractor) -> None:
    extractor.reconfigure(max_keypoints=300, score_threshold=0.0)


def test_features_are_what_the_contract_says(extractor: Extractor, textured_image: np.ndarray) -> None:
    features = extractor(textured_image)
    assert len(features) == 300
    assert features.keypoints_xy.dtype == features.scores.dtype == features.descriptors.dtype == np.float32
    assert features.descriptors.shape == (300, 64)
    np.testing.assert_allclose(np.linalg.norm(features.descriptors, axis=1), 1, atol=1e-5)
    assert (np.diff(features.scores) <= 0).all()
    assert (features.image_width, features.image_height) == (320, 240)
    assert (features.keypoints_xy >= 0).all()
    assert (features.keypoints_xy <= [319, 239]).all()


def test_images_of_any_shapes_together_are_images_alone(extractor: Extractor, textured_image: np.ndarray) -> None:
    mask = np.ones(textured_image.shape[:2], np.uint8)
    mask[:, :100] = 0
    small = make_textured_image(64, 96)
    requests = [
        ExtractionRequest(textured_image, mask),
        ExtractionRequest(small),
        ExtractionRequest(textured_image[:, ::-1]),
        ExtractionRequest(small[..., 0]),
    ]
    together = extractor.extract_batch(requests)
    for features, request in zip(together, requests, strict=True):
        alone = extractor(request.image, request.mask)
        assert features.keypoints_xy.tobytes() == alone.keypoints_xy.tobytes()
        assert features.descriptors.tobytes() == alone.descriptors.tobytes()
    assert extractor.extract_batch([]) == []
    with pytest.raises(ImageError, match="at least 32×32"):
        extractor.extract_batch([*requests, ExtractionRequest(small[:31])])


def test_info_names_what_runs(extractor: Extractor) -> None:
    info = extractor.info
    assert (info.model, info.device, info.precision, info.descriptor_dim) == ("aliked-t16", "cpu", "fp32", 64)
    assert info.weights_sha256 == weights.entry_of("aliked-t16").sha256
    assert info.backend.startswith(("C++ (", "torch, compiled ops", "torch, reference ops"))


def test_the_same_image_gives_the_same_bytes(extractor: Extractor, textured_image: np.ndarray) -> None:
    first, second = extractor(textured_image), extractor(textured_image)
    assert first.keypoints_xy.tobytes() == second.keypoints_xy.tobytes()
    assert first.descriptors.tobytes() == second.descriptors.tobytes()


def test_results_survive_the_next_image(extractor: Extractor, textured_image: np.ndarray) -> None:
    features = extractor(textured_image)
    kept = features.descriptors.copy(), features.keypoints_xy.copy(), features.scores.copy()
    extractor(make_textured_image(240, 320, seed=9))
    for before, after in zip(kept, (features.descriptors, features.keypoints_xy, features.scores), strict=True):
        np.testing.assert_array_equal(before, after)


def test_strides_do_not_matter(extractor: Extractor, textured_image: np.ndarray) -> None:
    expected = extractor(textured_image)
    bgr = np.ascontiguousarray(textured_image[..., ::-1])
    padded = np.zeros((240, 400, 3), np.uint8)
    padded[:, :320] = textured_image
    for view in (bgr[..., ::-1], padded[:, :320], np.asfortranarray(textured_image)):
        assert extractor(view).descriptors.tobytes() == expected.descriptors.tobytes()


def test_grey_is_three_equal_channels(extractor: Extractor, textured_image: np.ndarray) -> None:
    grey = cv2.cvtColor(textured_image, cv2.COLOR_RGB2GRAY)
    expected = extractor(np.repeat(grey[..., None], 3, axis=2))
    assert extractor(grey).descriptors.tobytes() == expected.descriptors.tobytes()


@pytest.mark.parametrize("value", [0, 17, 90, 200, 255])
@pytest.mark.parametrize("shape", [(64, 64), (240, 320), (101, 67)])
def test_a_blank_image_has_no_features(extractor: Extractor, value: int, shape: tuple[int, int]) -> None:
    features = extractor(np.full(shape, value, np.uint8))
    assert len(features) == 0
    assert features.descriptors.shape == (0, 64)


def test_top_k_gives_fewer_where_there_are_fewer(extractor: Extractor) -> None:
    image = np.full((128, 128), 100, np.uint8)
    cv2.rectangle(image, (40, 40), (80, 80), 200, -1)
    extractor.reconfigure(max_keypoints=5000)
    features = extractor(image)
    assert 4 <= len(features) < 1000
    assert features.scores.min() > 0
    # Every keypoint is at the square, none in the blank rest.
    assert features.keypoints_xy.min() > 35
    assert features.keypoints_xy.max() < 85


@pytest.mark.parametrize("shape", [(32, 32), (32, 33), (33, 32), (31 + 32, 65), (32, 640), (400, 37), (129, 127)])
def test_any_size_from_32(extractor: Extractor, shape: tuple[int, int]) -> None:
    features = extractor(make_textured_image(*shape))
    assert len(features) > 0
    assert (features.keypoints_xy <= [shape[1] - 1, shape[0] - 1]).all()


def test_limits_change_with_the_next_image(extractor: Extractor, textured_image: np.ndarray) -> None:
    everything = extractor(textured_image)
    extractor.reconfigure(max_keypoints=10)
    few = extractor(textured_image)
    # The strongest pixels are kept; refinement may then reorder them among weaker ones.
    assert len(few) == 10
    assert set(few.scores.tolist()) < set(everything.scores[:30].tolist())
    extractor.reconfigure(score_threshold=float(everything.scores[100]), max_keypoints=300)
    assert abs(len(extractor(textured_image)) - 100) <= 10  # refinement moves a score a little
    with pytest.raises(ConfigError, match="max_keypoints"):
        extractor.reconfigure(max_keypoints=0)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((31, 64, 3), np.uint8), "at least 32×32 pixels, got 64×31"),
        (np.zeros((0, 0), np.uint8), "at least 32×32 pixels, got 0×0"),
        (np.zeros((64, 64, 4), np.uint8), r"shape \(H, W, 3\) or \(H, W\), got \(64, 64, 4\)"),
        (np.zeros((64,), np.uint8), r"got \(64,\)"),
        (np.zeros((64, 64), np.uint16), "uint8, got uint16"),
        (np.zeros((64, 64, 3), np.float32), "uint8, got float32"),
        ([[1, 2], [3, 4]], "uint8, got list"),
    ],
)
def test_unusable_images_are_refused(extractor: Extractor, image: np.ndarray, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        extractor(image)


def test_score_map_is_for_looking_at(extractor: Extractor, textured_image: np.ndarray) -> None:
    score_map = extractor.score_map(textured_image)
    assert score_map.shape == (240, 320)
    features = extractor(textured_image)
    x, y = np.round(features.keypoints_xy[0]).astype(int)
    assert score_map[y, x] > np.percentile(score_map, 99)


def test_timings_cover_the_call(extractor: Extractor, textured_image: np.ndarray) -> None:
    extractor(textured_image)
    assert set(extractor.last_timings_ms) == {"preprocess", "inference"}
    assert all(value > 0 for value in extractor.last_timings_ms.values())


def test_bfloat16_stays_close(extractor: Extractor, textured_image: np.ndarray) -> None:
    lowered = Extractor.from_pretrained("aliked-t16", device="cpu", precision="bf16", score_threshold=0.0)
    assert lowered.info.precision == "bf16"
    exact, close = extractor(textured_image), lowered(textured_image)
    distance = np.linalg.norm(exact.keypoints_xy[:100, None] - close.keypoints_xy[None], axis=2)
    assert (distance.min(1) < 0.5).mean() > 0.9
    cosine = np.sum(exact.descriptors[:100] * close.descriptors[distance.argmin(1)], axis=1)
    assert np.median(cosine) > 0.98


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "tpu"}, "auto, cpu, cuda or cuda:N, got 'tpu'"),
        ({"device": "mps"}, "auto, cpu, cuda or cuda:N"),
        ({"device": "cpu", "precision": "fp16"}, "needs a CUDA device"),
        ({"device": "cuda:99"}, "cuda:99"),
    ],
)
def test_impossible_devices_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(DeviceError, match=message):
        Extractor.from_pretrained("aliked-t16", **options)  # type: ignore[arg-type]


def test_a_slower_path_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    from aliked_ops.cpu_engine import CpuEngineError

    from aliked_ros.engine import select

    def missing(*_arguments: object) -> object:
        raise CpuEngineError("no compiled CPU engine at nowhere")

    monkeypatch.setattr(select, "CpuEngine", missing)
    fallback = Extractor.from_pretrained("aliked-t16", device="cpu", precision="fp32")
    assert fallback.info.warnings[0].endswith("no compiled CPU engine at nowhere")
    with pytest.raises(DeviceError, match="nowhere"):
        Extractor.from_pretrained("aliked-t16", device="cpu", engine="fast")
