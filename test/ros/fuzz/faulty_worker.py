# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""A process under test that has every fault a campaign must find: ``python -m faulty_worker REQUEST``."""

from __future__ import annotations

import ctypes
import json
import sys
import time
from pathlib import Path

from tools.fuzz.serving import serve

CRASHES, HANGS, FAILS = 13, 27, 35


class FaultyTarget:
    def run(self, index: int) -> tuple[str, str]:
        if index == CRASHES:
            ctypes.string_at(0)
        if index == HANGS:
            time.sleep(600)
        if index == FAILS:
            raise KeyError("no AlikedError")
        return "made up", "accepted"

    def close(self) -> None:
        pass


class LeakingTarget:
    def __init__(self) -> None:
        self._kept: list[bytes] = []

    def run(self, index: int) -> tuple[str, str]:
        self._kept.append(bytes([index % 255 + 1]) * 1_000_000)
        return "made up", "accepted"

    def close(self) -> None:
        pass


class HarmlessTarget:
    def run(self, index: int) -> tuple[str, str]:
        time.sleep(0.001)
        return "made up", "accepted"

    def close(self) -> None:
        pass


if __name__ == "__main__":
    request = json.loads(Path(sys.argv[1]).read_text())
    serve(request, {"sensor": FaultyTarget, "result": LeakingTarget, "file": HarmlessTarget})
