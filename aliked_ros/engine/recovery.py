# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""An engine that outlives its device: memory that is full is emptied, and a CPU stands in for a device that is lost.

What torch and the compiled operators raise is told apart here, by type where there is one and by message where CUDA
leaves no other way, and nowhere else.
"""

from __future__ import annotations

import dataclasses
import gc
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from numpy.typing import NDArray

from aliked_ros.engine.base import Engine, EngineInfo, Image
from aliked_ros.engine.select import create_engine, resolve_device
from aliked_ros.errors import DeviceError, DeviceLostError, DeviceMemoryError
from aliked_ros.features import Features
from aliked_ros.network.selection import Selection
from aliked_ros.network.weights import Weights

_T = TypeVar("_T")
_logger = logging.getLogger(__name__)
# Of RuntimeErrors, in lower case; CUDA's own allocation failure is a "CUDA error", too, so memory is asked for first.
_MEMORY_MESSAGES = ("out of memory", "alloc_failed", "not enough memory", "can't allocate memory", "bad_alloc")
_LOST_MESSAGES = ("cuda error", "cudnn error", "cublas error", "cudnn_status", "cublas_status", "nccl error")


def device_fault(error: Exception, device: str) -> DeviceError | None:
    """What an error says of the device, or ``None`` when it says nothing of it.

    Args:
        error: raised by an engine.
        device: that the engine runs on.
    """
    if isinstance(error, DeviceLostError | DeviceMemoryError):
        return error
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return _memory_error(error, device)
    if not isinstance(error, RuntimeError):
        return None
    text = str(error).lower()
    if any(message in text for message in _MEMORY_MESSAGES):
        return _memory_error(error, device)
    if device != "cpu" and any(message in text for message in _LOST_MESSAGES):
        return DeviceLostError(
            f"device {device} is lost: {_first_line(error)}; restart this process, and if that does not help, see "
            "`aliked-ros doctor` and the system's log"
        )
    return None


def _memory_error(error: Exception, device: str) -> DeviceMemoryError:
    return DeviceMemoryError(
        f"the memory of device {device} does not suffice: {_first_line(error)}; use smaller images, a smaller model, "
        "or end what else uses it"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


class RecoveringEngine:
    """Runs an engine, and deals with what its device does.

    Memory that does not suffice: caches are emptied and the image is tried once more. If it fails again, or if the
    device is lost, the stand-in takes over, with this image and for good; without one the error is raised, and a lost
    device is not touched again.

    Args:
        engine: what runs at first.
        make_stand_in: makes what runs afterwards; ``None`` where nothing may.
    """

    def __init__(self, engine: Engine, make_stand_in: Callable[[], Engine] | None = None) -> None:
        self._engine: Engine | None = engine
        self._make_stand_in = make_stand_in
        self._info = engine.info
        self._lost = ""  # why nothing runs any more

    @property
    def info(self) -> EngineInfo:
        """What runs now, and on what; another object once that, or what is to be said about it, has changed."""
        return self._info

    @property
    def last_timings_ms(self) -> Mapping[str, float]:
        """Wall time of the last image's ``preprocess`` and ``inference``."""
        return {} if self._engine is None else self._engine.last_timings_ms

    @property
    def memory_bytes(self) -> int:
        """Memory of a device that the engine allocates by itself."""
        return 0 if self._engine is None else self._engine.memory_bytes

    def extract(self, *args: Any, **options: Any) -> Features:
        """What the engine's method of this name returns.

        Raises:
            DeviceMemoryError: the image does not fit, and nothing stands in.
            DeviceLostError: the device failed, now or before, and nothing stands in.
        """
        return self._run(lambda engine: engine.extract(*args, **options))

    def extract_batch(
        self, images: Sequence[Image], selections: Sequence[Selection], references: Sequence[Features | None]
    ) -> list[Features]:
        """What the engine's method of this name returns; images that fail together are tried one after another.

        Raises what :meth:`extract` does.
        """
        if self._engine is not None:
            found = self._attempt(lambda engine: engine.extract_batch(images, selections, references))
            if not isinstance(found, DeviceError):
                return found
        return [self.extract(*each) for each in zip(images, selections, references, strict=True)]

    def score_map(self, *args: Any, **options: Any) -> NDArray[Any]:
        """What the engine's method of this name returns; raises what :meth:`extract` does."""
        return self._run(lambda engine: engine.score_map(*args, **options))

    def _run(self, call: Callable[[Engine], _T]) -> _T:
        if self._lost:
            raise DeviceLostError(self._lost)
        assert self._engine is not None
        fault = self._attempt(call)
        if not isinstance(fault, DeviceError):
            return fault
        if isinstance(fault, DeviceMemoryError):
            release_memory()
            second = self._attempt(call)
            if not isinstance(second, DeviceError):
                self._tell_retry(fault)
                return second
            fault = second
        self._replace_engine(fault)
        return self._run(call)

    def _attempt(self, call: Callable[[Engine], _T]) -> _T | DeviceError:
        """What the call returns, or the fault; the error is not kept, because its frames keep tensors alive."""
        assert self._engine is not None
        try:
            return call(self._engine)
        except Exception as error:
            fault = device_fault(error, self._info.device)
            if fault is None:
                raise
            return fault.with_traceback(None)

    def _replace_engine(self, fault: DeviceError) -> None:
        """Has the stand-in run from now on; raises the fault where there is none."""
        make, self._make_stand_in = self._make_stand_in, None
        if make is None:
            if isinstance(fault, DeviceLostError):
                self._lost, self._engine = str(fault), None
            raise fault
        self._engine = None
        release_memory()
        try:
            self._engine = make()
        except Exception as error:
            self._lost = f"{fault}; and nothing could stand in: {error}"
            raise DeviceLostError(self._lost) from error
        self._info = self._engine.info
        self.note_fault(fault)

    def note_fault(self, fault: DeviceError) -> None:
        """Says, here and in :attr:`info`, for what the engine stands in."""
        text = f"{self._info.device} runs instead, more slowly: {fault}"
        self._info = dataclasses.replace(self._info, faults=(*self._info.faults, text))
        _logger.error("%s", text)

    def _tell_retry(self, fault: DeviceError) -> None:
        warning = f"an image was processed at the second attempt only: {fault}"
        if not any(known.startswith("an image was processed at the second") for known in self._info.warnings):
            _logger.warning("%s", warning)
            self._info = dataclasses.replace(self._info, warnings=(*self._info.warnings, warning))


def create_recovering_engine(
    weights: Weights, device: str, precision: str, engine: str = "auto", threads: int = 0, fallback: str = "auto"
) -> Engine:
    """The engine for a device and a precision, which deals with faults of the device, also while it is made.

    Args:
        weights: a verified checkpoint.
        device: as for :func:`create_engine`, like what follows.
        precision: the stand-in keeps float32 and chooses for itself otherwise.
        engine: which implementation.
        threads: of the compiled CPU engine.
        fallback: ``cpu`` has the CPU stand in for another device, ``none`` does not, and ``auto`` does where the
            device is ``auto``: who names a device wants that one or an error.

    Raises:
        DeviceError: this machine lacks the device, the precision or the engine, or the device fails already.
    """
    resolved = str(resolve_device(device))
    may_fall_back = fallback == "cpu" or (fallback == "auto" and device == "auto")

    def make_stand_in() -> Engine:
        return create_engine(weights, "cpu", "fp32" if precision == "fp32" else "auto", "auto", threads)

    try:
        first = create_engine(weights, device, precision, engine, threads)
    except Exception as error:
        fault = device_fault(error, resolved)
        if fault is None:
            raise
        if resolved == "cpu" or not may_fall_back:
            raise fault from error
    else:
        return RecoveringEngine(first, make_stand_in if may_fall_back and first.info.device != "cpu" else None)
    stand_in = RecoveringEngine(make_stand_in())
    stand_in.note_fault(fault)
    return stand_in


def release_memory() -> None:
    """Gives memory back that nothing uses: the interpreter's and, where it can still be reached, the device's."""
    gc.collect()
    try:
        torch.cuda.empty_cache()  # does nothing where CUDA is not in use
    except RuntimeError as error:  # a lost device has nothing to give back
        _logger.debug("the device's cache could not be emptied: %s", error)
