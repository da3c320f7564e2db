# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Checks of torch, CUDA, the compiled ops and the weights."""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import os
from collections.abc import Iterator

from aliked_ros.cli.checks import Finding, State, is_importable
from aliked_ros.errors import WeightsError

_OLDEST_TORCH = (2, 4)
_BUILD_OPS = "python -m tools.build_ops in the source tree, or `make setup`"


def check_torch() -> Iterator[Finding]:
    """torch and its version."""
    if not is_importable("torch"):
        yield Finding("torch", State.MISSING, "not installed", "run `make setup`, or pip install 'torch>=2.4'")
        return
    import torch  # without it the rest of the report is still of use

    numbers = tuple(int(number) for number in torch.__version__.split("+")[0].split(".")[:2])
    if numbers >= _OLDEST_TORCH:
        yield Finding("torch", State.OK, torch.__version__)
    else:
        yield Finding("torch", State.MISSING, f"{torch.__version__} is too old", "pip install 'torch>=2.4'")


def check_cuda() -> Iterator[Finding]:
    """What torch was built for, the driver, and the devices that it sees."""
    if not is_importable("torch"):
        return
    import torch

    driver = driver_version()
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        devices = ", ".join(f"cuda:{index} {name}" for index, name in enumerate(names))
        yield Finding("CUDA", State.OK, f"torch for CUDA {torch.version.cuda}, driver {driver}; {devices}")
    elif driver is None:
        yield Finding(
            "CUDA", State.OK, f"no NVIDIA driver (torch for CUDA {torch.version.cuda or 'none'}); the CPU is used"
        )
    elif torch.version.cuda is None:
        remedy = "install a torch that was built for CUDA, then `make setup`"
        yield Finding("CUDA", State.WARNING, f"the driver knows CUDA {driver}, but torch was built without it", remedy)
    else:
        value = f"the driver knows CUDA {driver}, torch was built for {torch.version.cuda} and sees no device"
        yield Finding("CUDA", State.WARNING, value, "is the driver new enough, and CUDA_VISIBLE_DEVICES unset?")


def driver_version() -> str | None:
    """The newest CUDA that the NVIDIA driver supports, such as 12.8; ``None`` without a driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    number = ctypes.c_int(0)
    if driver.cuDriverGetVersion(ctypes.byref(number)) != 0:
        return None
    return f"{number.value // 1000}.{number.value % 1000 // 10}"


def check_ops() -> Iterator[Finding]:
    """Whether the compiled operators were loaded, and for which devices."""
    if not is_importable("torch"):
        return
    if not is_importable("aliked_ops"):
        yield Finding("compiled ops", State.MISSING, "aliked_ops is not installed", "run `make setup`")
        return
    from aliked_ops import backend

    found = backend()
    kinds = [name for name, there in (("CPU", found.cpu), ("CUDA", found.cuda)) if there]
    if not kinds:
        value = f"none: {found.reason}; the slower reference runs"
        yield Finding("compiled ops", State.WARNING, value, _remedy())
    elif found.reason:
        yield Finding("compiled ops", State.WARNING, f"{' and '.join(kinds)}: {found.reason}", _BUILD_OPS)
    else:
        yield Finding("compiled ops", State.OK, f"{' and '.join(kinds)} ({found.library})")


def check_engine() -> Iterator[Finding]:
    """Whether the compiled engines were loaded, and for what."""
    if not is_importable("torch") or not is_importable("aliked_ops"):
        return
    from aliked_ops.cpu_engine import CpuEngineError, instruction_sets

    try:
        yield Finding("CPU engine", State.OK, f"C++, {instruction_sets()[0]}")
    except CpuEngineError as error:
        yield Finding("CPU engine", State.WARNING, f"none: {error}; the readable network runs", _remedy())
    yield from _check_cuda_engine()


def _check_cuda_engine() -> Iterator[Finding]:
    """Whether the compiled CUDA engine was loaded, where there is a device for it."""
    import torch
    from aliked_ops.cuda_engine import CudaEngineError, device_count

    if not torch.cuda.is_available():
        return
    try:
        yield Finding("CUDA engine", State.OK, f"for {device_count()} device(s)")
    except CudaEngineError as error:
        remedy = "python -m tools.build_engine --cuda in the source tree"
        yield Finding("CUDA engine", State.WARNING, f"none: {error}; the readable network runs", remedy)


def _remedy() -> str:
    return "unset ALIKED_OPS" if os.environ.get("ALIKED_OPS") == "reference" else _BUILD_OPS


def check_backend() -> Iterator[Finding]:
    """What a front-end with the default settings will run on."""
    if not is_importable("torch") or not is_importable("aliked_ops"):
        return
    from aliked_ops import backend, cuda_engine
    from aliked_ops.cpu_engine import CpuEngineError, library

    from aliked_ros.engine.select import resolve_device, resolve_precision
    from aliked_ros.frontend.config import ExtractorConfig

    config = ExtractorConfig()
    device = resolve_device(config.device)
    precision = resolve_precision(config.precision, device)
    runs = f"the readable network with {backend().name_for(device)} ops"
    if device.type == "cpu":
        with contextlib.suppress(CpuEngineError):
            library()
            runs = "the compiled CPU engine"
    elif cuda_engine.is_available():
        runs = "the compiled CUDA engine"
    yield Finding("will run", State.OK, f"{config.model} on {device} in {precision}: {runs}")


def check_weights() -> Iterator[Finding]:
    """Where each model's weights are, and whether they are the published ones."""
    if not is_importable("torch"):
        return
    from aliked_ros.network.weights import entry_of, locate, manifest, verified_bytes

    try:
        models = list(manifest())
    except WeightsError as error:
        yield Finding("weights", State.MISSING, str(error), "install the package again")
        return
    for model in models:
        name, remedy = f"weights {model}", f"aliked-ros weights {model}"
        path = locate(model)
        if path is None:
            yield Finding(name, State.WARNING, "not on this machine; downloaded when first used", remedy)
            continue
        try:
            verified_bytes(path, entry_of(model))
        except WeightsError as error:
            yield Finding(name, State.MISSING, str(error), remedy)
        else:
            yield Finding(name, State.OK, f"{path}, SHA-256 as published")
