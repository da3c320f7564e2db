# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The compiled CUDA engine against the readable network, on a device and in the emulator that stands for one."""

from __future__ import annotations

import ctypes
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from aliked_ops import cuda_engine as library
from aliked_ops.engine_types import EngineModel, ImageView
from cuda_engines import cuda_library, emulated_library  # noqa: F401  fixtures
from image_samples import make_textured_image
from same_function import MAX_SCORE_ERROR, assert_same_function, bytes_of, nearest

from aliked_ros.engine.cuda_engine import CudaEngine
from aliked_ros.engine.torch_engine import TorchEngine
from aliked_ros.features import Features
from aliked_ros.frontend.config import MODEL_NAMES, ExtractorConfig
from aliked_ros.frontend.matching import mutual_nearest_neighbours, mutual_pairs
from aliked_ros.mask import ImageMask
from aliked_ros.network.selection import Grid, Selection
from aliked_ros.network.weights import load

pytestmark = pytest.mark.usefixtures("one_torch_thread", "cuda_library")
PRECISIONS = ("fp32", "fp16", "bf16")


@pytest.fixture(scope="module")
def engine_of(cuda_library: ctypes.CDLL) -> Any:  # noqa: F811  engines use the library
    """Makes engines, each of them once."""
    known: dict[tuple[str, str], CudaEngine] = {}

    def make(model: str, precision: str = "fp32") -> CudaEngine:
        if (model, precision) not in known:
            known[model, precision] = CudaEngine(load(model), precision)
        return known[model, precision]

    return make


@pytest.fixture(scope="module")
def readable_of() -> Any:
    """Makes readable networks on a CPU, each of them once."""
    known: dict[str, TorchEngine] = {}
    return lambda model: known.setdefault(model, TorchEngine(load(model), torch.device("cpu"), "fp32"))


def assert_mutual_neighbours(features: Features, reference: Features, gate: float) -> None:
    """Pairs are those of exact products, but for products that differ by no more than float32 tells apart."""
    ours = mutual_nearest_neighbours(features, reference, gate)
    products = features.descriptors.astype(np.float64) @ reference.descriptors.astype(np.float64).T
    rows, columns = ours.indices, ours.indices_ref
    assert len(rows) > 30
    np.testing.assert_allclose(ours.similarities, products[rows, columns], atol=4e-6)
    assert (products[rows, columns] >= np.maximum(products.max(1)[rows], products.max(0)[columns]) - 4e-6).all()
    # Each pair that is clearly better than all others of its row and of its column has to be there.
    by_row, by_column = np.sort(products, 1), np.sort(products, 0)
    clear_row = products >= np.maximum(by_row[:, -1:], by_row[:, -2:-1] + 4e-6)
    clear_column = products >= np.maximum(by_column[-1:], by_column[-2:-1] + 4e-6)
    expected = np.argwhere(clear_row & clear_column & (products >= gate + 4e-6))
    assert len(expected) > 30
    assert {*map(tuple, expected.tolist())} <= {*zip(rows.tolist(), columns.tolist(), strict=True)}


@pytest.mark.parametrize("model", MODEL_NAMES)
@pytest.mark.parametrize("size", [(32, 32), (33, 95), (96, 128), (101, 150), (32, 200)])
def test_float32_is_the_readable_network(engine_of: Any, readable_of: Any, model: str, size: tuple[int, int]) -> None:
    fast, readable = engine_of(model), readable_of(model)
    image = make_textured_image(*size, seed=sum(size))
    np.testing.assert_allclose(fast.score_map(image), readable.score_map(image), atol=MAX_SCORE_ERROR)
    for max_keypoints, threshold in ((5000, 0.2), (1000, 0.02), (40, 0.0)):
        ours, theirs = (engine.extract(image, Selection(max_keypoints, threshold)) for engine in (fast, readable))
        # Scores that differ in the last digits may swap places at the limit.
        assert_same_function(ours, theirs, 0.97 if len(theirs) == max_keypoints else 1.0)
        assert (np.diff(ours.scores) <= 0).all()


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
@pytest.mark.parametrize("model", MODEL_NAMES)
def test_narrow_numbers_stay_close(engine_of: Any, readable_of: Any, model: str, precision: str) -> None:
    image = make_textured_image(101, 150)
    ours, theirs = (
        engine.extract(image, Selection(200, 0.0)) for engine in (engine_of(model, precision), readable_of(model))
    )
    rows, distance = nearest(ours, theirs)
    near = distance <= 0.25
    assert near.mean() >= (0.95 if precision == "fp16" else 0.9)
    cosine = np.sum(ours.descriptors[rows] * theirs.descriptors, axis=1)[near]
    assert cosine.min() >= (0.998 if precision == "fp16" else 0.99)


def test_grey_and_strides(engine_of: Any, readable_of: Any) -> None:
    fast, readable = engine_of("aliked-t16"), readable_of("aliked-t16")
    image = make_textured_image(130, 170)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    assert_same_function(fast.extract(grey, Selection(1000, 0.1)), readable.extract(grey, Selection(1000, 0.1)))
    expected = bytes_of(fast.extract(image, Selection(1000, 0.1)))
    wide = np.zeros((130, 200, 3), np.uint8)
    wide[:, 20:190] = image
    for view in (np.ascontiguousarray(image[..., ::-1])[..., ::-1], wide[:, 20:190], np.asfortranarray(image)):
        assert bytes_of(fast.extract(view, Selection(1000, 0.1))) == expected
    flipped = np.ascontiguousarray(image[::-1, ::-1])[::-1, ::-1]  # negative strides
    assert bytes_of(fast.extract(flipped, Selection(1000, 0.1))) == expected
    grey_wide = np.zeros((130, 400), np.uint8)
    grey_wide[:, ::2][:, :170] = grey
    grey_view = grey_wide[:, ::2][:, :170]
    same = (fast.extract(each, Selection(1000, 0.1)) for each in (grey, grey_view))
    assert len({bytes_of(features) for features in same}) == 1


def test_blank_images_have_no_features(engine_of: Any, readable_of: Any) -> None:
    for precision in PRECISIONS:
        features = engine_of("aliked-t16", precision).extract(np.full((64, 96, 3), 77, np.uint8), Selection(500, 0.0))
        assert len(features) == 0
        assert features.descriptors.shape == (0, 64)
    image = make_textured_image(96, 192)
    image[:, :96] = 77
    ours, theirs = (engine("aliked-t16").extract(image, Selection(3000, 0.0)) for engine in (engine_of, readable_of))
    assert ours.keypoints_xy[:, 0].min() > 92
    assert_same_function(ours, theirs, 0.99)


def test_thousands_of_keypoints(engine_of: Any, readable_of: Any) -> None:
    """More than are sorted in shared memory, of a noise that has as many maxima as there can be."""
    image = np.random.default_rng(5).integers(0, 256, (256, 320, 3), np.uint8)
    fast, readable = engine_of("aliked-t16"), readable_of("aliked-t16")
    for count in (3500, 100_000):
        ours, theirs = (engine.extract(image, Selection(count, 0.0)) for engine in (fast, readable))
        assert 3000 < len(theirs) <= count
        assert_same_function(ours, theirs, 0.98)
    # A part of them is found by dividing the scores of all into bins.
    ours, theirs = (engine.extract(image, Selection(100, 0.0)) for engine in (fast, readable))
    assert_same_function(ours, theirs, 0.95)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_same_image_gives_the_same_bytes(engine_of: Any, precision: str) -> None:
    engine, image = engine_of("aliked-n16", precision), make_textured_image(96, 128)
    for grid in (None, Grid(3, 4, 5)):
        results = {bytes_of(engine.extract(image, Selection(500, 0.0, grid))) for _ in range(4)}
        assert len(results) == 1  # step by step at first, as a graph afterwards


def test_images_together_are_images_alone(engine_of: Any) -> None:
    engine = engine_of("aliked-n16", "fp16")
    images = [make_textured_image(96, 128, seed=seed) for seed in range(3)]
    wanted = np.ones((96, 128), np.bool_)
    wanted[:, :40] = False
    selections = [Selection(100, 0.0), Selection(300, 0.05, mask=wanted), Selection(200, 0.0, Grid(2, 2, 10))]
    alone = [bytes_of(engine.extract(image, one)) for image, one in zip(images, selections, strict=True)]
    for _ in range(2):
        together = engine.extract_batch(images, selections)
        assert [bytes_of(features) for features in together] == alone


def test_two_batches_may_be_under_way(engine_of: Any) -> None:
    engine = engine_of("aliked-t16", "fp16")
    images = [make_textured_image(64, 96, seed=seed) for seed in range(8)]
    expected = [engine.extract(image, Selection(300, 0.0)).descriptors.tobytes() for image in images]
    native = engine._engine
    requests = [library.Request(ImageView(image), 300, 0.0) for image in images]
    tickets = [native.submit(requests[:1])]
    found = []
    for request in requests[1:]:
        tickets.append(native.submit([request]))
        found += native.collect(tickets.pop(0))
    with pytest.raises(library.CudaEngineError, match="there is no batch"):
        native.collect(library.Ticket(tickets[0].number + 1, range(1)))
    tickets.append(native.submit(requests[:1]))
    with pytest.raises(library.CudaEngineError, match="two batches are under way"):
        native.submit(requests[:1])
    found += [each for ticket in tickets for each in native.collect(ticket)][:1]
    assert [each.descriptors.tobytes() for each in found] == expected


@pytest.mark.parametrize("model", ["aliked-t16", "aliked-n16"])
def test_matches_are_those_of_a_processor(engine_of: Any, model: str) -> None:
    engine = engine_of(model, "fp16")
    scene = make_textured_image(96, 150)
    previous = None
    for step in range(12):
        image = scene[:, 2 * step : 2 * step + 128]
        features = engine.extract(image, Selection(150 + 10 * (step % 3), 0.0), previous)
        assert (features.mutual is None) == (previous is None)
        if previous is not None:
            for gate in (-1.0, 0.5, 0.9):
                assert_mutual_neighbours(features, previous, gate)
        previous = features


def test_what_an_image_is_matched_to(engine_of: Any) -> None:
    engine, limits = engine_of("aliked-t16"), Selection(100, 0.0)
    images = [make_textured_image(64, 96, seed=seed) for seed in range(12)]
    features = [engine.extract(image, limits) for image in images]
    last, early = features[-1], features[-5]
    again = engine.extract(images[0], limits, early)
    assert again.mutual is not None
    assert again.mutual.reference is early.descriptors
    expected = mutual_pairs(again.descriptors, early.descriptors, -1.0)
    np.testing.assert_array_equal(np.flatnonzero(again.mutual.partners >= 0), expected[0])
    # Matched to another image than the device matched it to, it is matched anew.
    rows = mutual_nearest_neighbours(again, last, -1.0).indices
    np.testing.assert_array_equal(rows, mutual_pairs(again.descriptors, last.descriptors, -1.0)[0])
    assert engine.extract(images[0], limits, features[0]).mutual is None, "the device keeps the last few only"
    assert engine.extract(make_textured_image(96, 96), limits, last).mutual is None, "of this size it has none"
    blank = engine.extract(np.zeros((64, 96, 3), np.uint8), limits, again)
    assert len(mutual_nearest_neighbours(blank, again)) == 0
    after = engine.extract(images[1], limits, blank)
    assert after.mutual is not None
    assert (after.mutual.partners == -1).all()


def test_front_ends_of_two_cameras_share_a_pass(engine_of: Any) -> None:
    pytest.importorskip("poselib", reason="poselib is not installed, and front-ends verify with it")
    from aliked_ros import Extractor, Frontend

    extractor = Extractor(engine_of("aliked-t16"), ExtractorConfig("aliked-t16", max_keypoints=100))
    assert extractor.info.gains_from_batches
    scene = make_textured_image(96, 150)
    wanted = np.ones((96, 128), np.bool_)
    wanted[:, :40] = False
    together, alone = ([Frontend(extractor), Frontend(extractor, mask=ImageMask(wanted))] for _ in range(2))
    for step in range(4):
        images = [scene[:, 2 * step + shift : 2 * step + shift + 128] for shift in (0, 6)]
        requests = [frontend.request(image) for frontend, image in zip(together, images, strict=True)]
        found = extractor.extract_batch(requests)
        for camera, image in enumerate(images):
            result = together[camera](image, step, None, found[camera])
            expected = alone[camera](image, step)
            assert bytes_of(result.features) == bytes_of(expected.features)
            np.testing.assert_array_equal(result.tracks.ids, expected.tracks.ids)
            assert (found[camera].mutual is not None) == (step > 0), "matched on the device, too"


def test_many_sizes_leave_no_trace_and_bounded_memory(engine_of: Any) -> None:
    engine = CudaEngine(load("aliked-t16"), "fp16")
    sizes = ((64, 96), (96, 64), (64, 64), (96, 96), (32, 96), (64, 96), (96, 64))
    images = [make_textured_image(*size) for size in sizes]
    expected = [bytes_of(engine_of("aliked-t16", "fp16").extract(image, Selection(200, 0.0))) for image in images]
    memory = set()
    for _ in range(3):
        for image, features in zip(images, expected, strict=True):
            assert bytes_of(engine.extract(image, Selection(200, 0.0))) == features
        memory.add(engine.memory_bytes)
    assert len(memory) == 1


def test_times_are_measured(engine_of: Any) -> None:
    engine = engine_of("aliked-t16", "fp16")
    images = [make_textured_image(64, 96, seed=seed) for seed in range(4)]
    for options in ({}, {"match": True}, {"batch": 2}, {"batch": 2, "match": True}):
        times = engine.device_times_ms(images, Selection(100, 0.0), 5, **options)
        assert times.shape == (5,)
        assert (times > 0).all()
    stages = engine.stage_ms(images[0], Selection(100, 0.0), 3)
    assert next(iter(stages)) == "block1"
    assert list(stages)[-1] == "match"
    assert min(stages.values()) > 0
    expected = bytes_of(engine.extract(images[0], Selection(100, 0.0)))
    assert bytes_of(engine.extract(images[0], Selection(100, 0.0))) == expected


def test_what_it_refuses(engine_of: Any) -> None:
    engine = engine_of("aliked-t16")
    image, other = make_textured_image(64, 96), make_textured_image(96, 64)
    limits = Selection(10, 0.0)
    with pytest.raises(ValueError, match="one shape"):
        engine.extract_batch([image, other], [limits, limits])
    with pytest.raises(ValueError, match="a mask must be"):
        engine.extract(image, Selection(10, 0.0, mask=np.ones((96, 64), np.bool_)))
    with pytest.raises(ValueError, match="no batches of 2"):
        engine.device_times_ms([image], limits, 1, batch=2)
    tensors = load("aliked-t16").state_dict
    sizes = EngineModel((16, 32, 64, 128), 128, 16)
    with pytest.raises(library.CudaEngineError, match="shorter than the model needs"):
        library.CudaEngine(sizes, lambda name: tensors[name].numpy())
    with pytest.raises(library.CudaEngineError, match="there is no CUDA device 7"):
        CudaEngine(load("aliked-t16"), device_index=7)
    with pytest.raises(library.CudaEngineError, match="precision must be"):
        CudaEngine(load("aliked-t16"), "fp8")


@pytest.mark.golden
@pytest.mark.parametrize("model", MODEL_NAMES)
def test_golden_keypoints_in_float16(engine_of: Any, desk_frames: list[np.ndarray], golden: Any, model: str) -> None:
    engine = engine_of(model, "fp16")
    for name, image, selection in (
        ("crop333x517_threshold", desk_frames[10][40:373, 60:577], Selection(5000, 0.2)),
        ("frame0_threshold", desk_frames[0], Selection(5000, 0.2)),
    ):
        recorded, features = golden(f"{model}_{name}.npz"), engine.extract(image, selection)
        distance = np.linalg.norm(recorded["keypoints"][:, None] - features.keypoints_xy[None], axis=2)
        rows = distance.argmin(1)
        found = distance[np.arange(len(rows)), rows] <= 0.25
        assert found.mean() >= 0.98
        cosine = np.sum(recorded["descriptors"] * features.descriptors[rows], axis=1)
        # The network looks for a keypoint's offsets at the pixel that its position is truncated to: where that is
        # another one, the descriptor makes a step, however near the positions are.
        pixels, recorded_pixels = np.trunc(features.keypoints_xy[rows]), np.trunc(recorded["keypoints"])
        same_pixel = (pixels == recorded_pixels).all(1)
        assert same_pixel[found].mean() >= 0.98
        assert cosine[found & same_pixel].min() >= 0.998
        assert cosine[found].min() >= 0.99
        assert abs(len(features) - len(recorded["keypoints"])) <= 0.02 * len(recorded["keypoints"])


@pytest.mark.golden
@pytest.mark.parametrize("model", MODEL_NAMES)
def test_golden_keypoints_in_float32(engine_of: Any, desk_frames: list[np.ndarray], golden: Any, model: str) -> None:
    recorded = golden(f"{model}_crop333x517_threshold.npz")
    features = engine_of(model).extract(desk_frames[10][40:373, 60:577], Selection(5000, 0.2))
    theirs = Features(
        recorded["keypoints"], recorded["scores"], recorded["descriptors"], 517, 333, recorded["dispersity"]
    )
    assert_same_function(features, theirs, 0.995)
