# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Runs cases and tells of them; imports nothing that a target needs, so that its memory is the targets'."""

from __future__ import annotations

import collections
import ctypes
import faulthandler
import gc
import json
import math
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from aliked_ros.bench.peak import own_resident_mb
from tools.fuzz.config import Block
from tools.fuzz.progress import Progress

_TRACEBACK_LINES = 12


class Target(Protocol):
    """Something that is fed."""

    def run(self, index: int) -> tuple[str, str]:
        """The kind of the case with this number, and its outcome; any other exception than AlikedError is a find."""
        ...

    def close(self) -> None:
        """Ends what was started."""
        ...


class Worker:
    """Runs cases.

    Args:
        targets: what each family feeds.
        progress: is told of each case.
        tell: gets what is to be reported.
        skip: cases that are left out, because they ended an earlier process.
        seconds: after which no case is begun; 0 sets no limit.
    """

    def __init__(
        self,
        targets: dict[str, Target],
        progress: Progress,
        tell: Callable[[dict[str, Any]], None],
        skip: set[tuple[str, int]],
        seconds: float,
    ) -> None:
        self._targets = targets
        self._progress = progress
        self._tell = tell
        self._skip = skip
        self._until_s = time.monotonic() + seconds if seconds else math.inf
        self._outcomes: collections.Counter[tuple[str, str, str]] = collections.Counter()

    @property
    def has_time(self) -> bool:
        """Whether another case may begin."""
        return time.monotonic() < self._until_s

    def run(self, blocks: list[Block]) -> None:
        """One round, or what there is time for."""
        started_s = time.monotonic()
        for block in blocks:
            for index in range(block.first, block.first + block.count):
                if (block.family, index) not in self._skip and self.has_time:
                    self._run_case(block.family, index)
        outcomes = [[*key, count] for key, count in self._outcomes.items()]
        self._outcomes.clear()
        seconds = time.monotonic() - started_s
        self._tell({"outcomes": outcomes, "resident_mb": _settled_resident_mb(), "seconds": seconds})

    def _run_case(self, family: str, index: int) -> None:
        self._progress.begin(family, index)
        try:
            kind, outcome = self._targets[family].run(index)
        except Exception as error:  # noqa: BLE001  whatever it is, it is a find
            kind, outcome = family, "find"
            lines = traceback.format_exc().splitlines()[-_TRACEBACK_LINES:]
            name, what = type(error).__name__, str(error)[:1000]
            self._tell({"family": family, "index": index, "what": f"{name}: {what}", "traceback": lines})
        self._outcomes[family, kind, outcome] += 1


def _settled_resident_mb() -> float:
    """Resident memory without what the allocator keeps for later."""
    gc.collect()
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).malloc_trim(0)
    return own_resident_mb()


def serve(request: dict[str, Any], makers: Mapping[str, Callable[[], Target]]) -> None:
    """Makes the targets that are needed, runs the rounds and says so on the standard output."""
    faulthandler.enable()
    families = {block["family"] for blocks in request["rounds"] for block in blocks}
    targets = {family: make() for family, make in makers.items() if family in families}
    skip = {(family, index) for family, index in request["skip"]}
    worker = Worker(targets, Progress(Path(request["progress"])), _tell, skip, request["seconds"])
    for blocks in request["rounds"]:
        if not worker.has_time:
            break
        worker.run([Block(**block) for block in blocks])
    for target in targets.values():
        target.close()


def _tell(content: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()
