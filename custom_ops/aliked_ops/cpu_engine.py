# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The compiled CPU engine: the whole network, and nearest neighbours, behind a C interface.

The library knows nothing of torch or Python; `tools/build_engine.py` makes it. Calls release the interpreter's lock.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

INSTRUCTION_SET_VARIABLE = "ALIKED_CPU_ISA"
STAGES = ("block1", "block2", "block3", "block4", "score_head", "detection", "description")
_VERSION = 1
_NARROW = {"fp32": 0, "bf16": 1}
_CHOICE_VARIABLE = "ALIKED_OPS"  # the one that also chooses the operators
_LIBRARY = "_cpu_engine.so"
_BUILD_HINT = "build it with `python -m tools.build_engine`"

_Float32 = NDArray[np.float32]
_Floats = ctypes.POINTER(ctypes.c_float)
_Ints = ctypes.POINTER(ctypes.c_int32)
_Longs = ctypes.POINTER(ctypes.c_int64)
_Bytes = ctypes.POINTER(ctypes.c_uint8)
_Doubles = ctypes.POINTER(ctypes.c_double)
_SIGNATURES: dict[str, tuple[Any, Sequence[Any]]] = {
    "version": (ctypes.c_int32, ()),
    "last_error": (ctypes.c_char_p, ()),
    "instruction_sets": (ctypes.c_int64, (ctypes.c_char_p, ctypes.c_int64)),
    "create": (
        ctypes.c_void_p,
        (_Ints, _Floats, ctypes.c_int64, ctypes.c_int32, ctypes.c_int32, ctypes.c_char_p),
    ),
    "destroy": (None, (ctypes.c_void_p,)),
    "instruction_set": (ctypes.c_char_p, (ctypes.c_void_p,)),
    "detect": (
        ctypes.c_int64,
        (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32, ctypes.c_int32, _Longs, ctypes.c_int32, ctypes.c_float),
    ),
    "describe": (ctypes.c_int64, (ctypes.c_void_p, _Floats, _Floats)),
    "score_map": (
        ctypes.c_int64,
        (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32, ctypes.c_int32, _Longs, _Floats),
    ),
    "stage_ms": (ctypes.c_int64, (ctypes.c_void_p, _Doubles, ctypes.c_int64)),
    "match": (
        ctypes.c_int64,
        (
            *(_Floats, ctypes.c_int64, _Floats, ctypes.c_int64, ctypes.c_int64),
            *(ctypes.c_int32, ctypes.c_char_p, _Ints, _Floats, _Ints),
        ),
    ),
}


class CpuEngineError(RuntimeError):
    """The library is missing, is another version's, or refused what it was asked."""


@dataclass(frozen=True)
class EngineModel:
    """The sizes that tell the published models apart."""

    channels: tuple[int, int, int, int]  # of the four blocks
    dim: int  # of a descriptor, D
    num_positions: int  # of the descriptor head, M


@dataclass(frozen=True, eq=False)
class Extracted:
    """Keypoints and descriptors of one image, strongest first."""

    keypoints_xy: _Float32  # (N, 2) pixels
    scores: _Float32  # (N,)
    dispersity: _Float32  # (N,)
    descriptors: _Float32  # (N, D) unit length


class ImageView:
    """An image as the library reads it, where it lies.

    Args:
        image: (H, W, 3) RGB or (H, W) grey uint8, any strides, 32×32 or larger.

    Raises:
        ValueError: it is none of these.
    """

    def __init__(self, image: NDArray[np.uint8]) -> None:
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
            raise ValueError(f"an image must be (H, W, 3) or (H, W) uint8, got {image.shape} {image.dtype}")
        if min(image.shape[:2]) < 32:
            raise ValueError(f"an image must be at least 32×32, got {image.shape}")
        self._kept = image
        self.shape = (image.shape[0], image.shape[1])
        grey = [0] if image.ndim == 2 else []
        self._strides = (ctypes.c_int64 * 3)(*image.strides, *grey)

    @property
    def arguments(self) -> tuple[Any, ...]:
        """Address, height, width and strides."""
        return self._kept.ctypes.data, *self.shape, self._strides


def tensor_names() -> Iterator[str]:
    """Names of the checkpoint's tensors in the order in which the library reads them."""
    for block in range(1, 5):
        for conv in (1, 2):
            name = f"block{block}.conv{conv}"
            if block < 3:
                yield f"{name}.weight"
            else:
                yield from (f"{name}.offset_conv.weight", f"{name}.offset_conv.bias", f"{name}.regular_conv.weight")
            for part in ("weight", "bias", "running_mean", "running_var"):
                yield f"block{block}.bn{conv}.{part}"
        if block > 1:
            yield from (f"block{block}.downsample.weight", f"block{block}.downsample.bias")
    yield from (f"conv{level}.weight" for level in range(1, 5))
    yield from (f"score_head.{index}.weight" for index in (0, 2, 4, 6))
    yield from (f"desc_head.offset_conv.{index}.{part}" for index in (0, 2) for part in ("weight", "bias"))
    yield from ("desc_head.sf_conv.weight", "desc_head.agg_weights")


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL:
    """The loaded library.

    Raises:
        CpuEngineError: there is none, or it does not fit.
    """
    if os.environ.get(_CHOICE_VARIABLE) == "reference":
        raise CpuEngineError(f"{_CHOICE_VARIABLE}=reference is set")
    path = Path(__file__).with_name(_LIBRARY)
    if not path.is_file():
        raise CpuEngineError(f"no compiled CPU engine at {path}; {_BUILD_HINT}")
    try:
        loaded = ctypes.CDLL(str(path))
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(loaded, f"aliked_cpu_{name}")
            function.restype, function.argtypes = result, list(arguments)
    except (OSError, AttributeError) as error:
        raise CpuEngineError(f"{path}: does not load: {error}; {_BUILD_HINT}") from error
    version = loaded.aliked_cpu_version()
    if version != _VERSION:
        raise CpuEngineError(f"{path}: is version {version} of the interface, not {_VERSION}; {_BUILD_HINT}")
    return loaded


def instruction_sets() -> tuple[str, ...]:
    """The instruction sets that the library and this processor share, fastest first."""
    names = ctypes.create_string_buffer(256)
    _checked(library().aliked_cpu_instruction_sets(names, len(names)))
    return tuple(names.value.decode().split(","))


def supports_bfloat16() -> bool:
    """Whether the library is there and this processor has the instructions for precision "bf16"."""
    try:
        fastest = instruction_sets()[0]
    except CpuEngineError:
        return False
    return (_instruction_set().decode() or fastest) == "avx512bf16"


def available_threads() -> int:
    """The number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class CpuEngine:
    """One network in the library, with buffers kept from image to image; serves one caller at a time.

    Args:
        model: its sizes.
        tensor: gives a checkpoint's tensor by its name, as float32.
        precision: "fp32", or "bf16" for bfloat16 inputs of products with float32 sums.
        threads: that share an image; 0 for as many as this process may use. Results do not depend on it.

    Raises:
        CpuEngineError: the library or the precision is not available, or the weights do not fit the model.
    """

    def __init__(
        self, model: EngineModel, tensor: Callable[[str], NDArray[Any]], *, precision: str = "fp32", threads: int = 0
    ) -> None:
        self._handle = None
        if precision not in _NARROW:
            raise CpuEngineError(f"precision must be fp32 or bf16 on a CPU, got {precision!r}")
        self._library = library()
        self._lock = threading.Lock()
        self._dim = model.dim
        blob = np.concatenate([np.asarray(tensor(name), np.float32).ravel() for name in tensor_names()])
        sizes = (ctypes.c_int32 * 6)(*model.channels, model.dim, model.num_positions)
        self._handle = self._library.aliked_cpu_create(
            *(sizes, _floats(blob), len(blob), threads or available_threads()),
            *(_NARROW[precision], _instruction_set()),
        )
        if not self._handle:
            raise CpuEngineError(_last_error(self._library))

    def __del__(self) -> None:
        if self._handle:
            self._library.aliked_cpu_destroy(self._handle)

    @property
    def instruction_set(self) -> str:
        """The instruction set that runs."""
        name: bytes = self._library.aliked_cpu_instruction_set(self._handle)
        return name.decode()

    def extract(self, image: ImageView, max_keypoints: int, score_threshold: float) -> Extracted:
        """The strongest features of an image above a score."""
        with self._lock:
            count = _checked(
                self._library.aliked_cpu_detect(self._handle, *image.arguments, max_keypoints, score_threshold)
            )
            keypoints = np.empty((count, 4), np.float32)
            descriptors = np.empty((count, self._dim), np.float32)
            _checked(self._library.aliked_cpu_describe(self._handle, _floats(keypoints), _floats(descriptors)))
        x, y, scores, dispersity = keypoints.T.copy()
        return Extracted(np.stack([x, y], 1), scores, dispersity, descriptors)

    def score_map(self, image: ImageView) -> _Float32:
        """The score map of an image, (H, W)."""
        scores = np.empty(image.shape, np.float32)
        with self._lock:
            _checked(self._library.aliked_cpu_score_map(self._handle, *image.arguments, _floats(scores)))
        return scores

    def stage_ms(self) -> dict[str, float]:
        """Wall time of the last image's stages, by their names in ``STAGES``."""
        times = (ctypes.c_double * len(STAGES))()
        self._library.aliked_cpu_stage_ms(self._handle, times, len(times))
        return dict(zip(STAGES, times, strict=True))


def nearest_neighbours(
    a: _Float32, b: _Float32, threads: int = 1
) -> tuple[NDArray[np.int32], _Float32, NDArray[np.int32]]:
    """For each row of a (N, D) the row of b (K, D) with the largest dot product, and the reverse.

    Equal to ``(a @ b.T).argmax(1)`` and ``.argmax(0)`` up to rounding: of equal products the first row counts.

    Returns:
        best rows of b (N,), their products (N,), best rows of a (K,).

    Raises:
        CpuEngineError: the library is not available.
        ValueError: the arrays are not two non-empty matrices of one depth.
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or 0 in (*a.shape, *b.shape):
        raise ValueError(f"two matrices of the same depth, not empty, are needed; got {a.shape} and {b.shape}")
    a, b = np.ascontiguousarray(a, np.float32), np.ascontiguousarray(b, np.float32)
    best_of_a, best_of_b = np.empty(len(a), np.int32), np.empty(len(b), np.int32)
    products = np.empty(len(a), np.float32)
    _checked(
        library().aliked_cpu_match(
            *(_floats(a), len(a), _floats(b), len(b), a.shape[1], threads or available_threads(), _instruction_set()),
            *(best_of_a.ctypes.data_as(_Ints), _floats(products), best_of_b.ctypes.data_as(_Ints)),
        )
    )
    return best_of_a, products, best_of_b


def _instruction_set() -> bytes:
    return os.environ.get(INSTRUCTION_SET_VARIABLE, "").encode()


def _floats(array: NDArray[Any]) -> Any:
    return array.ctypes.data_as(_Floats)


def _checked(result: int) -> int:
    if result < 0:
        raise CpuEngineError(_last_error(library()))
    return result


def _last_error(loaded: ctypes.CDLL) -> str:
    message: bytes = loaded.aliked_cpu_last_error()
    return message.decode()
