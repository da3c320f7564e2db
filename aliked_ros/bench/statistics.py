# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Medians and spreads of repeated measurements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aliked_ros.errors import ShapeError


@dataclass(frozen=True)
class Spread:
    """What repeated measurements of one quantity say of it."""

    median: float
    quartile_low: float
    quartile_high: float
    minimum: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of values; ShapeError without any."""
        if len(values) == 0:
            raise ShapeError("no measurement: a spread needs at least one value")
        low, median, high = np.percentile(values, (25, 50, 75))
        return cls(float(median), float(low), float(high), float(min(values)))


def paired_ratio(values: Sequence[float], reference: Sequence[float]) -> Spread:
    """The spread of values over those of a reference that were measured in the same rounds.

    What disturbs a machine for longer than a round disturbs both, and leaves their ratio alone.

    Raises:
        ShapeError: they were not measured in the same rounds.
    """
    if len(values) != len(reference):
        raise ShapeError(f"{len(values)} and {len(reference)} measurements are no pairs; measure them in one run")
    return Spread.of([value / base for value, base in zip(values, reference, strict=True)])
