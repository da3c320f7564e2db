# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Runs the tracker on an engine that claims to be a GPU's and fails like one, once a file tells it to.

Told by the environment: ``FAULT_FILE`` holds the error to raise at the next image, ``memory`` or the text of a
RuntimeError, and after a space how many images meet it; it may be written at any time.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import torch

from aliked_ros.engine import recovery
from aliked_ros.engine.base import Engine, EngineInfo
from aliked_ros.engine.select import create_engine
from aliked_ros.ros import tracker

_FAULT_FILE = Path(os.environ["FAULT_FILE"])


class FailingEngine:
    """Does what another engine does until the file says otherwise."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.info: EngineInfo = dataclasses.replace(engine.info, device="cuda:0", backend="simulated")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def extract(self, *arguments: Any, **options: Any) -> Any:
        if _FAULT_FILE.exists():
            count, _, text = _FAULT_FILE.read_text().partition(" ")
            if int(count) > 1:
                _FAULT_FILE.write_text(f"{int(count) - 1} {text}")
            else:
                _FAULT_FILE.unlink()
            raise torch.cuda.OutOfMemoryError("CUDA out of memory") if text == "memory" else RuntimeError(text)
        return self._engine.extract(*arguments, **options)


def create_failing(*arguments: Any, **options: Any) -> Engine:
    recovery.create_engine = create_engine  # the stand-in is a sound one
    return FailingEngine(create_engine(*arguments, **options))


if __name__ == "__main__":
    recovery.create_engine = create_failing
    raise SystemExit(tracker.main())
