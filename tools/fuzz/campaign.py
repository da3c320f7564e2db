# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Runs the cases in another process, outlives its crashes and hangs, and says what was found."""

from __future__ import annotations

import collections
import json
import math
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from aliked_ros.errors import AlikedError
from aliked_ros.ros.domain import private_domain
from tools.fuzz.config import Block, FuzzConfig, rounds
from tools.fuzz.progress import Progress

_POLL_S = 0.2
_START_S = 120.0  # for imports, weights and files
_ABORT_S = 10.0
_WARM_UP = 0.25  # share of a process's rounds whose memory does not count
_LOG_LINES = 40


class FuzzError(AlikedError):
    """The campaign itself cannot go on."""


@dataclass(frozen=True)
class Find:
    """Something that may not be."""

    family: str
    index: int
    what: str
    details: list[str] = field(default_factory=list)


@dataclass
class Findings:
    """What a campaign came to."""

    outcomes: collections.Counter[tuple[str, str, str]] = field(default_factory=collections.Counter)
    finds: list[Find] = field(default_factory=list)
    resident_mb: list[list[float]] = field(default_factory=list)  # after each round of each process
    seconds: float = 0.0

    @property
    def cases(self) -> int:
        """How many cases were run to their end."""
        return sum(self.outcomes.values())


class Campaign:
    """Tries what the configuration says.

    Args:
        config: how much, and what counts as a find.
        log: gets all that the process under test prints.
        worker: module that runs the cases.
    """

    def __init__(self, config: FuzzConfig, log: Path, worker: str = "tools.fuzz.worker") -> None:
        self._config = config
        self._worker = worker
        self._log = log
        self._skip: list[tuple[str, int]] = []
        self.findings = Findings()

    def run(self) -> Findings:
        """Everything; ends early when time is up or enough was found."""
        started_s = time.monotonic()
        self._log.write_bytes(b"")
        base = rounds(self._config)
        total = None if self._config.seconds else sum(block.count for blocks in base for block in blocks)
        with ExitStack() as stack:
            environment = {**os.environ, **stack.enter_context(private_domain())}
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aliked_ros_fuzz_")))
            environment["ROS_LOG_DIR"] = str(folder / "log")
            bar = stack.enter_context(tqdm(total=total, unit="case", unit_scale=True, desc="fuzzing", disable=None))
            passes, waiting = 1, base
            while waiting and len(self.findings.finds) < self._config.max_finds:
                left_s = self._config.seconds - (time.monotonic() - started_s) if self._config.seconds else math.inf
                if left_s <= 0:
                    break
                waiting = self._run_process(waiting, folder, environment, bar, left_s)
                if not waiting and self._config.seconds:
                    waiting = [[self._later(block, passes) for block in blocks] for blocks in base]
                    passes += 1
        self.findings.seconds = time.monotonic() - started_s
        self._judge_memory()
        return self.findings

    def _later(self, block: Block, passes: int) -> Block:
        """The same mixture goes on with new cases."""
        return Block(block.family, block.first + passes * self._config.count(block.family), block.count)

    def _run_process(
        self, waiting: list[list[Block]], folder: Path, environment: dict[str, str], bar: tqdm[Any], left_s: float
    ) -> list[list[Block]]:
        """Runs rounds in one process and returns those that it did not end."""
        request, progress = folder / "request.json", Progress(folder / "progress")
        content = {
            "rounds": [[asdict(block) for block in blocks] for blocks in waiting],
            "seed": self._config.seed,
            "deadline": self._config.deadline,
            "folder": str(folder / "files"),
            "progress": str(folder / "progress"),
            "skip": self._skip,
            "seconds": left_s if math.isfinite(left_s) else 0.0,
        }
        request.write_text(json.dumps(content), encoding="utf-8")
        command = [sys.executable, "-m", self._worker, str(request)]
        self.findings.resident_mb.append([])
        begun_before, done = progress.begun, 0
        with self._log.open("ab") as log:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=environment, text=True)
            lines = _Lines(process)
            ending = self._watch(process, lines, progress, bar)
            done = lines.rounds
            if ending:
                self._note_ending(ending, progress, begun_before)
        return waiting[done:] if ending else []

    def _watch(self, process: subprocess.Popen[str], lines: _Lines, progress: Progress, bar: tqdm[Any]) -> str:
        """Waits for the process's end; how it ended, empty where it ended well."""
        begun, changed_s, patience_s = progress.begun, time.monotonic(), _START_S
        shown = begun
        while process.poll() is None:
            self._take(lines)
            if progress.begun != begun:
                begun, changed_s, patience_s = progress.begun, time.monotonic(), self._config.deadline
                bar.update(begun - shown)
                shown = begun
            # Twice, because a target has a deadline of its own, and its complaint says more than ours.
            elif time.monotonic() - changed_s > 2 * patience_s:
                _abort(process)
                self._take(lines)
                return f"nothing happened for {2 * patience_s:g} s"
            if len(self.findings.finds) >= self._config.max_finds:
                _abort(process)
                return ""
            time.sleep(_POLL_S)
        lines.join()
        self._take(lines)
        bar.update(progress.begun - shown)
        return "" if process.returncode == 0 else f"the process ended with {_exit_name(process.returncode)}"

    def _take(self, lines: _Lines) -> None:
        for content in lines.take():
            if "what" in content:
                find = Find(content["family"], content["index"], content["what"], content["traceback"])
                if find.what not in {known.what for known in self.findings.finds}:
                    self.findings.finds.append(find)
            else:
                self.findings.outcomes.update({(f, kind, out): count for f, kind, out, count in content["outcomes"]})
                self.findings.resident_mb[-1].append(content["resident_mb"])

    def _note_ending(self, ending: str, progress: Progress, begun_before: int) -> None:
        tail = self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
        if progress.begun == begun_before:
            raise FuzzError(f"no case was begun: {ending}: {' | '.join(tail[-5:])}; see {self._log}")
        family, index = progress.current
        self._skip.append((family, index))
        self.findings.finds.append(Find(family, index, ending, tail))

    def _judge_memory(self) -> None:
        for resident_mb in self.findings.resident_mb:
            grown_mb = growth_mb(resident_mb)
            if grown_mb > self._config.max_growth_mb:
                what = f"memory grew by {grown_mb:.1f} MB, at most {self._config.max_growth_mb:g} are allowed"
                self.findings.finds.append(Find("all", 0, what, [f"{value:.1f}" for value in resident_mb]))


def growth_mb(resident_mb: list[float]) -> float:
    """What memory has gained between the first quarter after the warm-up and the last quarter; 0 for a few rounds."""
    settled = resident_mb[int(np.ceil(_WARM_UP * len(resident_mb))) :]
    quarter = len(settled) // 4
    if quarter < 1:
        return 0.0
    return float(np.median(settled[-quarter:]) - np.median(settled[:quarter]))


class _Lines:
    """What a process tells, read by a thread so that the pipe never fills."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.rounds = 0
        self._process = process
        self._queue: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def take(self) -> Iterator[dict[str, Any]]:
        """What has come since the last time."""
        while not self._queue.empty():
            content = self._queue.get()
            self.rounds += "outcomes" in content
            yield content

    def join(self) -> None:
        """Waits for the last line."""
        self._thread.join()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._queue.put(json.loads(line))


def _abort(process: subprocess.Popen[str]) -> None:
    """Ends the process by the signal at which faulthandler writes every thread's stack."""
    process.send_signal(signal.SIGABRT)
    try:
        process.wait(_ABORT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _exit_name(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
