# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the CUDA engine does about memory that does not suffice, a lost device and a build for other GPUs.

The emulator fails on command here, with the errors of CUDA's runtime.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from aliked_ops import cuda_engine as library
from cuda_engines import emulated_library  # noqa: F401  a fixture
from image_samples import make_textured_image

from aliked_ros.cli.checks import State
from aliked_ros.cli.checks_torch import check_engine
from aliked_ros.engine import select
from aliked_ros.engine.base import Engine
from aliked_ros.engine.cuda_engine import CudaEngine
from aliked_ros.engine.recovery import RecoveringEngine, device_fault
from aliked_ros.engine.select import create_engine
from aliked_ros.errors import DeviceError, DeviceLostError, DeviceMemoryError
from aliked_ros.features import Features
from aliked_ros.network.selection import Selection
from aliked_ros.network.weights import load

pytestmark = pytest.mark.usefixtures("one_torch_thread")
OUT_OF_MEMORY, NO_KERNEL_IMAGE, ILLEGAL_ADDRESS = 2, 209, 700
LIMITS = Selection(100, 0.0)


@pytest.fixture
def device(emulated_library: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ctypes.CDLL]:  # noqa: F811
    monkeypatch.setattr(library, "LIBRARY_PATH", emulated_library)
    library.library.cache_clear()
    loaded = library.library()
    yield loaded
    loaded.aliked_emulator_reset()
    library.library.cache_clear()


def make_stand_in() -> Engine:
    return create_engine(load("aliked-t16"), "cpu", "fp32")


def same(a: Features, b: Features) -> bool:
    return a.descriptors.tobytes() == b.descriptors.tobytes()


def test_memory_that_did_not_suffice_once(device: ctypes.CDLL) -> None:
    image = make_textured_image(64, 96)
    native = CudaEngine(load("aliked-t16"))
    expected = native.extract(image, LIMITS)
    engine = RecoveringEngine(native, lambda: pytest.fail("nothing has to stand in"))
    device.aliked_emulator_fail_next(OUT_OF_MEMORY)
    assert same(engine.extract(image, LIMITS), expected)
    (warning,) = engine.info.warnings
    assert "the memory of device cuda:0 does not suffice" in warning
    assert same(engine.extract(image, LIMITS), expected)


@pytest.mark.usefixtures("device")
def test_memory_of_other_sizes_is_given_back_before_it_does_not_suffice(monkeypatch: pytest.MonkeyPatch) -> None:
    gc.collect()  # other engines' memory counts, too
    engine, limits = CudaEngine(load("aliked-t16")), Selection(1000, 0.0)
    small, large = make_textured_image(96, 128), make_textured_image(128, 128)
    expected = engine.extract(small, limits)
    for_small = engine.memory_bytes
    engine.extract(large, limits)
    for_large = engine.memory_bytes - for_small
    assert for_large > 4 << 20
    monkeypatch.setenv("ALIKED_EMULATOR_MEMORY_MB", str(for_small + for_large - 1 >> 20))
    assert same(engine.extract(small, limits), expected)  # it is there already
    fresh = make_textured_image(128, 96)
    assert len(engine.extract(fresh, limits)) > 100
    assert engine.memory_bytes < for_small + for_large
    monkeypatch.setenv("ALIKED_EMULATOR_MEMORY_MB", "1")
    with pytest.raises(library.CudaRuntimeError, match="out of memory"):
        engine.extract(large, limits)
    monkeypatch.delenv("ALIKED_EMULATOR_MEMORY_MB")
    assert same(engine.extract(small, limits), expected)


def test_a_lost_device(device: ctypes.CDLL) -> None:
    image = make_textured_image(64, 96)
    native = CudaEngine(load("aliked-t16"))
    native.extract(image, LIMITS)
    engine = RecoveringEngine(native, make_stand_in)
    device.aliked_emulator_fail_next(ILLEGAL_ADDRESS)
    expected = make_stand_in().extract(image, LIMITS)
    for _ in range(2):
        assert same(engine.extract(image, LIMITS), expected)
    assert engine.info.device == "cpu"
    (fault,) = engine.info.faults
    assert "device cuda:0 is lost: CUDA error" in fault
    with pytest.raises(library.CudaRuntimeError) as caught:
        native.extract(image, LIMITS)
    assert isinstance(device_fault(caught.value, "cuda:0"), DeviceLostError)
    assert native.memory_bytes > 0  # and its end ends nothing else


def test_a_fault_while_the_engine_is_made(device: ctypes.CDLL) -> None:
    weights = load("aliked-t16")
    for code, kind in ((OUT_OF_MEMORY, DeviceMemoryError), (ILLEGAL_ADDRESS, DeviceLostError)):
        device.aliked_emulator_fail_next(code)
        with pytest.raises(library.CudaRuntimeError) as caught:
            select._compiled_engine(weights, torch.device("cuda", 0), "fp16", 0)
        assert isinstance(device_fault(caught.value, "cuda:0"), kind)
        device.aliked_emulator_reset()
    assert len(CudaEngine(weights).extract(make_textured_image(64, 96), LIMITS)) == 100


def test_a_build_for_other_gpus_names_the_remedy(device: ctypes.CDLL) -> None:
    device.aliked_emulator_fail_next(NO_KERNEL_IMAGE)
    with pytest.raises(DeviceError, match=r"no compiled CUDA engine: this build .* compute capability 8.0") as caught:
        select._compiled_engine(load("aliked-t16"), torch.device("cuda", 0), "fp16", 0)
    assert "TORCH_CUDA_ARCH_LIST=8.0 python -m tools.build_engine --cuda" in str(caught.value)
    assert not isinstance(caught.value, DeviceLostError)


def test_without_the_library_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "LIBRARY_PATH", tmp_path / "_cuda_engine.so")
    library.library.cache_clear()
    assert not library.is_available()
    with pytest.raises(DeviceError, match=r"no compiled CUDA engine: .*python -m tools.build_engine --cuda"):
        select._compiled_engine(load("aliked-t16"), torch.device("cuda", 0), "fp16", 0)
    (tmp_path / "_cuda_engine.so").write_bytes(b"no library")
    with pytest.raises(library.CudaEngineError, match="does not load"):
        library.library()


def test_doctor_says_whether_there_is_an_engine(device: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> None:
    assert device is not None
    assert [finding.name for finding in check_engine()] == ["CPU engine"], "no device, nothing to say"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    _, found = check_engine()
    assert (found.name, found.state, found.value) == ("CUDA engine", State.OK, "for 1 device(s)")
    monkeypatch.setattr(library, "LIBRARY_PATH", Path("nowhere") / "_cuda_engine.so")
    library.library.cache_clear()
    _, found = check_engine()
    assert found.state is State.WARNING
    assert "the readable network runs" in found.value
    assert "tools.build_engine --cuda" in found.remedy
