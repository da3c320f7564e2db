# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Peak memory of a process that extracts, measured in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np

from aliked_ros.bench.candidates import Candidate
from aliked_ros.engine.base import Image
from aliked_ros.errors import DeviceError


def peak_mb(candidate: Candidate | None, image: Image) -> float:
    """Peak resident memory in MB (10⁶ bytes) of a process that extracts from an image, several times.

    Args:
        candidate: what extracts; ``None`` only imports torch.
        image: (H, W, 3) uint8 RGB.

    Raises:
        DeviceError: the process fails; with the last line of what it said.
    """
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "image.npy"
        np.save(path, image)
        request = json.dumps({"candidate": candidate and asdict(candidate), "image": str(path)})
        command = [sys.executable, "-m", "aliked_ros.bench.peak", request]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["nothing was said"])[-1]
        name = candidate.name if candidate else "import torch"
        raise DeviceError(f"the process that measures the memory of {name} ended with {done.returncode}: {said}")
    return float(json.loads(done.stdout.splitlines()[-1])["peak_mb"])
