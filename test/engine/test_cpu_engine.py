# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The compiled CPU engine against the readable network."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from aliked_ops import cpu_engine as library
from image_samples import make_textured_image
from same_function import assert_same_function, bytes_of

from aliked_ros.engine.cpu_engine import CpuEngine
from aliked_ros.engine.select import create_engine, resolve_precision
from aliked_ros.engine.torch_engine import TorchEngine
from aliked_ros.errors import DeviceError
from aliked_ros.frontend.config import MODEL_NAMES
from aliked_ros.frontend.matching import mutual_pairs, nearest_neighbours_by_numpy
from aliked_ros.network.selection import Selection
from aliked_ros.network.weights import load

try:
    INSTRUCTION_SETS = library.instruction_sets()
except library.CpuEngineError as error:
    pytest.skip(f"{error}", allow_module_level=True)

needs_bfloat16 = pytest.mark.skipif("avx512bf16" not in INSTRUCTION_SETS, reason="this processor has no AVX512_BF16")


def cpu_engine(model: str, threads: int = 2, precision: str = "fp32") -> CpuEngine:
    return CpuEngine(load(model), precision, threads)


@pytest.fixture(scope="module", params=MODEL_NAMES)
def engines(request: pytest.FixtureRequest) -> tuple[CpuEngine, TorchEngine]:
    weights = load(request.param)
    return CpuEngine(weights, threads=2), TorchEngine(weights, torch.device("cpu"), "fp32")


@pytest.mark.parametrize("size", [(32, 32), (33, 31 + 64), (64, 96), (100, 101), (240, 320), (333, 517), (32, 700)])
def test_score_map_and_features(engines: tuple[CpuEngine, TorchEngine], size: tuple[int, int]) -> None:
    fast, readable = engines
    image = make_textured_image(*size, seed=sum(size))
    np.testing.assert_allclose(fast.score_map(image), readable.score_map(image), atol=1e-5)
    for max_keypoints, threshold in ((5000, 0.2), (1000, 0.05), (40, 0.2)):
        ours, theirs = (engine.extract(image, Selection(max_keypoints, threshold)) for engine in engines)
        # Scores that differ in the last digits may swap places at the limit.
        assert_same_function(ours, theirs, 0.97 if len(theirs) == max_keypoints else 1.0)


def test_top_k_of_noise(engines: tuple[CpuEngine, TorchEngine]) -> None:
    image = np.random.default_rng(5).integers(0, 256, (160, 224, 3), np.uint8)
    ours, theirs = (engine.extract(image, Selection(500, 0.0)) for engine in engines)
    assert len(ours) == len(theirs) == 500
    assert_same_function(ours, theirs, 0.98)


def test_grey_and_strides(engines: tuple[CpuEngine, TorchEngine]) -> None:
    fast, readable = engines
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


def test_a_half_blank_image_has_features_in_its_other_half(engines: tuple[CpuEngine, TorchEngine]) -> None:
    image = make_textured_image(128, 256)
    image[:, :128] = 77
    ours, theirs = (engine.extract(image, Selection(3000, 0.0)) for engine in engines)
    assert ours.keypoints_xy[:, 0].min() > 124
    assert_same_function(ours, theirs, 0.99)


@pytest.mark.golden
def test_real_frames(engines: tuple[CpuEngine, TorchEngine], desk_frames: list[np.ndarray]) -> None:
    for image in desk_frames[::7]:
        ours, theirs = (engine.extract(image, Selection(5000, 0.2)) for engine in engines)
        assert_same_function(ours, theirs, 0.998)


def test_the_number_of_threads_changes_nothing() -> None:
    image = make_textured_image(200, 264)
    results = {
        bytes_of(cpu_engine("aliked-n16", threads).extract(image, Selection(1000, 0.05))) for threads in (1, 2, 3, 7)
    }
    assert len(results) == 1


def test_a_change_of_size_leaves_no_trace() -> None:
    engine = cpu_engine("aliked-t16")
    images = [
        make_textured_image(*size) for size in ((96, 128), (200, 75), (64, 64), (160, 192), (192, 160), (96, 128))
    ]
    for image in images:
        used, fresh = (
            engine.extract(image, Selection(1000, 0.05)),
            cpu_engine("aliked-t16").extract(image, Selection(1000, 0.05)),
        )
        assert bytes_of(used) == bytes_of(fresh)


def test_two_engines_in_two_threads_do_not_disturb_each_other() -> None:
    models = ("aliked-t16", "aliked-n16")
    images = [make_textured_image(96 + 8 * i, 160, seed=i) for i in range(8)]
    expected = {
        model: [bytes_of(cpu_engine(model).extract(image, Selection(500, 0.05))) for image in images]
        for model in models
    }
    results: dict[str, list[bytes]] = {}

    def work(model: str) -> None:
        engine = cpu_engine(model)
        results[model] = [bytes_of(engine.extract(image, Selection(500, 0.05))) for image in images]

    workers = [threading.Thread(target=work, args=(model,)) for model in models]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert results == expected


def test_one_engine_serves_callers_in_turn() -> None:
    engine = cpu_engine("aliked-t16")
    images = [make_textured_image(96, 128, seed=i) for i in range(4)]
    expected = [bytes_of(engine.extract(image, Selection(500, 0.05))) for image in images]
    results: list[bytes] = [b""] * len(images)

    def work(i: int) -> None:
        results[i] = bytes_of(engine.extract(images[i], Selection(500, 0.05)))

    workers = [threading.Thread(target=work, args=(i,)) for i in range(len(images))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert results == expected


def test_a_forked_child_extracts_too() -> None:
    engine = cpu_engine("aliked-t16")
    image = make_textured_image(96, 128)
    expected = bytes_of(engine.extract(image, Selection(500, 0.05)))
    child = os.fork()
    if child == 0:
        os._exit(0 if bytes_of(engine.extract(image, Selection(500, 0.05))) == expected else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_memory_does_not_grow() -> None:
    engine = cpu_engine("aliked-t16")
    images = [make_textured_image(64, 96, seed=i) for i in range(4)]
    for i in range(50):
        engine.extract(images[i % 4], Selection(300, 0.0))
    before = _resident_kib()
    for i in range(400):
        engine.extract(images[i % 4], Selection(300, 0.0))
    assert _resident_kib() - before < 2048


def _resident_kib() -> int:
    status = Path("/proc/self/status")
    if not status.is_file():
        return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmRSS"))


@pytest.mark.parametrize("name", INSTRUCTION_SETS)
@pytest.mark.parametrize("model", ["aliked-t16", "aliked-n32"])
def test_every_instruction_set(monkeypatch: pytest.MonkeyPatch, name: str, model: str) -> None:
    image = make_textured_image(101, 150)
    expected = TorchEngine(load(model), torch.device("cpu"), "fp32").extract(image, Selection(1000, 0.05))
    monkeypatch.setenv(library.INSTRUCTION_SET_VARIABLE, name)
    engine = cpu_engine(model)
    assert engine.info.backend == f"C++ ({name})"
    assert_same_function(engine.extract(image, Selection(1000, 0.05)), expected)
    a, b = _unit_rows(77, 128, 1), _unit_rows(130, 128, 2)
    _assert_equal_neighbours(library.nearest_neighbours(a, b), nearest_neighbours_by_numpy(a, b))


def test_an_unknown_instruction_set_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(library.INSTRUCTION_SET_VARIABLE, "avx9000")
    with pytest.raises(library.CpuEngineError, match=r"avx9000.*baseline"):
        cpu_engine("aliked-t16")


def test_the_profile_adds_up() -> None:
    engine = cpu_engine("aliked-t16")
    engine.extract(make_textured_image(96, 128), Selection(100, 0.0))
    assert set(engine.last_profile_ms) == {*library.STAGES, "other"}
    assert sum(engine.last_profile_ms.values()) == pytest.approx(sum(engine.last_timings_ms.values()))
    assert min(engine.last_profile_ms.values()) > 0


def test_weights_of_another_model_are_refused() -> None:
    tensors = load("aliked-t16").state_dict
    sizes = library.EngineModel((16, 32, 64, 128), 128, 16)
    with pytest.raises(library.CpuEngineError, match="shorter than the model needs"):
        library.CpuEngine(sizes, lambda name: tensors[name].numpy())


@pytest.mark.parametrize(
    ("shape", "dtype"), [((31, 64, 3), np.uint8), ((64, 64, 4), np.uint8), ((64, 64), np.float32), ((64,), np.uint8)]
)
def test_other_arrays_are_no_images(shape: tuple[int, ...], dtype: Any) -> None:
    with pytest.raises(ValueError, match="an image must be"):
        library.ImageView(np.zeros(shape, dtype))


def test_without_the_library_the_readable_network_runs() -> None:
    code = """
from aliked_ros.engine.select import create_engine, resolve_precision
from aliked_ros.errors import DeviceError
from aliked_ros.network.weights import load
weights = load("aliked-t16")
info = create_engine(weights, "cpu", "fp32").info
assert info.backend.startswith("torch")
print(info.warnings)
try:
    create_engine(weights, "cpu", "fp32", "fast")
except DeviceError as error:
    print(error)
"""
    environment = {**os.environ, "ALIKED_OPS": "reference"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.count("no compiled CPU engine: ALIKED_OPS=reference is set") == 2


def test_the_choice_of_engine() -> None:
    weights = load("aliked-t16")
    assert create_engine(weights, "cpu", "fp32").info.backend.startswith("C++")
    assert create_engine(weights, "cpu", "fp32", "fast", 1).info.backend.startswith("C++")
    assert create_engine(weights, "cpu", "fp32", "reference").info.backend.startswith("torch")
    with pytest.raises(DeviceError):
        create_engine(weights, "cpu", "fp16")


def test_automatic_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    assert resolve_precision("auto", cpu) == ("bf16" if INSTRUCTION_SETS[0] == "avx512bf16" else "fp32")
    assert resolve_precision("auto", cpu, "reference") == "fp32"
    monkeypatch.setenv(library.INSTRUCTION_SET_VARIABLE, "baseline")
    assert resolve_precision("auto", cpu) == "fp32"
    assert create_engine(load("aliked-t16"), "cpu", "auto").info.backend == "C++ (baseline)"


def _unit_rows(count: int, depth: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, depth)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _assert_equal_neighbours(ours: Any, theirs: Any) -> None:
    np.testing.assert_array_equal(ours[0], theirs[0])
    np.testing.assert_allclose(ours[1], theirs[1], atol=1e-6)
    np.testing.assert_array_equal(ours[2], theirs[2])


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize(("n", "k", "depth"), [(1, 1, 64), (5, 1000, 128), (1000, 3, 64), (257, 341, 128), (40, 33, 7)])
def test_nearest_neighbours(n: int, k: int, depth: int, threads: int) -> None:
    a, b = _unit_rows(n, depth, n), _unit_rows(k, depth, k + 1)
    _assert_equal_neighbours(library.nearest_neighbours(a, b, threads), nearest_neighbours_by_numpy(a, b))


def _gated(neighbours: Any, similarity: np.ndarray, gate: float) -> Any:
    """What a search says that counts nothing below the gate."""
    nearest, best, nearest_of_b = neighbours
    alike, alike_of_b = best >= gate, similarity.max(0) >= gate
    return np.where(alike, nearest, -1), np.where(alike, best, -np.inf), np.where(alike_of_b, nearest_of_b, -1)


@pytest.mark.parametrize("name", INSTRUCTION_SETS)
@pytest.mark.parametrize("noise", [0.1, 0.3])
@pytest.mark.parametrize("gate", [0.3, 0.7, 0.95])
def test_neighbours_below_the_gate_do_not_count(
    monkeypatch: pytest.MonkeyPatch, name: str, noise: float, gate: float
) -> None:
    """Clusters of 1 to 60 rows alike: from tiles in which no pair is left to tiles full of them."""
    monkeypatch.setenv(library.INSTRUCTION_SET_VARIABLE, name)
    rng = np.random.default_rng(5)
    centres = np.repeat(_unit_rows(24, 128, 6), rng.integers(1, 60, 24), 0)
    a, b = (
        rows / np.linalg.norm(rows, axis=1, keepdims=True)
        for rows in (
            (centres + noise * rng.normal(size=centres.shape) / 11).astype(np.float32),
            (centres[rng.permutation(len(centres))[:301]] + noise * rng.normal(size=(301, 128)) / 11).astype(
                np.float32
            ),
        )
    )
    similarity = a @ b.T
    assert np.abs(similarity - gate).min() > 1e-6  # rounding decides nothing
    expected = _gated(nearest_neighbours_by_numpy(a, b), similarity, gate)
    one, two = (library.nearest_neighbours(a, b, threads, gate) for threads in (1, 3))
    _assert_equal_neighbours(one, expected)
    for ours, theirs in zip(one, two, strict=True):
        np.testing.assert_array_equal(ours, theirs)  # to the last bit


def test_a_gate_counts_for_rows_of_any_length() -> None:
    a, b = 30 * _unit_rows(120, 128, 1), _unit_rows(90, 128, 2)
    a[::3] = 40 * b[:40] + 0.1 * a[::3]
    similarity = a @ b.T
    found = library.nearest_neighbours(a, b, 2, 25.0)
    assert 0 < (found[0] >= 0).sum() < len(a)
    expected = _gated(nearest_neighbours_by_numpy(a, b), similarity, 25.0)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-6)
    np.testing.assert_array_equal(found[2], expected[2])


def test_rows_that_are_not_numbers_match_nothing() -> None:
    a = _unit_rows(40, 128, 1)
    a[7] = np.nan
    nearest, best, nearest_of_b = library.nearest_neighbours(a, _unit_rows(40, 128, 1), 1, 0.9)
    assert nearest.tolist() == [*range(7), -1, *range(8, 40)]
    assert nearest_of_b.tolist() == nearest.tolist()
    assert best[7] == -np.inf


@pytest.mark.parametrize("threads", [1, 3])
def test_of_equal_neighbours_the_first_counts(threads: int) -> None:
    # Multiples of 1/8: every product is exact, so that equal rows have equal similarities in any order of summation.
    rng = np.random.default_rng(3)
    a = rng.integers(-4, 5, (300, 64)).astype(np.float32) / 8
    b = np.concatenate([a[::-1], a, a[:50]])
    for first, second in ((a, b), (b, a), (-a, b)):
        found = library.nearest_neighbours(first, second, threads)
        _assert_equal_neighbours(found, nearest_neighbours_by_numpy(first, second))


def test_nearest_neighbours_of_views_and_their_errors() -> None:
    a, b = _unit_rows(60, 256, 1), _unit_rows(70, 256, 2)
    _assert_equal_neighbours(
        library.nearest_neighbours(a[::2, ::2], b[:, :128]), nearest_neighbours_by_numpy(a[::2, ::2], b[:, :128])
    )
    with pytest.raises(ValueError, match="same depth"):
        library.nearest_neighbours(a, b[:, :5])
    with pytest.raises(ValueError, match="not empty"):
        library.nearest_neighbours(a[:0], b)
    assert len(mutual_pairs(a[:0], b, 0.5)[0]) == 0


@needs_bfloat16
@pytest.mark.golden
@pytest.mark.parametrize("model", MODEL_NAMES)
def test_bfloat16_keeps_the_published_accuracy(
    model: str, desk_frames: list[np.ndarray], shared_directory: Path
) -> None:
    engine = cpu_engine(model, precision="bf16")
    golden = shared_directory / "golden"
    crop = desk_frames[10][40:373, 60:577]
    for name, image, limit, threshold in (
        ("frame0_threshold", desk_frames[0], 5000, 0.2),
        ("frame0_top500", desk_frames[0], 500, 0.0),
        ("crop333x517_threshold", crop, 5000, 0.2),
    ):
        recorded = np.load(golden / f"{model}_{name}.npz")
        features = engine.extract(image, Selection(limit, threshold))
        distance = np.linalg.norm(recorded["keypoints"][:, None] - features.keypoints_xy[None], axis=2)
        nearest, found = distance.argmin(1), distance.min(1) <= 0.5
        assert found.mean() >= 0.97
        cosines = np.sum(features.descriptors[nearest[found]] * recorded["descriptors"][found], axis=1)
        assert cosines.min() >= 0.995
    sequence = json.loads((golden / f"{model}_sequence.json").read_text())
    descriptors = [
        engine.extract(image, Selection(sequence["n_limit"], sequence["scores_th"])).descriptors
        for image in desk_frames
    ]
    for i in range(1, len(descriptors)):
        expected = sequence["frames"][i]["matches_to_previous"]
        matches = len(mutual_pairs(descriptors[i], descriptors[i - 1], sequence["similarity_th"])[0])
        assert abs(matches - expected) <= 0.03 * expected


@needs_bfloat16
def test_bfloat16_does_not_depend_on_threads() -> None:
    image = make_textured_image(150, 170)
    results = {
        bytes_of(cpu_engine(model, threads, "bf16").extract(image, Selection(500, 0.05)))
        for model in ("aliked-t16",)
        for threads in (1, 2, 3)
    }
    assert len(results) == 1


def test_bfloat16_without_the_instructions_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(library.INSTRUCTION_SET_VARIABLE, "baseline")
    with pytest.raises(library.CpuEngineError, match="bfloat16 needs instructions that baseline lacks"):
        cpu_engine("aliked-t16", precision="bf16")
