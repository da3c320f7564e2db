# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Chooses the device, the precision and the engine that serves them."""

from __future__ import annotations

import torch
from aliked_ops import cuda_engine
from aliked_ops.cpu_engine import CpuEngineError, supports_bfloat16

from aliked_ros.engine.base import Engine
from aliked_ros.engine.cpu_engine import CpuEngine
from aliked_ros.engine.cuda_engine import CudaEngine
from aliked_ros.engine.torch_engine import TorchEngine
from aliked_ros.errors import DeviceError
from aliked_ros.network.weights import Weights


def resolve_device(device: str) -> torch.device:
    """The torch device behind ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        DeviceError: the name is none of these, or this machine has no such device.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        resolved = torch.device(device)
    except RuntimeError:
        resolved = torch.device("meta")
    if resolved.type not in ("cpu", "cuda"):
        raise DeviceError(f"device must be auto, cpu, cuda or cuda:N, got {device!r}")
    if resolved.type == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        build = torch.version.cuda or "none"
        raise DeviceError(
            f"device {device!r} was asked for, but torch {torch.__version__} (CUDA build: {build}) sees no CUDA "
            "device; choose cpu, or see `aliked-ros doctor`"
        )
    index = resolved.index or 0
    if index >= torch.cuda.device_count():
        raise DeviceError(f"device {device!r} was asked for, but there are {torch.cuda.device_count()} CUDA devices")
    return torch.device("cuda", index)


def resolve_precision(precision: str, device: torch.device, engine: str = "auto") -> str:
    """The precision behind ``auto``, checked against the device.

    ``auto`` is the narrowest one that keeps the published accuracy in a compiled engine, float16 on CUDA
    (test/engine/test_cuda_engine.py) and bfloat16 on processors with the instructions
    (test/engine/test_cpu_engine.py), and float32 elsewhere.

    Raises:
        DeviceError: the device cannot compute in that precision.
    """
    if precision == "auto":
        if engine == "reference":
            return "fp32"
        if device.type == "cpu":
            return "bf16" if supports_bfloat16() else "fp32"
        return "fp16" if cuda_engine.is_available() else "fp32"
    if precision not in ("fp32", "bf16", "fp16"):
        raise DeviceError(f"precision must be auto, fp32, bf16 or fp16, got {precision!r}")
    if precision == "fp16" and device.type == "cpu":
        raise DeviceError("precision fp16 needs a CUDA device; on a CPU use fp32 or bf16")
    return precision


def create_engine(weights: Weights, device: str, precision: str, engine: str = "auto", threads: int = 0) -> Engine:
    """The engine for a device and a precision.

    Args:
        weights: a verified checkpoint.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        engine: ``fast`` for the compiled one, ``reference`` for the readable network, ``auto`` for the fastest that
            this machine has.
        threads: that the compiled CPU engine shares an image between; 0 for all available.

    Raises:
        DeviceError: this machine lacks the device, the precision or the engine.
    """
    resolved = resolve_device(device)
    warnings: tuple[str, ...] = ()
    if engine != "reference":
        try:
            return _compiled_engine(weights, resolved, resolve_precision(precision, resolved), threads)
        except DeviceError as error:
            if engine == "fast":
                raise
            warnings = (f"the readable network runs instead of the compiled engine: {error}",)
    return TorchEngine(weights, resolved, resolve_precision(precision, resolved, "reference"), warnings)


def _compiled_engine(weights: Weights, device: torch.device, precision: str, threads: int) -> Engine:
    try:
        if device.type == "cpu":
            return CpuEngine(weights, precision, threads)
        return CudaEngine(weights, precision, device.index or 0)
    except cuda_engine.CudaRuntimeError:
        raise  # whoever deals with the device's faults has to know
    except (CpuEngineError, cuda_engine.CudaEngineError) as error:
        raise DeviceError(f"no compiled {device.type.upper()} engine: {error}") from error
