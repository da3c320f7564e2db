# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Descriptors as bytes: float32 exactly, float16 and int8 with a stated error; little endian, row-major."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aliked_ros.errors import MessageError
from aliked_ros.features import Float32Array


class DescriptorDtype(enum.IntEnum):
    """Type of a descriptor's elements; the values are those of Features.msg.

    The largest error of an element x of a unit-length descriptor, |x| <= 1:

    ======= ==========================================================
    FLOAT32 none
    FLOAT16 2^-11 |x|, and 2^-25 where |x| < 2^-14 (IEEE 754 binary16)
    INT8    descriptor_scale / 2, and descriptor_scale <= 1/127
    ======= ==========================================================
    """

    NONE = 0
    FLOAT32 = 1
    FLOAT16 = 2
    INT8 = 3


class DescriptorMetric(enum.IntEnum):
    """Distance that descriptors are compared with; the values are those of Features.msg."""

    L2 = 0
    COSINE = 1
    HAMMING = 2


_LITTLE_ENDIAN: dict[DescriptorDtype, np.dtype[Any]] = {
    DescriptorDtype.FLOAT32: np.dtype("<f4"),
    DescriptorDtype.FLOAT16: np.dtype("<f2"),
    DescriptorDtype.INT8: np.dtype("i1"),
}
_INT8_MAX = 127
_MAX_DIM = 65536


@dataclass(frozen=True, eq=False)
class EncodedDescriptors:
    """What Features.msg says about descriptors."""

    dtype: DescriptorDtype
    dim: int  # elements per descriptor; 0 for NONE
    scale: float  # value of one unit of an INT8 element; 1 otherwise
    data: NDArray[np.uint8]  # (N * dim * size,)


def encode_descriptors(descriptors: Float32Array, dtype: DescriptorDtype) -> EncodedDescriptors:
    """Encodes descriptors (N, D) float32; FLOAT32 shares their memory where they are contiguous.

    Raises:
        MessageError: INT8 of descriptors that are not finite.
    """
    if dtype is DescriptorDtype.NONE:
        return EncodedDescriptors(dtype, 0, 1.0, np.empty(0, np.uint8))
    scale = 1.0
    if dtype is DescriptorDtype.INT8:
        quantised, scale = _quantise(descriptors)
        elements: NDArray[Any] = quantised
    else:
        elements = np.ascontiguousarray(descriptors, _LITTLE_ENDIAN[dtype])
    return EncodedDescriptors(dtype, descriptors.shape[1], scale, elements.reshape(-1).view(np.uint8))


def _quantise(descriptors: Float32Array) -> tuple[NDArray[np.int8], float]:
    """One scale for all, so that INT8 products of two images need one factor only."""
    largest = float(np.abs(descriptors).max()) if descriptors.size else 0.0
    if not np.isfinite(largest):
        raise MessageError("descriptors must be finite to be sent as INT8, got NaN or infinity")
    # In float32, as the message carries it; descriptors of zeros need some scale, too.
    scale = np.float32(largest / _INT8_MAX) or np.float32(1 / _INT8_MAX)
    quantised = np.rint(descriptors / scale)
    return np.clip(quantised, -_INT8_MAX, _INT8_MAX).astype(np.int8), float(scale)


def decode_descriptors(encoded: EncodedDescriptors, count: int) -> Float32Array:
    """Descriptors (count, D) float32; a view of the data for FLOAT32, (count, 0) for NONE.

    Raises:
        MessageError: the data's length is not count * D * element size, or an INT8 scale is not positive.
    """
    if encoded.dtype is DescriptorDtype.NONE:
        if len(encoded.data) or encoded.dim:
            raise MessageError(
                f"Features.descriptors has {len(encoded.data)} bytes and descriptor_dim is {encoded.dim}, "
                "expected 0 and 0 for descriptor_dtype NONE"
            )
        return np.empty((count, 0), np.float32)
    if count and not encoded.dim:
        raise MessageError(f"Features.descriptor_dim must be positive for {encoded.dtype.name}, got 0")
    if encoded.dim > _MAX_DIM:  # without a feature no length contradicts it
        raise MessageError(f"Features.descriptor_dim must be at most {_MAX_DIM}, got {encoded.dim}")
    element = _LITTLE_ENDIAN[encoded.dtype]
    expected = count * encoded.dim * element.itemsize
    if len(encoded.data) != expected:
        raise MessageError(
            f"Features.descriptors has {len(encoded.data)} bytes, expected {expected} "
            f"for {count} descriptors of {encoded.dim} {encoded.dtype.name} elements"
        )
    elements = encoded.data.view(element).reshape(count, encoded.dim)
    if encoded.dtype is DescriptorDtype.INT8:
        if not 0 < encoded.scale * _INT8_MAX <= float(np.finfo(np.float32).max):  # False for NaN, too
            raise MessageError(f"Features.descriptor_scale must be positive and finite for INT8, got {encoded.scale}")
        return elements * np.float32(encoded.scale)
    # A message inside a larger buffer may start at any byte; torch refuses arrays that are not aligned.
    return np.require(elements, np.float32, "A")
