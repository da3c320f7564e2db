# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""How much is tried, and what counts as a find."""

from __future__ import annotations

from dataclasses import dataclass

from aliked_ros.config import Config, option

FAMILIES = ("sensor", "result", "file")


@dataclass(frozen=True)
class FuzzConfig(Config):
    """A campaign."""

    sensor: int = option(200_000, "Image, CompressedImage, CameraInfo and depth messages", minimum=0, maximum=10**9)
    result: int = option(200_000, "Features, Matches and Tracks messages", minimum=0, maximum=10**9)
    file: int = option(
        2_000, "bags, videos, pictures, lists and calibrations that were cut or damaged", minimum=0, maximum=10**9
    )
    seconds: float = option(
        0.0, "longest time, over which the same mixture goes on; 0 tries the numbers above once",
        unit="seconds", minimum=0.0, maximum=1e7,
    )  # fmt: skip
    seed: int = option(0, "another seed makes other cases", minimum=0, maximum=2**63 - 1)
    first: int = option(0, "number of the first case, to repeat one", minimum=0, maximum=10**12)
    deadline: float = option(
        30.0, "longest time for a single case; longer is a hang", unit="seconds", minimum=1.0, maximum=3600.0
    )
    max_growth_mb: float = option(
        32.0,
        "memory that may have come on top between the warm-up and the end: buffers keep the size of the largest "
        "message so far, and a leak of 100 bytes for each case is more",
        unit="MB",
        minimum=0.1,
        maximum=1e6,
    )
    max_finds: int = option(10, "finds after which the campaign ends", minimum=1, maximum=10**6)

    def count(self, family: str) -> int:
        """How many cases of a family are to be tried."""
        return int(getattr(self, family))


@dataclass(frozen=True)
class Block:
    """Cases of one family, one after another."""

    family: str
    first: int
    count: int


def rounds(config: FuzzConfig, blocks: int = 100) -> list[list[Block]]:
    """The campaign in rounds that are all alike, so that the memory after one can be compared with that after another.

    Args:
        config: how much is tried.
        blocks: most rounds; fewer where there are fewer cases.
    """
    most = max(config.count(family) for family in FAMILIES)
    number = max(1, min(blocks, most))
    made: list[list[Block]] = []
    for index in range(number):
        bounds = ((f, config.count(f) * index // number, config.count(f) * (index + 1) // number) for f in FAMILIES)
        made.append([Block(f, config.first + start, end - start) for f, start, end in bounds if end > start])
    return made
