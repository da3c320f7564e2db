# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Builds, tests, checks and times everything that needs a CUDA device, and prints a table.

    make gpu-check                      # or: python -m tools.gpu_check
    make gpu-check GPU="--quick"        # fewer repetitions, no poses, no torch.compile
    python -m tools.gpu_check --only gates,benchmark --markdown out/gpu.md

Needs Python with torch for CUDA, nvcc and a device; neither ROS nor a network once weights and wheels are in place.
What is not installed (kornia, torchvision, poselib, compute-sanitizer) is said and left out.

Exit status: 0 when everything passed, 1 when a build, a test or a gate failed, 2 when there is nothing to check on.
Figures that miss their targets are shown and are no failure.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import json
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tools.build_cuda_engine import find_nvcc
from tools.compiling import BuildError, run
from tools.gpu_check import build, sanitizer, tests
from tools.gpu_check.processes import start, wait
from tools.gpu_check.report import as_markdown, as_text, exit_status
from tools.gpu_check.rows import Row, check, from_dict, not_run

PARTS = ("build", "tests", "gates", "benchmark", "sanitizer", "peers")
# Seconds; together they stay below eight minutes.
LIMITS_S = {"build": 180.0, "tests": 100.0, "gates": 40.0, "benchmark": 60.0, "sanitizer": 60.0, "peers": 75.0}
TOTAL_S = 470.0
_WORKERS = {"gates": "gates", "benchmark": "benchmark", "peers": "peers", "compiled": "peers"}  # and their modules


class UnusableError(RuntimeError):
    """There is no device, or no compiler, to check with."""


def machine() -> dict[str, str]:
    """What the check runs on.

    Raises:
        UnusableError: it cannot.
    """
    try:
        import torch
    except ImportError as error:
        raise UnusableError(
            f"{sys.executable} has no torch; install one that was built for CUDA, or name another Python (PYTHON=...)"
        ) from error
    if torch.version.cuda is None or not torch.cuda.is_available():
        built = torch.version.cuda or "none"
        raise UnusableError(f"torch {torch.__version__} (CUDA build: {built}) sees no CUDA device")
    try:
        nvcc = run([find_nvcc(), "--version"]).strip().splitlines()[-1]
    except BuildError as error:
        raise UnusableError(str(error)) from error
    try:
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        driver = run(query).strip().splitlines()[0]
    except BuildError:
        driver = "unknown"
    major, minor = torch.cuda.get_device_capability()
    return {
        "device": f"{torch.cuda.get_device_name()}, compute capability {major}.{minor}",
        "driver": driver,
        "torch": f"{torch.__version__} for CUDA {torch.version.cuda}",
        "nvcc": nvcc,
        "Python": platform.python_version(),
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
    }


def in_process(part: str, seconds: float, quick: bool) -> list[Row]:
    """The rows of a part that runs in a process of its own, which may crash without taking the others along."""
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.json"
        options = ["--worker", part, "--json", str(rows), *(["--quick"] if quick else [])]
        status, output = wait(start([sys.executable, "-m", "tools.gpu_check", *options]), seconds)
        if rows.is_file():
            return [from_dict(row) for row in json.loads(rows.read_text())]
    if status is None:
        return [not_run(_WORKERS[part], part, f"not finished within {seconds:.0f} s")]
    print(output, file=sys.stderr)
    last = (output.strip() or "no output").splitlines()[-1]
    return [check(_WORKERS[part], part, False, f"ended with status {status}: {last}")]


def run_parts(wanted: Sequence[str], quick: bool) -> list[Row]:
    """All parts in their order; the sanitizer runs beside the peers, whose compilation leaves the device idle."""
    begin = time.monotonic()
    rows: list[Row] = []
    watched = None
    for part in (name for name in PARTS if name in wanted):
        left = min(LIMITS_S[part], begin + TOTAL_S - time.monotonic())
        print(f"[{time.monotonic() - begin:4.0f} s] {part} …", file=sys.stderr, flush=True)
        if left < 5:
            found = [not_run(part, part, "no time was left")]
        elif part == "build":
            found = build.run(left)
        elif part == "tests":
            found = tests.run(left)
        elif part == "sanitizer":
            watched, found = sanitizer.begin(), []
            if "peers" not in wanted:
                found = sanitizer.finish(watched, left)
        elif part == "peers":
            found = [*in_process("peers", left, quick), *in_process("compiled", left, quick)]
            if "sanitizer" in wanted:
                left = max(begin + TOTAL_S - time.monotonic(), 5.0)
                found = [*sanitizer.finish(watched, min(LIMITS_S["sanitizer"], left)), *found]
        else:
            found = in_process(part, left, quick)
        rows += found
    print(f"[{time.monotonic() - begin:4.0f} s] done", file=sys.stderr, flush=True)
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts that are wanted; the exit status."""
    options = _parser().parse_args(arguments)
    if options.worker:
        worker = importlib.import_module(f"tools.gpu_check.{_WORKERS[options.worker]}")
        Path(options.json).write_text(json.dumps([row.as_dict() for row in worker.run(options)]))
        return 0
    try:
        found = machine()
    except UnusableError as error:
        print(f"gpu-check: {error}", file=sys.stderr)
        return 2
    wanted = [part for part in options.only if not (options.skip_tests and part == "tests")]
    rows = run_parts(wanted, options.quick)
    print(as_text(found, rows))
    result = Path(options.json)
    result.parent.mkdir(parents=True, exist_ok=True)
    result.write_text(json.dumps({"machine": found, "rows": [row.as_dict() for row in rows]}, indent=1) + "\n")
    if options.markdown:
        options.markdown.parent.mkdir(parents=True, exist_ok=True)
        options.markdown.write_text(as_markdown(found, rows))
    return exit_status(rows)


def _parts(text: str) -> list[str]:
    chosen = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in chosen if name not in PARTS]
    if unknown or not chosen:
        raise argparse.ArgumentTypeError(f"parts are {', '.join(PARTS)}; got {text!r}")
    return chosen


def _parser() -> argparse.ArgumentParser:
    text = (__doc__ or "").split("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m tools.gpu_check",
        description=text[0],
        epilog="\n\n".join(text[1:]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, no poses, no torch.compile")
    parser.add_argument("--skip-tests", action="store_true", help="leave the tests out")
    parser.add_argument(
        "--only", type=_parts, default=list(PARTS), metavar="PART[,PART]", help=f"some of {', '.join(PARTS)}"
    )
    parser.add_argument("--json", default="out/gpu.json", metavar="FILE", help="result (default: %(default)s)")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="the table for docs/performance.md, too")
    parser.add_argument("--worker", default="", choices=["", *_WORKERS], help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
