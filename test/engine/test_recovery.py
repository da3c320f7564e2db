# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Devices that are lost or full: what an engine does about it, shown with engines that fail when told to."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aliked_ros import Extractor
from aliked_ros.engine import recovery
from aliked_ros.engine.base import Engine, EngineInfo, OneAfterAnother
from aliked_ros.engine.recovery import RecoveringEngine, create_recovering_engine, device_fault
from aliked_ros.engine.select import create_engine
from aliked_ros.errors import ConfigError, DeviceError, DeviceLostError, DeviceMemoryError
from aliked_ros.features import Features
from aliked_ros.network.selection import Selection
from aliked_ros.network.weights import load

OUT_OF_MEMORY = torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total of ...")
LOST = RuntimeError("CUDA error: unspecified launch failure\nCUDA kernel errors might be reported later")
LIMITS = Selection(5, 0.2)
IMAGE = np.zeros((64, 64), np.uint8)


class FakeEngine(OneAfterAnother):
    """Finds one feature; raises what it is told to first, an error for each call."""

    def __init__(self, device: str, *errors: Exception | None) -> None:
        self.errors = list(errors)
        self.calls: list[tuple[Any, ...]] = []
        self.info = EngineInfo("aliked-t16", device, "fake", "fp32", 64, Path("weights"), "0" * 64)

    @property
    def last_timings_ms(self) -> Mapping[str, float]:
        return {"preprocess": 0.0, "inference": float(len(self.calls))}

    def extract(self, *arguments: Any) -> Features:
        self.calls.append(arguments)
        self._fail()
        xy = np.full((1, 2), 7 if self.info.device == "cpu" else 3, np.float32)
        return Features(xy, np.ones(1, np.float32), np.ones((1, 64), np.float32) / 8, 64, 64)

    def score_map(self, image: Any) -> Any:
        self._fail()
        return image

    def _fail(self) -> None:
        if self.errors and (error := self.errors.pop(0)) is not None:
            raise error


def found_on(features: Features) -> str:
    return {3.0: "cuda", 7.0: "cpu"}[float(features.keypoints_xy[0, 0])]


def test_memory_is_that_of_what_runs() -> None:
    first, stand_in = FakeEngine("cuda:0", LOST), FakeEngine("cpu")
    first.memory_bytes, stand_in.memory_bytes = 5_000_000, 0
    engine = RecoveringEngine(first, lambda: stand_in)
    assert engine.memory_bytes == 5_000_000
    engine.extract(IMAGE, LIMITS)
    assert engine.memory_bytes == 0
    alone = RecoveringEngine(FakeEngine("cuda:0", LOST))
    with pytest.raises(DeviceLostError):
        alone.extract(IMAGE, LIMITS)
    assert alone.memory_bytes == 0


def test_an_image_that_does_not_fit_is_tried_once_more(caplog: pytest.LogCaptureFixture) -> None:
    fake = FakeEngine("cuda:0", OUT_OF_MEMORY, None, OUT_OF_MEMORY)
    engine: Engine = RecoveringEngine(fake, lambda: pytest.fail("nothing has to stand in"))
    before = engine.info
    with caplog.at_level(logging.WARNING):
        assert found_on(engine.extract(IMAGE, LIMITS)) == "cuda"
        assert engine.info is not before, "who watches the object sees that there is something new"
        assert found_on(engine.extract(IMAGE, LIMITS)) == "cuda"
    assert fake.calls == [(IMAGE, LIMITS)] * 4
    assert engine.last_timings_ms["inference"] == 4
    (warning,) = engine.info.warnings
    assert "second attempt" in warning
    assert "device cuda:0 does not suffice" in warning
    assert engine.info.faults == ()
    assert len(caplog.records) == 1, "said once, not for every image"


@pytest.mark.parametrize(("errors", "attempts"), [((OUT_OF_MEMORY, OUT_OF_MEMORY), 2), ((LOST,), 1)])
def test_a_stand_in_takes_over_with_the_image_in_hand_and_for_good(
    errors: tuple[Exception, ...], attempts: int, caplog: pytest.LogCaptureFixture
) -> None:
    fake, stand_in = FakeEngine("cuda:0", *errors), FakeEngine("cpu")
    engine = RecoveringEngine(fake, lambda: stand_in)
    with caplog.at_level(logging.ERROR):
        assert [found_on(engine.extract(IMAGE, LIMITS)) for _ in range(3)] == ["cpu"] * 3
    assert (len(fake.calls), len(stand_in.calls)) == (attempts, 3)
    assert engine.info.device == "cpu"
    (fault,) = engine.info.faults
    assert fault.startswith("cpu runs instead, more slowly: ")
    assert "cuda:0" in fault
    assert [record.getMessage() for record in caplog.records] == [fault]


class Batches(FakeEngine):
    """Has room for so many images at once."""

    room = 2

    def extract_batch(self, images: Any, selections: Any, references: Any) -> list[Features]:
        if len(images) > self.room:
            raise OUT_OF_MEMORY
        return super().extract_batch(images, selections, references)


def test_images_that_do_not_fit_together_are_tried_one_after_another() -> None:
    fake = Batches("cuda:0")
    engine = RecoveringEngine(fake, lambda: pytest.fail("nothing has to stand in"))
    for count in (2, 3):
        found = engine.extract_batch([IMAGE] * count, [LIMITS] * count, [None] * count)
        assert [found_on(features) for features in found] == ["cuda"] * count
    assert len(fake.calls) == 5


def test_a_stand_in_takes_over_with_all_images_in_hand() -> None:
    fake, stand_in = FakeEngine("cuda:0", None, *[LOST] * 2), FakeEngine("cpu")
    engine = RecoveringEngine(fake, lambda: stand_in)
    for _ in range(2):
        found = engine.extract_batch([IMAGE] * 2, [LIMITS] * 2, [None] * 2)
        assert [found_on(features) for features in found] == ["cpu"] * 2
    assert len(fake.calls) == 3, "the lost device was tried once more alone, and then left alone"
    lost = RecoveringEngine(FakeEngine("cuda:0", *[LOST] * 2))
    for _ in range(2):
        with pytest.raises(DeviceLostError, match="device cuda:0 is lost"):
            lost.extract_batch([IMAGE] * 2, [LIMITS] * 2, [None] * 2)


def test_the_failed_engine_is_released() -> None:
    fake = FakeEngine("cuda:0", RuntimeError(str(LOST)))
    engine, released = RecoveringEngine(fake, lambda: FakeEngine("cpu")), weakref.ref(fake)
    del fake
    engine.extract(IMAGE, LIMITS)
    gc.collect()
    assert released() is None


def test_without_a_stand_in_memory_may_suffice_again_and_a_lost_device_is_left_alone() -> None:
    fake = FakeEngine("cuda:0", OUT_OF_MEMORY, OUT_OF_MEMORY, None, LOST)
    engine = RecoveringEngine(fake)
    with pytest.raises(DeviceMemoryError, match="cuda:0 does not suffice: CUDA out of memory"):
        engine.extract(IMAGE, LIMITS)
    assert found_on(engine.extract(IMAGE, LIMITS)) == "cuda", "a smaller image may fit"
    for _ in range(3):
        with pytest.raises(DeviceLostError, match=r"cuda:0 is lost: CUDA error: unspecified launch failure; restart"):
            engine.extract(IMAGE, LIMITS)
    assert len(fake.calls) == 4


def test_a_stand_in_that_cannot_be_made_is_told_with_the_fault() -> None:
    def fail() -> Engine:
        raise MemoryError("nor here")

    engine = RecoveringEngine(FakeEngine("cuda:0", LOST), fail)
    for _ in range(2):
        with pytest.raises(DeviceLostError, match=r"unspecified launch failure.*nothing could stand in: nor here"):
            engine.score_map(IMAGE)


def test_faults_of_the_stand_in_are_raised() -> None:
    on_the_cpu = MemoryError(), MemoryError()
    for engine in (
        RecoveringEngine(FakeEngine("cuda:0", LOST), lambda: FakeEngine("cpu", *on_the_cpu)),
        RecoveringEngine(FakeEngine("cpu", *on_the_cpu)),
    ):
        with pytest.raises(DeviceMemoryError, match="device cpu does not suffice: MemoryError"):
            engine.extract(IMAGE, LIMITS)
        assert found_on(engine.extract(IMAGE, LIMITS)) == "cpu"


def test_other_errors_are_left_alone() -> None:
    fake = FakeEngine("cuda:0", ValueError("a bug"), RuntimeError("sizes of tensors must match"))
    engine = RecoveringEngine(fake, lambda: pytest.fail("nothing has to stand in"))
    with pytest.raises(ValueError, match="a bug"):
        engine.extract(IMAGE, LIMITS)
    with pytest.raises(RuntimeError, match="sizes of tensors"):
        engine.extract(IMAGE, LIMITS)
    assert len(fake.calls) == 2


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OUT_OF_MEMORY, DeviceMemoryError),
        (MemoryError(), DeviceMemoryError),
        (RuntimeError("CUDA error: out of memory"), DeviceMemoryError),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), DeviceMemoryError),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"), DeviceMemoryError),
        (RuntimeError("std::bad_alloc"), DeviceMemoryError),
        (LOST, DeviceLostError),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), DeviceLostError),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), DeviceLostError),
        (RuntimeError("expected a CUDA tensor"), type(None)),
        (ValueError("CUDA error: in a text of another error"), type(None)),
    ],
    ids=str,
)
def test_errors_are_told_apart(error: Exception, kind: type) -> None:
    assert type(device_fault(error, "cuda:0")) is kind


def test_what_torch_raises_for_an_allocation_beyond_all_memory_is_recognised() -> None:
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**60, dtype=torch.uint8)
    assert isinstance(device_fault(raised.value, "cpu"), DeviceMemoryError)


@pytest.fixture
def failing_device(monkeypatch: pytest.MonkeyPatch) -> list[Exception]:
    """Has every engine but the CPU's fail with the errors in this list, while it is made where there are two."""
    errors: list[Exception] = []

    def create(weights: Any, device: str, *rest: Any) -> Engine:
        if device == "cpu":
            return create_engine(weights, device, *rest)
        if len(errors) > 1:
            raise errors.pop()
        return FakeEngine("cuda:0", *errors)

    monkeypatch.setattr(recovery, "create_engine", create)
    monkeypatch.setattr(recovery, "resolve_device", lambda device: torch.device("cuda", 0))
    return errors


@pytest.mark.parametrize(
    ("device", "fallback", "stands_in"),
    [("auto", "auto", True), ("cuda", "auto", False), ("cuda", "cpu", True), ("auto", "none", False)],
)
@pytest.mark.parametrize("moment", ["making", "running"])
def test_who_names_a_device_gets_it_or_an_error(
    failing_device: list[Exception], device: str, fallback: str, stands_in: bool, moment: str
) -> None:
    failing_device[:] = [LOST] if moment == "running" else [LOST, OUT_OF_MEMORY]
    weights = load("aliked-t16", "", offline=True)
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)

    def extract() -> tuple[Features, EngineInfo]:
        engine = create_recovering_engine(weights, device, "fp32", fallback=fallback)
        return engine.extract(image, Selection(20, 0.0)), engine.info

    if not stands_in:
        with pytest.raises(DeviceError, match="cuda:0"):
            extract()
        return
    features, info = extract()
    expected = create_engine(weights, "cpu", "fp32").extract(image, Selection(20, 0.0))
    np.testing.assert_array_equal(features.keypoints_xy, expected.keypoints_xy)
    assert (info.device, info.precision, len(info.faults)) == ("cpu", "fp32", 1)


def test_the_choice_is_an_option_of_the_extractor() -> None:
    with pytest.raises(ConfigError, match="fallback must be one of auto, cpu, none, got 'gpu'"):
        Extractor.from_pretrained("aliked-t16", fallback="gpu")
