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

from rclpy.parameter import Parameter
from tqdm import tqdm

from aliked_ros.errors import SourceError
from aliked_ros.io.drawing import TrackTrails, draw_banner, draw_tracks
from aliked_ros.io.feature_recorder import FeatureRecorder
from aliked_ros.io.folders import make_output_folder
from aliked_ros.io.video_writer import VideoWriter
from aliked_ros.ros.child import NodeProcess
from aliked_ros.ros.collector import Collector, FrameResults
from aliked_ros.ros.domain import private_domain
from aliked_ros.ros.player import Played, PlayerNode
from aliked_ros.ros.process import SpinThread, run
from aliked_ros.ros.summary import Summary, SummaryBuilder
from aliked_ros.sim.config import SimulationConfig

TRACKER = "/tracker"
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells count
_TIMEOUT_S = 180.0  # for a slow machine's first image
_FRAME_RATE_HZ = 30.0


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
    sequence = options.sequence or _simulate(options.simulation, output / "sequence", stop)
    for name in ("summary.json", "tracks.mp4", "features.mcap"):
        (output / name).unlink(missing_ok=True)  # what an earlier run left is no result of this one
    started_s, builder = time.monotonic(), SummaryBuilder()
    with ExitStack() as stack:
        player = PlayerNode(parameter_overrides=_player_parameters(sequence, options.calibration))
        stack.callback(player.close)
        tracker = NodeProcess("aliked_ros.ros.tracker", _tracker_arguments(options), output / "tracker.log")

        def check() -> None:
            if stop.is_set():
                raise Interrupted
            tracker.require_running()

        collector = Collector(TRACKER, check, _TIMEOUT_S)
        stack.callback(collector.destroy_node)
        stack.enter_context(SpinThread([player, collector], stop))
        stack.enter_context(tracker)
        collector.wait_until_ready()
        with _Outputs(output) as outputs, tqdm(total=player.num_frames, unit="frame", desc="tracking") as progress:
            for played in player.play(stop):
                results = collector.take(played.stamp_ns)
                builder.add(results, played.published_at_s)
                outputs.write(played, results)
                progress.update()
        check()
        count = len(progress)
        status = collector.wait_for_status(lambda status: status.processed + status.refused >= count, "frames are missing")
    summary = builder.build(sequence, status, time.monotonic() - started_s, os.environ["FASTDDS_BUILTIN_TRANSPORTS"])
    (output / "summary.json").write_text(json.dumps(summary.as_dict(), indent=2) + "\n", encoding="utf-8")
    return summary
