# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What a benchmark measures; its defaults and limits are written here only."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from aliked_ros.errors import ConfigError
from aliked_ros.frontend.config import MODEL_NAMES, ExtractorConfig

PRECISIONS = ("fp32", "bf16")
PEERS = ("kornia", "xfeat", "sift", "orb")
PARTS = ("frames", "area", "keypoints", "matching", "memory", "complexity", "profile")
MAIN_SIZE = (640, 480)
SIZES = ((320, 240), MAIN_SIZE, (1280, 720), (1920, 1080))
KEYPOINTS = (250, 500, 1000, 2000, 4000)

_SIZE = re.compile(r"(\d+)[xX×](\d+)")
_SMALLEST_PX, _LARGEST_PX = 32, 8192
_LARGEST = {"threads": 1024, "rounds": 100_000}


@dataclass(frozen=True)
class BenchConfig:
    """What is measured, and how often.

    Raises:
        ConfigError: naming the value and what is allowed.
    """

    models: tuple[str, ...] = MODEL_NAMES
    precisions: tuple[str, ...] = PRECISIONS  # those that the processor lacks are listed as absent
    peers: tuple[str, ...] = PEERS
    threads: int = 2  # of every candidate
    sizes: tuple[tuple[int, int], ...] = SIZES  # (width, height) pixels
    keypoints: tuple[int, ...] = KEYPOINTS
    rounds: int = 20
    parts: tuple[str, ...] = field(default=PARTS)

    def __post_init__(self) -> None:
        for name, allowed in (
            ("models", MODEL_NAMES), ("precisions", PRECISIONS), ("peers", PEERS), ("parts", PARTS),
        ):  # fmt: skip
            for value in getattr(self, name):
                if value not in allowed:
                    raise ConfigError(f"{name} must be among {', '.join(allowed)}, got {value!r}")
        for name in ("models", "precisions", "sizes", "keypoints", "parts"):
            if not getattr(self, name):
                raise ConfigError(f"{name} must name at least one")
        for name, largest in _LARGEST.items():
            _require_range(name, getattr(self, name), 1, largest)
        for count in self.keypoints:
            _require_range("keypoints", count, 1, 65536)
        for size in self.sizes:
            for extent in size:
                _require_range("an extent of size", extent, _SMALLEST_PX, _LARGEST_PX)

    @property
    def main_size(self) -> tuple[int, int]:
        """The size of the table: 640×480 where it is among the sizes, else the first."""
        return MAIN_SIZE if MAIN_SIZE in self.sizes else self.sizes[0]

    @property
    def main_keypoints(self) -> int:
        """The limit of the table: the extractor's default where it is among those asked for, else the first."""
        default = int(ExtractorConfig.max_keypoints)
        return default if default in self.keypoints else self.keypoints[0]

    @property
    def main_model(self) -> str:
        """The model of the sweeps and of the peer that runs ALIKED too."""
        default = str(ExtractorConfig.model)
        return default if default in self.models else self.models[0]


def parse_size(text: str) -> tuple[int, int]:
    """Width and height in pixels of ``640x480``; ConfigError for anything else."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ConfigError(f"a size is WIDTHxHEIGHT in pixels, such as 640x480; got {text!r}")
    return int(found.group(1)), int(found.group(2))


def _require_range(name: str, value: int, minimum: int, maximum: int) -> None:
    if not minimum <= value <= maximum:
        raise ConfigError(f"{name} must be in [{minimum}, {maximum}], got {value}")
