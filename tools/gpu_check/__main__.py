# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Builds, tests, checks and times everything that needs a CUDA device, and prints a table.

    make gpu-check                      # or: python -m tools.gpu_check
    make gpu-check GPU="--quick"        # fewer repetitions, no poses, no torch.compile
    python -m tools.gpu_check --only gates,benchmark --markdown out/gpu.md

Needs Python with torch for CUDA, nvcc and a device; neither ROS nor a network once weights and wheels are in place.
What is not installed (kornia, torchvision, poselib, compute-sanitizer) is said and left out.

Exit status: 0 when everything passed, 1 when a build, a test or a gate failed or anything of ours did not finish,
2 when there is nothing to check on. Figures that miss their targets are shown and are no failure; neither is a peer
that is missing or too slow.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import json
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools.build_cuda_engine import find_nvcc
from tools.compiling import BuildError, run
from tools.gpu_check import build, sanitizer, tests
from tools.gpu_check.processes import end_all, start, wait
from tools.gpu_check.report import as_markdown, as_text, exit_status
from tools.gpu_check.rows import UNFINISHED, Row, check, from_dict, unfinished

# In the order of what matters most: seconds that each may take, while all together stay below eight minutes.
LIMITS_S = {
    "build": 200.0,
    "memory": 30.0,
    "gates": 60.0,
    "benchmark": 60.0,
    "tests": 120.0,
    "memcheck": 75.0,
    "peers": 30.0,
    "racecheck": 45.0,
    "compiled": 75.0,
}
PARTS = tuple(LIMITS_S)
TOTAL_S = 465.0
_SHORTEST_S = 5.0
_WORKERS = {"memory": "memory", "gates": "gates", "benchmark": "benchmark", "peers": "peers", "compiled": "peers"}


class UnusableError(RuntimeError):
    """There is no device, or no compiler, to check with."""


def machine() -> dict[str, str]:
    """What the check runs on.

    Raises:
        UnusableError: it cannot.
    """
    try:
        import numpy  # noqa: F401  what follows needs it, and torch does without
        import torch
    except (ImportError, OSError) as error:  # the latter where one of torch's libraries is missing
        raise UnusableError(
            f"{sys.executable} has no torch and NumPy that work ({error}); install torch for CUDA and NumPy, "
            "or name another Python (PYTHON=...)"
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


def in_process(part: str, seconds: float, quick: bool) -> Iterator[Row]:
    """The rows of a part in a process of its own; what it had found before it crashed or took too long counts."""
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "rows.jsonl"
        options = ["--worker", part, "--json", str(lines), *(["--quick"] if quick else [])]
        status, output = wait(start([sys.executable, "-m", "tools.gpu_check", *options]), seconds)
        if lines.is_file():
            # A line that was cut short has no end.
            yield from (from_dict(json.loads(line)) for line in lines.read_text().splitlines(True) if line[-1] == "\n")
    if status is None:
        yield unfinished(_WORKERS[part], f"{part}, the rest", seconds)
    elif status != 0:
        print(output, file=sys.stderr)
        last = (output.strip() or "no output").splitlines()[-1]
        yield check(_WORKERS[part], f"{part}, the rest", False, f"ended with status {status}: {last}")


def work(part: str, options: argparse.Namespace) -> None:
    """Writes the rows of a part, each as soon as it is known."""
    worker = importlib.import_module(f"tools.gpu_check.{_WORKERS[part]}")
    with Path(options.json).open("a") as file:
        for row in worker.run(options):
            file.write(json.dumps(row.as_dict()) + "\n")
            file.flush()


def run_parts(wanted: Sequence[str], quick: bool) -> Iterator[Row]:
    """All parts, one after another: whatever is timed has the device for itself."""
    begin = time.monotonic()
    for part in (name for name in PARTS if name in wanted):
        spent = time.monotonic() - begin
        left = min(LIMITS_S[part], TOTAL_S - spent)
        print(f"[{spent:4.0f} s] {part} …", file=sys.stderr, flush=True)
        if left < _SHORTEST_S:
            yield unfinished(_WORKERS.get(part, part), part, 0.0)
        elif part == "build":
            yield from build.run(left)
        elif part == "tests":
            yield from tests.run(left)
        elif part in ("memcheck", "racecheck"):
            yield from sanitizer.run(part, left)
        else:
            yield from in_process(part, left, quick)
    print(f"[{time.monotonic() - begin:4.0f} s] done", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts that are wanted; the exit status."""
    options = _parser().parse_args(arguments)
    if options.worker:
        work(options.worker, options)
        return 0
    try:
        found = machine()
    except UnusableError as error:
        print(f"gpu-check: {error}", file=sys.stderr)
        return 2
    wanted = [part for part in options.only if not (options.skip_tests and part == "tests")]
    rows: list[Row] = []
    for number in (signal.SIGINT, signal.SIGTERM):  # shells have what runs in the background ignore the first
        signal.signal(number, signal.default_int_handler)
    try:
        for row in run_parts(wanted, options.quick):
            rows.append(row)
            save(found, rows, options)
    except KeyboardInterrupt:
        print("gpu-check: interrupted; what was found until now:", file=sys.stderr)
        rows.append(Row("check", "the rest", UNFINISHED, note="interrupted"))
        save(found, rows, options)
    finally:
        end_all()
    print(as_text(found, rows))
    return exit_status(rows)


def save(found: dict[str, str], rows: Sequence[Row], options: argparse.Namespace) -> None:
    """Writes what is known so far."""
    result = Path(options.json)
    result.parent.mkdir(parents=True, exist_ok=True)
    result.write_text(json.dumps({"machine": found, "rows": [row.as_dict() for row in rows]}, indent=1) + "\n")
    if options.markdown:
        options.markdown.parent.mkdir(parents=True, exist_ok=True)
        options.markdown.write_text(as_markdown(found, rows))


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
