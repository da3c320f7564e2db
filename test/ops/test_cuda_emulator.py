# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The emulator of CUDA that tests run kernels on: threads, matrix instructions, and the runtime's calls."""

from __future__ import annotations

import ctypes
import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from ops_cases import OPS_SOURCES
from torch import Tensor

OUT_OF_MEMORY, INVALID_VALUE, ILLEGAL_ADDRESS = 2, 1, 700


@pytest.fixture(scope="module", params=["", "-DALIKED_EMULATOR_UCONTEXT"], ids=["assembly", "ucontext"])
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = os.environ.get("CXX", "c++")
    if shutil.which(compiler) is None:
        pytest.skip(f"no C++ compiler {compiler!r}")
    path = tmp_path_factory.mktemp("emulator") / "kernels.so"
    source = Path(__file__).with_name("emulated_kernels.cpp")
    checks = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-fsanitize=undefined", "-fno-sanitize-recover"]
    options = [*checks, *request.param.split(), "-fPIC", "-shared", "-pthread", f"-I{OPS_SOURCES / 'emulator'}"]
    subprocess.run([compiler, *options, source, "-o", path], check=True)
    return path


@pytest.fixture
def device(library: Path) -> Iterator[ctypes.CDLL]:
    loaded = ctypes.CDLL(str(library))
    yield loaded
    loaded.aliked_emulator_reset()


def pointer(tensor: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())


@pytest.mark.parametrize("threads", [32, 96, 1024])
def test_shuffles_and_votes(device: ctypes.CDLL, threads: int) -> None:
    out = torch.zeros(threads, 8, dtype=torch.int32)
    assert device.run_shuffles(pointer(out), threads) == 0
    for thread, row in enumerate(out.tolist()):
        lane, first = thread % 32, 100 + thread - thread % 32
        thirds = sum(1 << i for i in range(0, 32, 3))
        assert row[:3] == [first + 5, first + (lane ^ 16), first + (lane + 3 if lane + 3 < 32 else lane)]
        assert row[3:] == [first + lane // 8 * 8 + (lane + 1) % 8, thirds, 1, 1, first + (lane ^ 1)]


@pytest.mark.parametrize("processor_threads", ["1", "3"])
@pytest.mark.parametrize("threads", [4, 64, 1024])
def test_barriers_that_threads_reach_apart(
    device: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch, threads: int, processor_threads: str
) -> None:
    monkeypatch.setenv("ALIKED_EMULATOR_THREADS", processor_threads)
    numbers = torch.arange(5 * threads, dtype=torch.int32).view(5, threads)
    sums, votes = torch.zeros(2, 5, dtype=torch.int32)
    if threads < 32:
        numbers %= 7
    assert device.run_barriers(pointer(numbers), pointer(sums), pointer(votes), 5, threads) == 0
    assert torch.equal(sums, numbers.sum(1).int())
    assert votes.tolist() == [math.ceil(threads / 5) * 16 + 1 + 4] * 5


def test_atomics_of_blocks_on_several_processor_threads(device: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALIKED_EMULATOR_THREADS", "4")
    count, largest = torch.zeros(1, dtype=torch.int32), torch.zeros(1, dtype=torch.int64)
    assert device.run_count_all(pointer(count), pointer(largest), 300) == 0
    assert (count.item(), largest.item()) == (300 * 64, (300 * 64 - 1) << 32)


def test_matrices_loaded_from_shared_memory(device: ctypes.CDLL) -> None:
    matrices = torch.arange(4 * 8 * 8, dtype=torch.int16).view(4, 8, 8)
    out = torch.zeros(32, 4, 2, dtype=torch.int16)
    assert device.run_load_matrices(pointer(matrices), pointer(out)) == 0
    for lane in range(32):
        assert torch.equal(out[lane], matrices[:, lane // 4, lane % 4 * 2 : lane % 4 * 2 + 2])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_matrix_product_of_16_bit_numbers(device: ctypes.CDLL, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(1)
    a, b, c = (torch.randn(shape, generator=generator) for shape in [(16, 16), (16, 8), (16, 8)])
    a, b, d = a.to(dtype), b.to(dtype), c.clone()
    a[3] *= 2.0**-20  # subnormal for float16
    a[4] = 0
    a[:, 5], b[5, 2] = 1, math.inf
    assert device.run_multiply(pointer(a), pointer(b), pointer(d), int(dtype == torch.bfloat16)) == 0
    torch.testing.assert_close(d, (c.double() + a.double() @ b.double()).float(), rtol=1e-5, atol=1e-5, equal_nan=True)


def test_matrix_product_of_tf32(device: ctypes.CDLL) -> None:
    generator = torch.Generator().manual_seed(2)
    a, b, c = (torch.randn(shape, generator=generator) for shape in [(16, 8), (8, 8), (16, 8)])
    d = c.clone()
    assert device.run_multiply_tf32(pointer(a), pointer(b), pointer(d)) == 0
    a, b = ((matrix.view(torch.int32) & ~0x1FFF).view(torch.float32).double() for matrix in (a, b))
    torch.testing.assert_close(d, (c + a @ b).float(), rtol=1e-5, atol=1e-5)


def test_rounding_to_16_bits(device: ctypes.CDLL) -> None:
    every_half = torch.arange(-(2**15), 2**15, dtype=torch.int16)
    exact = torch.cat([every_half.view(torch.float16).float(), every_half.view(torch.bfloat16).float()])
    exact = exact[exact.isfinite()].sort().values
    between = (exact[1:].double() + exact[:-1].double()).div(2).float()  # ties, and their neighbours
    up, down = (torch.nextafter(between, torch.tensor(side)) for side in (math.inf, -math.inf))
    numbers = torch.cat([exact, between, up, down, torch.tensor([math.inf, -math.inf, 3e38, -3.4e38, 65519.99])])
    half, brain = torch.zeros(2, len(numbers), dtype=torch.int16)
    half_back, brain_back = torch.zeros(2, len(numbers))
    device.round_to_half(*map(pointer, (numbers, half, half_back, brain, brain_back)), len(numbers))
    assert torch.equal(half, numbers.half().view(torch.int16))
    assert torch.equal(half_back, numbers.half().float())
    assert torch.equal(brain, numbers.bfloat16().view(torch.int16))
    assert torch.equal(brain_back, numbers.bfloat16().float())


def test_captured_graphs_replay(device: ctypes.CDLL) -> None:
    rows = torch.arange(256, dtype=torch.int32)
    untouched = ctypes.c_int32()
    assert device.capture_and_replay(pointer(rows), 1000, ctypes.byref(untouched)) == 0
    assert torch.equal(rows, torch.arange(1000, 1256, dtype=torch.int32))
    assert untouched.value == -1  # nothing ran under capture


def test_memory_begins_as_nan(device: ctypes.CDLL) -> None:
    memory, values, shared = ctypes.c_void_p(), torch.zeros(100), torch.zeros(32)
    assert device.allocate(ctypes.c_size_t(400), ctypes.byref(memory)) == 0
    assert device.copy_from_device(pointer(values), memory, ctypes.c_size_t(400)) == 0
    assert device.run_read_shared(pointer(shared)) == 0
    assert values.isnan().all()
    assert shared.isnan().all()
    assert device.copy_from_device(pointer(values), memory, ctypes.c_size_t(401)) == INVALID_VALUE
    assert device.release(memory) == 0
    assert device.release(memory) == INVALID_VALUE


def test_memory_is_limited(device: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALIKED_EMULATOR_MEMORY_MB", "2")
    first, second = ctypes.c_void_p(), ctypes.c_void_p()
    assert device.allocate(ctypes.c_size_t(3 << 19), ctypes.byref(first)) == 0
    assert device.allocate(ctypes.c_size_t(1 << 20), ctypes.byref(second)) == OUT_OF_MEMORY
    assert not second.value
    assert device.release(first) == 0
    assert device.allocate(ctypes.c_size_t(1 << 20), ctypes.byref(second)) == 0
    assert device.release(second) == 0


def test_a_lost_device_stays_lost(device: ctypes.CDLL) -> None:
    out, memory = torch.zeros(32, 8, dtype=torch.int32), ctypes.c_void_p()
    device.aliked_emulator_fail_next(ILLEGAL_ADDRESS)
    assert device.allocate(ctypes.c_size_t(4), ctypes.byref(memory)) == 0  # not yet
    assert device.run_shuffles(pointer(out), 32) == ILLEGAL_ADDRESS
    assert device.synchronize() == ILLEGAL_ADDRESS
    assert device.run_shuffles(pointer(out), 32) == ILLEGAL_ADDRESS
    assert device.release(memory) == ILLEGAL_ADDRESS
    assert not out.any()
    device.aliked_emulator_reset()
    assert device.run_shuffles(pointer(out), 32) == 0


def test_a_failed_launch_passes(device: ctypes.CDLL) -> None:
    out = torch.zeros(32, 8, dtype=torch.int32)
    device.aliked_emulator_fail_next(OUT_OF_MEMORY)
    assert device.run_shuffles(pointer(out), 32) == OUT_OF_MEMORY
    assert device.run_shuffles(pointer(out), 32) == 0


def test_more_shared_memory_is_asked_for(device: ctypes.CDLL) -> None:
    large, too_large = ctypes.c_size_t(101376), ctypes.c_size_t(101377)
    assert device.launch_with_shared_memory(large, 0) == INVALID_VALUE
    assert device.launch_with_shared_memory(large, 1) == 0
    assert device.launch_with_shared_memory(too_large, 1) == INVALID_VALUE


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (0, "faulty_kernel: something wrote behind an allocation of 256 bytes"),
        (1, r"kernel faulty_kernel, block (0, 0, 0), thread 63: wrote behind its shared memory"),
        (2, "left while lanes of its warp wait for it in a warp collective"),
        (3, "deadlock: every thread of the block waits"),
        (4, "lanes of a warp meet in different collectives"),
        (5, "a row of a matrix that is not aligned to 16 bytes"),
    ],
)
def test_faulty_kernels_abort(library: Path, fault: int, message: str) -> None:
    program = "import ctypes, sys; ctypes.CDLL(sys.argv[1]).run_faulty_kernel(int(sys.argv[2]))"
    command = [sys.executable, "-c", program, str(library), str(fault)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == -signal.SIGABRT
    assert "faulty_kernel" in finished.stderr
    assert message in finished.stderr
