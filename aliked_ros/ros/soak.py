# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The tracker at full load for a long time: memory, latency, ids and counters must be as steady at the end as before.

``python -m aliked_ros.ros.soak``; ``make soak SECONDS=3600 SOAK="--model aliked-t16 --cameras 2"``. The tracker is a
process of its own and gets more images over DDS than it manages, some of them bad. Writes soak.json and soak.png.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rclpy.utilities import get_rmw_implementation_identifier
from tqdm import tqdm

from aliked_ros.bench.frames import load_frames
from aliked_ros.camera import Camera
from aliked_ros.config import Config, option
from aliked_ros.errors import AlikedError
from aliked_ros.frontend.config import MODEL_NAMES, ExtractorConfig, TrackingConfig
from aliked_ros.io.folders import make_output_folder
from aliked_ros.ros.child import NodeProcess
from aliked_ros.ros.domain import private_domain
from aliked_ros.ros.process import SpinThread, run
from aliked_ros.ros.soak_load import Governor, Reel
from aliked_ros.ros.soak_plot import draw, require_matplotlib
from aliked_ros.ros.soak_probe import SoakProbe, results_depth_arguments
from aliked_ros.ros.soak_report import CameraOutcome, Soak, Window, as_dict, as_table, latency_percentiles

REPORT, PICTURE, LOG = "soak.json", "soak.png", "soak_tracker.log"
_TIMEOUT_S = 120.0  # for a slow machine's start
_WINDOWS = 240  # of a long run
_MIN_WINDOW_S = 1.0
_WARM_UP_SHARE, _MAX_WARM_UP_S = 0.25, 300.0
_CALIBRATION_PERIOD_S = 1.0


@dataclass(frozen=True)
class SoakConfig(Config):
    """A long run."""

    seconds: float = option(3600.0, "length of the run", unit="seconds", minimum=5.0, maximum=1e7)
    model: str = option(ExtractorConfig.model, "network", choices=MODEL_NAMES)
    cameras: int = option(1, "cameras of the tracker", minimum=1, maximum=16)
    overload: float = option(
        1.5, "images sent for each that the tracker deals with; above 1 it has to drop some", minimum=0.1, maximum=100.0
    )
    max_rate: float = option(500.0, "most images sent per second and camera", unit="Hz", minimum=5.0, maximum=10000.0)
    bad: float = option(0.02, "share of the images that must be refused", minimum=0.0, maximum=0.9)
    resets: float = option(
        0.0, "time between two calls of ~/reset; 0 makes none", unit="seconds", minimum=0.0, maximum=1e7
    )
    growth: float = option(
        1.0, "memory must grow by less than this after the warm-up", unit="percent", minimum=0.01, maximum=1000.0
    )

    @property
    def camera_names(self) -> tuple[str, ...]:
        """The cameras' names; a single empty one for one camera."""
        return ("",) if self.cameras == 1 else tuple(f"cam{index}" for index in range(self.cameras))

    @property
    def warm_up_s(self) -> float:
        """What does not count at the start: caches fill, discovery ends, and the rate finds its level."""
        return min(_MAX_WARM_UP_S, _WARM_UP_SHARE * self.seconds)


@dataclass(frozen=True)
class SoakOptions:
    """What the command line says."""

    config: SoakConfig
    sequence: str
    output: Path
    parameters: tuple[str, ...]  # of the tracker, name:=value
    picture: bool = True


class _Run:
    """The time while images are sent."""

    def __init__(self, config: SoakConfig, probe: SoakProbe, tracker: NodeProcess, sequence: str) -> None:
        self.about, frames = load_frames(sequence)
        height, width = frames[0].shape[:2]
        self._config = config
        self._probe = probe
        self._tracker = tracker
        self._reels = [Reel(frames, camera.name or "camera", config.bad, i) for i, camera in enumerate(probe.cameras)]
        self._camera = Camera(width, height, 0.8 * width, 0.8 * width, (width - 1) / 2, (height - 1) / 2)
        self._governor = Governor(config.overload, config.max_rate)
        self._window_s = max(_MIN_WINDOW_S, config.seconds / _WINDOWS)
        self.windows: list[Window] = []

    def go(self, stop: threading.Event) -> float:
        """Sends images until the time is up, and returns how long that was."""
        started_s = next_s = time.monotonic()
        periodic = [
            _Periodic(_CALIBRATION_PERIOD_S, self._calibrate),
            _Periodic(1.0, self._adapt),
            _Periodic(self._window_s, lambda elapsed_s: self._end_window(started_s, elapsed_s)),
            *([_Periodic(self._config.resets, lambda _: self._probe.reset())] if self._config.resets else []),
        ]
        self._calibrate(0.0)
        self._done = self._sent = self._processed = 0
        with tqdm(total=round(self._config.seconds), unit="s", desc="soaking", disable=None) as bar:
            while not stop.is_set() and (now := time.monotonic()) - started_s < self._config.seconds:
                self._send()
                for action in periodic:
                    action.poll(now)
                bar.update(int(now - started_s) - bar.n)
                next_s = max(next_s + 1.0 / self._governor.rate_hz, now)  # what was missed is not made up for
                stop.wait(max(0.0, next_s - time.monotonic()))
        return time.monotonic() - started_s

    def _send(self) -> None:
        """An image of every camera, of one moment."""
        stamp_ns = self._probe.get_clock().now().nanoseconds
        for camera, reel in zip(self._probe.cameras, self._reels, strict=True):
            message, is_bad = reel.next()
            camera.send(message, stamp_ns, is_bad=is_bad)

    def _calibrate(self, _: float) -> None:
        for camera in self._probe.cameras:
            camera.calibrate(self._camera)

    def _adapt(self, elapsed_s: float) -> None:
        self._tracker.require_running()
        statuses = [camera.counters.last for camera in self._probe.cameras]
        done = sum(status.processed + status.refused for status in statuses if status is not None)
        self._governor.adapt((done - self._done) / elapsed_s / len(statuses))
        self._done = done

    def _end_window(self, started_s: float, elapsed_s: float) -> None:
        cameras = self._probe.cameras
        processed, sent = sum(c.tracks.num_frames for c in cameras), sum(c.published for c in cameras)
        latencies_ms = [value for camera in cameras for value in camera.take_latencies_ms()]
        self.windows.append(
            Window(
                end_s=time.monotonic() - started_s,
                rss_mb=self._tracker.resident_mb(),
                rate_hz=(processed - self._processed) / elapsed_s,
                sent_hz=(sent - self._sent) / elapsed_s,
                latency_ms=latency_percentiles(latencies_ms),
            )
        )
        self._processed, self._sent = processed, sent


class _Periodic:
    """Does something when its time has come, with the seconds since the last time."""

    def __init__(self, period_s: float, action: Any) -> None:
        self._period_s = period_s
        self._action = action
        self._last_s = time.monotonic()

    def poll(self, now: float) -> None:
        """The time is now."""
        if now - self._last_s >= self._period_s:
            elapsed_s, self._last_s = now - self._last_s, now
            self._action(elapsed_s)


def soak(options: SoakOptions, stop: threading.Event) -> Soak:
    """Runs the tracker under load.

    Raises:
        AlikedError: the tracker did not start, or ended.
    """
    config, names = options.config, options.config.camera_names
    with ExitStack() as stack:
        probe = SoakProbe(names, TrackingConfig.max_gap, _TIMEOUT_S)
        stack.callback(probe.destroy_node)
        stack.enter_context(SpinThread([probe], stop))
        tracker = NodeProcess("aliked_ros.ros.tracker", _tracker_arguments(options), options.output / LOG)
        stack.enter_context(tracker)
        load = _Run(config, probe, tracker, options.sequence)
        probe.wait_until_ready(stop)
        duration_s = load.go(stop)
        probe.wait_until_idle(stop)
        tracker.require_running()
    cameras = [CameraOutcome(c.name, c.published, c.bad_published, c.tracks, c.counters) for c in probe.cameras]
    result = Soak(duration_s, config.warm_up_s, load.windows, cameras, config.growth)
    return replace(result, about={**_about(probe), "sequence": load.about, "cameras": config.cameras})


def _tracker_arguments(options: SoakOptions) -> list[str]:
    names = options.config.camera_names
    parameters = [f"model:={options.config.model}", *options.parameters]
    if names != ("",):
        parameters.append(f"cameras:=[{', '.join(names)}]")
    return [*(word for parameter in parameters for word in ("-p", parameter)), *results_depth_arguments(names)]


def _about(probe: SoakProbe) -> dict[str, Any]:
    """What ran, and on what."""
    status = probe.cameras[0].counters.last
    names = ("model", "device", "backend", "precision")
    return {
        **({} if status is None else {name: getattr(status, name) for name in names}),
        "rmw": get_rmw_implementation_identifier(),
        "host": {
            "system": platform.platform(),
            "architecture": platform.machine(),
            "processors": os.cpu_count(),
            "python": platform.python_version(),
        },
    }


def parse(arguments: Sequence[str] | None) -> SoakOptions:
    """The command line as options; exits on a wrong one, as argparse does."""
    parser = argparse.ArgumentParser(
        "python -m aliked_ros.ros.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sequence", nargs="?", default="", help="TUM directory, bag, folder or video [freiburg2_desk]")
    for named in SoakConfig.options():
        text, choices = f"{named.option.describe()} [{named.default}]", named.option.choices or None
        flag = f"--{named.name.replace('_', '-')}"
        parser.add_argument(flag, type=named.type, default=named.default, choices=choices, help=text)
    parser.add_argument("--output", type=Path, default=Path("out"), help="folder for the results [out]")
    parser.add_argument(
        "-p", "--param", action="append", default=[], metavar="NAME:=VALUE", help="a parameter of the tracker"
    )
    parser.add_argument("--no-picture", action="store_true", help="do without matplotlib and soak.png")
    args = vars(parser.parse_args(arguments))
    sequence, output, parameters = args.pop("sequence"), args.pop("output"), tuple(args.pop("param"))
    picture = not args.pop("no_picture")
    try:
        return SoakOptions(SoakConfig.from_mapping(args), sequence, output, parameters, picture)
    except AlikedError as error:
        parser.error(str(error))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs it and returns the exit code: 0 only when everything that is asserted holds."""
    options = parse(arguments)
    with private_domain() as environment:
        os.environ.update(environment)
        return run(lambda stop: _main(options, stop), [])


def _main(options: SoakOptions, stop: threading.Event) -> int:
    if options.picture:
        require_matplotlib()
    output = make_output_folder(options.output)
    for name in (REPORT, PICTURE):
        (output / name).unlink(missing_ok=True)  # what an earlier run left is no result of this one
    result = soak(options, stop)
    report = as_dict(result)
    (output / REPORT).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"{as_table(report)}\n{output / REPORT}\n")
    if options.picture:
        draw(result, report, output / PICTURE)
        sys.stdout.write(f"{output / PICTURE}\n")
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
