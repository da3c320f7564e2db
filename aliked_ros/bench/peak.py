# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The process whose memory is measured: ``python -m aliked_ros.bench.peak REQUEST``; see ``memory``.

It imports nothing before it knows what for, because what it imports counts.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

_NUM_EXTRACTIONS = 5
_KIB_PER_MB = 1e6 / 1024


def own_peak_mb() -> float:
    """Peak resident memory of this process so far, in MB (10⁶ bytes).

    Linux counts it for the program; getrusage's figure starts from that of the process which started this one.
    """
    return _status_mb("VmHWM")


def own_resident_mb() -> float:
    """Resident memory of this process, in MB; where the system does not tell, its peak."""
    return _status_mb("VmRSS")


def _status_mb(field: str) -> float:
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith(field))
        return int(line.split()[1]) / _KIB_PER_MB
    unit = 1e-6 if sys.platform == "darwin" else 1 / _KIB_PER_MB  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _import_torch() -> None:
    import torch  # noqa: F401  its memory is what that of the others is compared with


def _extract(candidate: dict[str, object], image_path: str) -> None:
    import numpy as np

    from aliked_ros.bench.candidates import Candidate, build

    image = np.load(image_path)
    detect = build(Candidate(**candidate))  # type: ignore[arg-type]  # what asdict made of a Candidate
    for _ in range(_NUM_EXTRACTIONS):
        detect(image)


def _main(request: str) -> None:
    content = json.loads(request)
    if content["candidate"] is None:
        _import_torch()
    else:
        _extract(content["candidate"], content["image"])
    sys.stdout.write(json.dumps({"peak_mb": own_peak_mb()}) + "\n")


if __name__ == "__main__":
    _main(sys.argv[1])
