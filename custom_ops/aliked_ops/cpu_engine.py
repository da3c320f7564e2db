# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The compiled CPU engine: the whole network, and nearest neighbours, behind a C interface.

The library knows nothing of torch or Python; `tools/build_engine.py` makes it. Calls release the interpreter's lock.
"""

from __future__ import annotations

import ctypes
import math
import os
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aliked_ops.engine_types import EngineModel, Extracted, ImageView, read_tensors

INSTRUCTION_SET_VARIABLE = "ALIKED_CPU_ISA"
STAGES = ("block1", "block2", "block3", "block4", "score_head", "detection", "description")
_VERSION = 3
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
        (
            *(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32, ctypes.c_int32, _Longs, ctypes.c_int32),
            *(ctypes.c_float, _Ints, _Bytes),
        ),
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
            *(ctypes.c_float, ctypes.c_int32, ctypes.c_char_p, _Ints, _Floats, _Ints),
        ),
    ),
    "align": (
        ctypes.c_int64,
        (
            *(_Floats, ctypes.c_int32, ctypes.c_int32, _Floats, _Doubles, _Ints, ctypes.c_int64),
            *(_Floats, ctypes.c_int32, ctypes.c_char_p, _Floats, _Floats),
        ),
    ),
    "cut_patches": (
        ctypes.c_int64,
        (_Floats, ctypes.c_int32, ctypes.c_int32, _Floats, ctypes.c_int64, ctypes.c_char_p, _Floats, _Doubles),
    ),
}


class CpuEngineError(RuntimeError):
    """The library is missing, is another version's, or refused what it was asked."""


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
    checked(library().aliked_cpu_instruction_sets(names, len(names)))
    return tuple(names.value.decode().split(","))


def supports_bfloat16() -> bool:
    """Whether the library is there and this processor has the instructions for precision "bf16"."""
    try:
        fastest = instruction_sets()[0]
    except CpuEngineError:
        return False
    return (chosen_instruction_set().decode() or fastest) == "avx512bf16"


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
        blob = read_tensors(tensor)
        sizes = (ctypes.c_int32 * 6)(*model.channels, model.dim, model.num_positions)
        self._handle = self._library.aliked_cpu_create(
            *(sizes, floats(blob), len(blob), threads or available_threads()),
            *(_NARROW[precision], chosen_instruction_set()),
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

    def extract(
        self,
        image: ImageView,
        max_keypoints: int,
        score_threshold: float,
        grid: tuple[int, int, int] | None = None,
        mask: NDArray[np.bool_] | None = None,
    ) -> Extracted:
        """The strongest features of an image above a score.

        Args:
            image: of H×W pixels.
            max_keypoints: most features.
            score_threshold: their maxima score more.
            grid: rows, columns, and the most features of one of these equal cells; ``None`` for no such limit.
            mask: (H, W), false where no feature is wanted; ``None`` wants them everywhere.

        Raises:
            ValueError: the mask has another size, or a number of the grid is not positive.
        """
        limits = (max_keypoints, score_threshold, _grid_argument(grid), _mask_argument(mask, image.shape))
        with self._lock:
            count = checked(self._library.aliked_cpu_detect(self._handle, *image.arguments, *limits))
            keypoints = np.empty((count, 4), np.float32)
            descriptors = np.empty((count, self._dim), np.float32)
            checked(self._library.aliked_cpu_describe(self._handle, floats(keypoints), floats(descriptors)))
        x, y, scores, dispersity = keypoints.T.copy()
        return Extracted(np.stack([x, y], 1), scores, dispersity, descriptors)

    def score_map(self, image: ImageView) -> _Float32:
        """The score map of an image, (H, W)."""
        scores = np.empty(image.shape, np.float32)
        with self._lock:
            checked(self._library.aliked_cpu_score_map(self._handle, *image.arguments, floats(scores)))
        return scores

    def stage_ms(self) -> dict[str, float]:
        """Wall time of the last image's stages, by their names in ``STAGES``."""
        times = (ctypes.c_double * len(STAGES))()
        self._library.aliked_cpu_stage_ms(self._handle, times, len(times))
        return dict(zip(STAGES, times, strict=True))


def nearest_neighbours(
    a: _Float32, b: _Float32, threads: int = 1, min_product: float = -math.inf
) -> tuple[NDArray[np.int32], _Float32, NDArray[np.int32]]:
    """For each row of a (N, D) the row of b (K, D) with the largest dot product, and the reverse.

    Equal to ``(a @ b.T).argmax(1)`` and ``.argmax(0)`` up to rounding: of equal products the first row counts.

    Args:
        a: (N, D).
        b: (K, D).
        threads: that share the search, 0 for as many as this process has processors; the result is the same.
        min_product: products below do not count. A gate of half the largest possible product or more makes the search
            about twice as fast: most pairs are left out after their first 32 values.

    Returns:
        best rows of b (N,), their products (N,), best rows of a (K,); -1, and a product of -inf, where none counts.

    Raises:
        CpuEngineError: the library is not available.
        ValueError: the arrays are not two non-empty matrices of one depth.
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or 0 in (*a.shape, *b.shape):
        raise ValueError(f"two matrices of the same depth, not empty, are needed; got {a.shape} and {b.shape}")
    a, b = np.ascontiguousarray(a, np.float32), np.ascontiguousarray(b, np.float32)
    best_of_a, best_of_b = np.empty(len(a), np.int32), np.empty(len(b), np.int32)
    products = np.empty(len(a), np.float32)
    checked(
        library().aliked_cpu_match(
            *(floats(a), len(a), floats(b), len(b), a.shape[1]),
            *(min_product, threads or available_threads(), chosen_instruction_set()),
            *(best_of_a.ctypes.data_as(_Ints), floats(products), best_of_b.ctypes.data_as(_Ints)),
        )
    )
    return best_of_a, products, best_of_b


def _grid_argument(grid: tuple[int, int, int] | None) -> Any:
    if grid is None:
        return None
    if min(grid) < 1:
        raise ValueError(f"a grid needs positive rows, columns and features per cell, got {grid}")
    return (ctypes.c_int32 * 3)(*grid)


def _mask_argument(mask: NDArray[np.bool_] | None, shape: tuple[int, int]) -> Any:
    if mask is None:
        return None
    if mask.shape != shape or mask.dtype != np.bool_:
        raise ValueError(f"a mask must be {shape} bool like the image, got {mask.shape} {mask.dtype}")
    # The pointer keeps the array that it was made from.
    return np.ascontiguousarray(mask).ctypes.data_as(_Bytes)


def chosen_instruction_set() -> bytes:
    """The instruction set that the environment asks for, empty for the fastest, as the library takes it."""
    return os.environ.get(INSTRUCTION_SET_VARIABLE, "").encode()


def doubles(array: NDArray[Any]) -> Any:
    """The address of a float64 array, as the library takes it."""
    return array.ctypes.data_as(_Doubles)


def ints(array: NDArray[Any]) -> Any:
    """The address of an int32 array, as the library takes it."""
    return array.ctypes.data_as(_Ints)


def floats(array: NDArray[Any]) -> Any:
    """The address of a float32 array, as the library takes it."""
    return array.ctypes.data_as(_Floats)


def checked(result: int) -> int:
    """A result of the library; CpuEngineError with its message where it failed."""
    if result < 0:
        raise CpuEngineError(_last_error(library()))
    return result


def _last_error(loaded: ctypes.CDLL) -> str:
    message: bytes = loaded.aliked_cpu_last_error()
    return message.decode()
