# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The compiled CUDA engine: the whole network, and matching to earlier images, behind a C interface.

The library knows nothing of torch or Python; `tools/build_cuda_engine.py` makes it. Calls release the interpreter's
lock.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aliked_ops.engine_types import EngineModel, ImageView, read_tensors

LIBRARY_PATH = Path(__file__).with_name("_cuda_engine.so")
_VERSION = 1
_CHOICE_VARIABLE = "ALIKED_OPS"  # the one that also chooses the operators
_PRECISIONS = {"fp32": 0, "bf16": 1, "fp16": 2}
_BUILD_HINT = "build it with `python -m tools.build_engine --cuda`, which needs CUDA's compiler nvcc"

_Float32 = NDArray[np.float32]
_Floats = ctypes.POINTER(ctypes.c_float)
_Ints = ctypes.POINTER(ctypes.c_int32)


class _Request(ctypes.Structure):
    _fields_ = (
        ("pixels", ctypes.c_void_p),
        ("strides", ctypes.c_int64 * 3),
        ("mask", ctypes.c_void_p),
        ("reference", ctypes.c_int64),
        ("threshold", ctypes.c_float),
        ("max_keypoints", ctypes.c_int32),
        ("grid", ctypes.c_int32 * 3),
    )


class _Found(ctypes.Structure):
    _fields_ = (
        ("count", ctypes.c_int32),
        ("keypoints", _Floats),
        ("descriptors", _Floats),
        ("partners", _Ints),
        ("similarities", _Floats),
    )


_Requests = ctypes.POINTER(_Request)
_SIGNATURES: dict[str, tuple[Any, Sequence[Any]]] = {
    "version": (ctypes.c_int32, ()),
    "last_error": (ctypes.c_char_p, ()),
    "device_count": (ctypes.c_int64, ()),
    "create": (ctypes.c_void_p, (_Ints, _Floats, ctypes.c_int64, ctypes.c_int32, ctypes.c_int32)),
    "destroy": (None, (ctypes.c_void_p,)),
    "submit": (ctypes.c_int64, (ctypes.c_void_p, _Ints, _Requests, ctypes.c_int64)),
    "collect": (ctypes.c_int64, (ctypes.c_void_p, ctypes.c_int64, ctypes.POINTER(_Found))),
    "score_map": (ctypes.c_int64, (ctypes.c_void_p, _Ints, _Requests, _Floats)),
    "time_device": (
        ctypes.c_int64,
        (ctypes.c_void_p, _Ints, _Requests, ctypes.c_int32, ctypes.c_int32, ctypes.c_int32, _Floats),
    ),
    "time_stages": (ctypes.c_int64, (ctypes.c_void_p, _Ints, _Requests, ctypes.c_int32, _Floats)),
    "stages": (ctypes.c_int64, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int64)),
    "memory_bytes": (ctypes.c_int64, (ctypes.c_void_p,)),
}


class CudaEngineError(RuntimeError):
    """The library is missing, is another version's, or refused what it was asked."""


class CudaRuntimeError(CudaEngineError):
    """CUDA itself failed: memory does not suffice, or the device is lost."""


@dataclass(frozen=True, eq=False)
class Request:
    """An image and what is wanted of it."""

    image: ImageView
    max_keypoints: int
    score_threshold: float  # maxima score more
    grid: tuple[int, int, int] | None = None  # rows, columns, and the most features of one of these equal cells
    mask: NDArray[np.bool_] | None = None  # (H, W), false where no feature is wanted
    reference: int = -1  # the frame that it is matched to, if that is still known; -1 for none


@dataclass(frozen=True, eq=False)
class Found:
    """Keypoints and descriptors of one image, strongest first, and their partners in an earlier one."""

    frame: int
    keypoints_xy: _Float32  # (N, 2) pixels
    scores: _Float32  # (N,)
    dispersity: _Float32  # (N,)
    descriptors: _Float32  # (N, D) unit length
    partners: NDArray[np.int32] | None  # (N,) mutually nearest rows of the reference, -1 for none
    similarities: _Float32 | None  # (N,) their dot products


@dataclass(frozen=True)
class Ticket:
    """Images that are under way."""

    number: int
    frames: range


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL:
    """The loaded library.

    Raises:
        CudaEngineError: there is none, or it does not fit.
    """
    if os.environ.get(_CHOICE_VARIABLE) == "reference":
        raise CudaEngineError(f"{_CHOICE_VARIABLE}=reference is set")
    if not LIBRARY_PATH.is_file():
        raise CudaEngineError(f"no compiled CUDA engine at {LIBRARY_PATH}; {_BUILD_HINT}")
    try:
        loaded = ctypes.CDLL(str(LIBRARY_PATH))
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(loaded, f"aliked_cuda_{name}")
            function.restype, function.argtypes = result, list(arguments)
    except (OSError, AttributeError) as error:
        raise CudaEngineError(f"{LIBRARY_PATH}: does not load: {error}; {_BUILD_HINT}") from error
    version = loaded.aliked_cuda_version()
    if version != _VERSION:
        raise CudaEngineError(f"{LIBRARY_PATH}: is version {version} of the interface, not {_VERSION}; {_BUILD_HINT}")
    return loaded


def is_available() -> bool:
    """Whether the library is there."""
    try:
        library()
    except CudaEngineError:
        return False
    return True


class CudaEngine:
    """One network on a device, with buffers kept from image to image; serves one caller at a time.

    Images of one shape may be submitted twice before the first of them are collected: one batch is copied while the
    other one is computed.

    Args:
        model: its sizes.
        tensor: gives a checkpoint's tensor by its name, as float32.
        precision: of the encoder: "fp16" or "bf16" for products of such numbers with float32 sums, after which
            float16 is used, or "fp32".
        device: its index.

    Raises:
        CudaEngineError: the library, the device or the precision is not available, or the weights do not fit.
        CudaRuntimeError: CUDA failed.
    """

    def __init__(
        self, model: EngineModel, tensor: Callable[[str], NDArray[Any]], *, precision: str = "fp16", device: int = 0
    ) -> None:
        self._handle = None
        if precision not in _PRECISIONS:
            raise CudaEngineError(f"precision must be fp32, bf16 or fp16, got {precision!r}")
        self._library = library()
        self._lock = threading.Lock()
        self._dim = model.dim
        self._next_frame = 0
        blob = read_tensors(tensor)
        sizes = (ctypes.c_int32 * 6)(*model.channels, model.dim, model.num_positions)
        weights = blob.ctypes.data_as(_Floats)
        self._handle = self._library.aliked_cuda_create(sizes, weights, len(blob), device, _PRECISIONS[precision])
        if not self._handle:
            raise _last_error(self._library)
        names = ctypes.create_string_buffer(1024)
        self._checked(self._library.aliked_cuda_stages(self._handle, names, len(names)))
        self.stages = tuple(names.value.decode().split(","))

    def __del__(self) -> None:
        if self._handle:
            self._library.aliked_cuda_destroy(self._handle)

    @property
    def memory_bytes(self) -> int:
        """Memory of the device that is held for the weights and for images."""
        return self._checked(self._library.aliked_cuda_memory_bytes(self._handle))

    def submit(self, requests: Sequence[Request]) -> Ticket:
        """Starts with images of one shape, which are copied before this returns.

        Raises:
            ValueError: they have several shapes, a mask has another size, or a number of a grid is not positive.
            CudaEngineError: two batches of this shape are under way.
            CudaRuntimeError: CUDA failed.
        """
        shape, images = _arguments(requests, len(requests))
        with self._lock:
            frames = range(self._next_frame, self._next_frame + len(requests))
            self._next_frame = frames.stop
            number = self._library.aliked_cuda_submit(self._handle, shape, images, frames.start)
            return Ticket(self._checked(number), frames)

    def collect(self, ticket: Ticket) -> list[Found]:
        """Waits for the images of a ticket, which counts once.

        Raises:
            CudaRuntimeError: CUDA failed.
        """
        found = (_Found * len(ticket.frames))()
        with self._lock:
            self._checked(self._library.aliked_cuda_collect(self._handle, ticket.number, found))
            return [self._copied(frame, one) for frame, one in zip(ticket.frames, found, strict=True)]

    def score_map(self, image: ImageView) -> _Float32:
        """The score map of an image, (H, W)."""
        scores = np.empty(image.shape, np.float32)
        shape, images = _arguments([Request(image, 1, 0.0)], 1)
        with self._lock:
            out = scores.ctypes.data_as(_Floats)
            self._checked(self._library.aliked_cuda_score_map(self._handle, shape, images, out))
        return scores

    def device_times_ms(
        self, requests: Sequence[Request], replays: int, *, batch: int = 1, match: bool = False
    ) -> _Float32:
        """Milliseconds, (replays,), from images on the device to features on the device.

        Args:
            requests: a multiple of ``batch``, of one shape; they take turns.
            replays: so many times.
            batch: images that are processed together.
            match: include matching to the images before.
        """
        if not requests or len(requests) % batch:
            raise ValueError(f"{len(requests)} images are no batches of {batch}")
        times = np.empty(replays, np.float32)
        shape, images = _arguments(requests, batch)
        numbers = (len(requests) // batch, int(match), replays, times.ctypes.data_as(_Floats))
        with self._lock:
            self._checked(self._library.aliked_cuda_time_device(self._handle, shape, images, *numbers))
        return times

    def stage_times_ms(self, requests: Sequence[Request], rounds: int) -> _Float32:
        """Milliseconds, (rounds, stages), of the stages in ``stages`` for one batch; their kernels do not overlap."""
        times = np.empty((rounds, len(self.stages)), np.float32)
        shape, images = _arguments(requests, len(requests))
        with self._lock:
            out = times.ctypes.data_as(_Floats)
            self._checked(self._library.aliked_cuda_time_stages(self._handle, shape, images, rounds, out))
        return times

    def _copied(self, frame: int, found: _Found) -> Found:
        count = found.count
        x, y, scores, dispersity = _array(found.keypoints, (count, 4)).T
        is_matched = bool(found.partners)
        return Found(
            frame=frame,
            keypoints_xy=np.stack([x, y], 1),
            scores=scores.copy(),
            dispersity=dispersity.copy(),
            descriptors=_array(found.descriptors, (count, self._dim)).copy(),
            partners=_array(found.partners, (count,)).copy() if is_matched else None,
            similarities=_array(found.similarities, (count,)).copy() if is_matched else None,
        )

    def _checked(self, result: int) -> int:
        if result < 0:
            raise _last_error(self._library)
        return result


def _array(pointer: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    """The library's memory as an array, which holds until the next submission."""
    if 0 in shape:
        return np.empty(shape, np.ctypeslib.as_array(pointer, (1,)).dtype)
    return np.ctypeslib.as_array(pointer, shape)


def _arguments(requests: Sequence[Request], batch: int) -> tuple[Any, Any]:
    """The shape of a batch, and its images as the library reads them; these keep what they were made of."""
    first = requests[0].image
    images: Any = (_Request * len(requests))()
    kept: list[Any] = []
    for target, request in zip(images, requests, strict=True):
        image = request.image
        if (image.shape, image.channels) != (first.shape, first.channels):
            raise ValueError(f"images of a batch have one shape; got {first.shape} and {image.shape}, or other colours")
        target.pixels, target.strides = image.address, (ctypes.c_int64 * 3)(*image.strides)
        target.reference, target.threshold = request.reference, request.score_threshold
        target.max_keypoints = request.max_keypoints
        if request.mask is not None:
            if request.mask.shape != image.shape or request.mask.dtype != np.bool_:
                raise ValueError(f"a mask must be {image.shape} bool, got {request.mask.shape} {request.mask.dtype}")
            mask = np.ascontiguousarray(request.mask)
            kept.append(mask)
            target.mask = mask.ctypes.data
        if request.grid is not None:
            if min(request.grid) < 1:
                raise ValueError(f"a grid needs positive rows, columns and features per cell, got {request.grid}")
            target.grid = (ctypes.c_int32 * 3)(*request.grid)
    images.kept = kept
    return (ctypes.c_int32 * 4)(*first.shape, first.channels, batch), images


def device_count() -> int:
    """The number of devices that CUDA sees.

    Raises:
        CudaEngineError: the library is missing, or CUDA does not work.
    """
    loaded = library()
    count: int = loaded.aliked_cuda_device_count()
    if count < 0:
        raise _last_error(loaded)
    return count


def _last_error(loaded: ctypes.CDLL) -> CudaEngineError:
    message: bytes = loaded.aliked_cuda_last_error()
    text = message.decode()
    return CudaRuntimeError(text) if text.startswith("CUDA error") else CudaEngineError(text)
