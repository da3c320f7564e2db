# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the process under test is doing now, in memory that outlives it."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from tools.fuzz.config import FAMILIES

_LAYOUT = struct.Struct("<QQQ")  # cases begun, number of the family, number of the case


class Progress:
    """A file that two processes map: one says which case it begins, the other looks.

    Args:
        path: of the file; it is made where it does not exist.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(_LAYOUT.size))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _LAYOUT.size)

    def begin(self, family: str, index: int) -> None:
        """A case begins."""
        begun, _, _ = _LAYOUT.unpack_from(self._memory)
        _LAYOUT.pack_into(self._memory, 0, begun + 1, FAMILIES.index(family), index)

    @property
    def begun(self) -> int:
        """How many cases have begun."""
        return int(_LAYOUT.unpack_from(self._memory)[0])

    @property
    def current(self) -> tuple[str, int]:
        """Family and number of the case that began last."""
        _, family, index = _LAYOUT.unpack_from(self._memory)
        return FAMILIES[family], index
