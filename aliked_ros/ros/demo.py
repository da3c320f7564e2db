# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The main job in one command: a sequence goes through the tracker node over DDS; results, video and summary come out.

``python -m aliked_ros.ros.demo [SEQUENCE]``. The tracker is a process of its own, and the next frame waits until
the results of the one before have arrived, so that a slow machine takes longer but loses nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rclpy.parameter import Parameter
from rclpy.utilities import get_rmw_implementation_identifier
from tqdm import tqdm

from aliked_ros.errors import SourceError
from aliked_ros.io.folders import make_output_folder
from aliked_ros.ros.child import NodeProcess
from aliked_ros.ros.collector import Collector
from aliked_ros.ros.demo_outputs import DemoOutputs
from aliked_ros.ros.domain import private_domain
from aliked_ros.ros.player import PlayerNode
from aliked_ros.ros.process import EXIT_INTERRUPTED, SpinThread, run
from aliked_ros.ros.summary import Summary, SummaryBuilder
from aliked_ros.sim.config import SimulationConfig
from aliked_ros.sim.simulation import write_sequence

TRACKER = "/tracker"
SUMMARY, VIDEO, RECORDING = "summary.json", "tracks.mp4", "features.mcap"
_TIMEOUT_S = 180.0  # for a slow machine's first image


class Interrupted(Exception):  # noqa: N818  no error
    """Someone asked the demo to stop."""


@dataclass(frozen=True)
class DemoOptions:
    """What the command line says."""

    sequence: str  # empty: simulate one
    output: Path
    calibration: str
    parameters: tuple[str, ...]  # of the tracker, name:=value
    simulation: SimulationConfig


def run_demo(options: DemoOptions, stop: threading.Event) -> Summary:
    """Replays the sequence and writes features.mcap, tracks.mp4 and summary.json into the output folder.

    Raises:
        AlikedError: something went wrong; what, and what to do, is in the message.
        Interrupted: ``stop`` was set.
    """
    output = make_output_folder(options.output)
    for name in (SUMMARY, VIDEO, RECORDING):
        (output / name).unlink(missing_ok=True)  # what an earlier run left is no result of this one
    sequence = options.sequence or _simulate(options.simulation, output / "sequence", stop)
    started_s, builder = time.monotonic(), SummaryBuilder()
    with ExitStack() as stack:
        player = PlayerNode(parameter_overrides=_player_parameters(sequence, options.calibration))
        stack.callback(player.close)
        tracker = NodeProcess("aliked_ros.ros.tracker", _tracker_arguments(options), output / "tracker.log")
        collector = Collector(TRACKER, lambda: _check(stop, tracker), _TIMEOUT_S)
        stack.callback(collector.destroy_node)
        stack.enter_context(SpinThread([player, collector], stop))
        stack.enter_context(tracker)
        collector.wait_until_ready()
        _replay(player, collector, builder, output, stop)
        _check(stop, tracker)
        status = collector.wait_for_status(
            lambda status: status.processed + status.refused >= builder.num_frames, "frames are missing"
        )
    summary = builder.build(
        sequence, status, collector.extraction_ms, time.monotonic() - started_s, get_rmw_implementation_identifier()
    )
    _write_summary(output / SUMMARY, summary)
    return summary


def _replay(
    player: PlayerNode, collector: Collector, builder: SummaryBuilder, output: Path, stop: threading.Event
) -> None:
    """Every frame in lock step: published, tracked, collected, recorded, drawn."""
    with (
        DemoOutputs(output / RECORDING, output / VIDEO) as outputs,
        _progress("tracking", player.num_frames) as progress,
    ):
        for played in player.play(stop):
            results = collector.take(played.stamp_ns)
            builder.add(results, played.published_at_s)
            outputs.write(played, results)
            progress.update()


def _check(stop: threading.Event, tracker: NodeProcess) -> None:
    if stop.is_set():
        raise Interrupted
    tracker.require_running()


def _simulate(config: SimulationConfig, directory: Path, stop: threading.Event) -> str:
    """Renders a sequence into the directory, in place of what an earlier run left there."""

    def step(count: int) -> None:
        if stop.is_set():
            raise Interrupted
        progress.update(count)

    with _progress("simulating", config.frames) as progress:
        write_sequence(config, directory, step, force=True)
    return str(directory)


def _progress(title: str, total: int | None) -> tqdm[Any]:
    return tqdm(total=total, unit="frame", desc=title)


def _tracker_arguments(options: DemoOptions) -> list[str]:
    parameters = ("process_every_frame:=true", *options.parameters)
    return [word for parameter in parameters for word in ("-p", parameter)]


def _player_parameters(sequence: str, calibration: str) -> list[Parameter]:
    values = {
        "input": sequence,
        "calibration": calibration,
        "rate": 0.0,
        "wait_for_subscribers": 1,
        "timeout": _TIMEOUT_S,
    }
    return [Parameter(name, value=value) for name, value in values.items()]


def _write_summary(path: Path, summary: Summary) -> None:
    try:
        path.write_text(json.dumps(summary.as_dict(), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise SourceError(f"{path}: cannot be written ({error.strerror}); choose another output folder") from error


def parse(arguments: Sequence[str] | None) -> DemoOptions:
    """The command line as options; exits on a wrong one, as argparse does."""
    parser = argparse.ArgumentParser("python -m aliked_ros.ros.demo", description=__doc__)
    parser.add_argument(
        "sequence", nargs="?", default="", help="TUM directory, bag, folder of images or video; simulated when left out"
    )
    parser.add_argument("--output", type=Path, default=Path("out"), help="folder for the results [out]")
    parser.add_argument("--calibration", default="", help="fr1, fr2, fr3 or a camera_info YAML file")
    parser.add_argument(
        "-p",
        "--param",
        action="append",
        default=[],
        metavar="NAME:=VALUE",
        help="a parameter of the tracker; repeatable",
    )
    simulated = {named.name: named for named in SimulationConfig.options()}
    for name in ("frames", "width", "height", "seed"):
        named = simulated[name]
        text = f"of the simulated sequence: {named.option.describe()} [{named.default}]"
        parser.add_argument(f"--{name}", type=int, default=named.default, help=text)
    args = parser.parse_args(arguments)
    simulation = SimulationConfig(frames=args.frames, width=args.width, height=args.height, seed=args.seed)
    return DemoOptions(args.sequence, args.output, args.calibration, tuple(args.param), simulation)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the demo and returns the exit code: 0 only when every frame was tracked and every file written."""
    with private_domain() as environment:
        os.environ.update(environment)
        return run(lambda stop: _main(parse(arguments), stop), [])


def _main(options: DemoOptions, stop: threading.Event) -> int:
    try:
        summary = run_demo(options, stop)
    except Interrupted:
        sys.stderr.write("interrupted\n")
        return EXIT_INTERRUPTED
    files = "\n".join(f"{'':<9} {options.output / name}" for name in (SUMMARY, VIDEO, RECORDING))
    sys.stdout.write(f"{summary.as_table()}\n{files}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
