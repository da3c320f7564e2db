# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the tracker adds to its network: its latency less extraction, beside a bare relay of the same images.

``python -m aliked_ros.ros.latency``. Each round sends one image through the relay, one through the tracker, and times
OpenCV's SIFT on it, one after another, so that what disturbs the machine disturbs all three. The relay and the tracker
are processes of their own on one transport.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from aliked_ros.bench.candidates import Candidate, Detector, build
from aliked_ros.bench.frames import load_frames
from aliked_ros.engine.base import Image
from aliked_ros.errors import SourceError
from aliked_ros.ros.child import NodeProcess
from aliked_ros.ros.domain import private_domain
from aliked_ros.ros.latency_probe import RELAY_INPUT, TRACKER_INPUT, LatencyProbe
from aliked_ros.ros.process import SpinThread, run

_TIMEOUT_S = 60.0
_WARM_UP_ROUNDS = 5
# What the tracker is to keep to; docs/performance.md says what it did.
_TARGETS = {
    "beyond_extraction_over_relay_p50": 1.3,
    "beyond_extraction_over_relay_p99": 1.5,
    "publishing_over_extraction_p50": 0.1,
}


@dataclass(frozen=True)
class LatencyOptions:
    """What the command line says."""

    sequence: str
    rounds: int
    pause_s: float  # between two images, as a camera makes one
    parameters: tuple[str, ...]  # of the tracker, name:=value
    output: Path
    large_data: bool = False  # the launch files' transport instead of the demo's


@dataclass(frozen=True)
class Round:
    """One image through everything, milliseconds."""

    relay: float  # from its publication to its arrival back here
    tracker: float  # from its publication to the arrival of its features here
    extraction: float  # of the tracker: from the pixels to features
    publishing: float  # of the tracker: features, matches and tracks
    sift: float

    @property
    def beyond_extraction(self) -> float:
        """What the tracker takes besides the network."""
        return self.tracker - self.extraction


def measure(options: LatencyOptions, stop: threading.Event) -> list[Round]:
    """The rounds that count; fewer when ``stop`` was set.

    Raises:
        AlikedError: an image or its features did not come.
    """
    _, images = load_frames(options.sequence)
    sift = build(Candidate("sift", threads=os.cpu_count() or 1, max_keypoints=1000))
    parameters = [word for parameter in options.parameters for word in ("-p", parameter)]
    rounds: list[Round] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aliked_ros_")))
        probe = LatencyProbe(_TIMEOUT_S)
        stack.callback(probe.destroy_node)
        stack.enter_context(SpinThread([probe], stop))
        stack.enter_context(NodeProcess("aliked_ros.ros.bare_relay", _from(RELAY_INPUT), folder / "relay.log"))
        tracker = [*_from(TRACKER_INPUT), *parameters]
        stack.enter_context(NodeProcess("aliked_ros.ros.tracker", tracker, folder / "tracker.log"))
        probe.wait_until_ready(stop)
        total = _WARM_UP_ROUNDS + options.rounds
        for index in tqdm(range(total), unit="round", desc="measuring", disable=None):
            if stop.is_set():
                break
            rounds.append(_round(probe, sift, images[index % len(images)], options.pause_s))
    return rounds[_WARM_UP_ROUNDS:]


def _from(topic: str) -> list[str]:
    return ["-r", f"image:={topic}"]


def _round(probe: LatencyProbe, sift: Detector, image: Image, pause_s: float) -> Round:
    relay_ms = probe.through_relay(image)
    time.sleep(pause_s)
    tracker_ms, status = probe.through_tracker(image)
    time.sleep(pause_s)
    sift(image)  # does not count: it fills the caches, as the frame before does in a stream
    started_s = time.perf_counter()
    sift(image)
    sift_ms = 1e3 * (time.perf_counter() - started_s)
    time.sleep(pause_s)
    return Round(relay_ms, tracker_ms, status.preprocess_ms + status.inference_ms, status.publish_ms, sift_ms)


def report(rounds: Sequence[Round]) -> dict[str, dict[str, float]]:
    """Percentiles of each quantity and the ratios that matter; SourceError without a round."""
    if not rounds:
        raise SourceError("nothing was measured: the run was stopped before its first round")
    names = (*(field.name for field in dataclasses.fields(Round)), "beyond_extraction")
    values = {name: [getattr(one, name) for one in rounds] for name in names}
    result = {f"{name}_ms": _percentiles(series) for name, series in values.items()}
    beyond, relay = result["beyond_extraction_ms"], result["relay_ms"]
    result["ratios"] = {
        "beyond_extraction_over_relay_p50": beyond["p50"] / relay["p50"],
        "beyond_extraction_over_relay_p99": beyond["p99"] / relay["p99"],
        "beyond_extraction_over_sift_p50": beyond["p50"] / result["sift_ms"]["p50"],
        "publishing_over_extraction_p50": result["publishing_ms"]["p50"] / result["extraction_ms"]["p50"],
    }
    return result


def _percentiles(values: Sequence[float]) -> dict[str, float]:
    return {f"p{q}": float(np.percentile(values, q)) for q in (10, 50, 90, 99)}


def as_table(result: dict[str, dict[str, float]]) -> str:
    """The report for a terminal."""
    lines = [f"{'milliseconds':<20} {'p10':>7} {'p50':>7} {'p90':>7} {'p99':>7}"]
    for name, row in result.items():
        if name != "ratios":
            cells = " ".join(f"{row[f'p{q}']:7.2f}" for q in (10, 50, 90, 99))
            lines.append(f"{name.removesuffix('_ms').replace('_', ' '):<20} {cells}")
    lines += [
        f"{name.replace('_', ' '):<38} {value:.2f}{_verdict(value, _TARGETS.get(name))}"
        for name, value in result["ratios"].items()
    ]
    return "\n".join(lines)


def _verdict(value: float, target: float | None) -> str:
    return "" if target is None else f"  target {target}: {'met' if value <= target else 'MISSED'}"


def parse(arguments: Sequence[str] | None) -> LatencyOptions:
    """The command line as options; exits on a wrong one, as argparse does."""
    parser = argparse.ArgumentParser("python -m aliked_ros.ros.latency", description=__doc__)
    parser.add_argument("sequence", nargs="?", default="", help="TUM directory, bag, folder or video [freiburg2_desk]")
    parser.add_argument("--rounds", type=int, default=200, help="that count, after a few that do not [200]")
    parser.add_argument("--pause", type=float, default=0.03, metavar="SECONDS", help="after each image [0.03]")
    parser.add_argument("--json", type=Path, default=Path("out/latency.json"), help="[out/latency.json]")
    parser.add_argument(
        "--large-data",
        action="store_true",
        help="the transport that the launch files set; on the network the run is in a domain of its own",
    )
    parser.add_argument(
        "-p", "--param", action="append", default=[], metavar="NAME:=VALUE", help="a parameter of the tracker"
    )
    args = parser.parse_args(arguments)
    if args.rounds < 1 or args.pause < 0:
        parser.error(f"at least 1 round and a pause of 0 or more are needed, got {args.rounds} and {args.pause}")
    return LatencyOptions(args.sequence, args.rounds, args.pause, tuple(args.param), args.json, args.large_data)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints a table, writes the JSON file, and returns the exit code."""
    options = parse(arguments)
    with private_domain(large_data=options.large_data) as environment:
        os.environ.update(environment)
        return run(lambda stop: _main(options, stop), [])


def _main(options: LatencyOptions, stop: threading.Event) -> int:
    rounds = measure(options, stop)
    result = report(rounds)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    content = {**result, "rounds": [dataclasses.asdict(one) for one in rounds]}
    options.output.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"{as_table(result)}\n{options.output}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
