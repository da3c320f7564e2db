# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Measures how many bytes a frame costs on the network between machines, for each type of descriptor and of image.

``sudo -E python -m tools.measure_bandwidth``. Camera, tracker and backend run in network namespaces joined by virtual
links of 1500-byte packets; the bytes are those that the interfaces count: messages, ~/status, headers of DDS, UDP, IP
and Ethernet, acknowledgements and discovery. It takes root. Bytes do not depend on how fast the machine is.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from aliked_ros.errors import AlikedError
from aliked_ros.network.model import MODELS
from aliked_ros.ros.child import NodeProcess
from aliked_ros.ros.domain import private_domain
from aliked_ros.ros.node_config import DESCRIPTOR_DTYPES
from aliked_ros.sim.config import SimulationConfig
from aliked_ros.sim.simulation import write_sequence
from aliked_ros.transport import profiles_variable
from tools.listener import Heard, read_heard
from tools.network_lab import NetworkLab

_ROOT = Path(__file__).resolve().parents[1]
_HOSTS = ("camera", "tracker", "backend")
_STATUS = "/tracker/status:aliked_msgs/TrackerStatus"
_TOPICS = {"features": "Features", "matches": "Matches", "tracks": "Tracks"}
_TIMEOUT_S = 60.0
_FRAMES_PER_S = 30


@dataclass(frozen=True)
class Case:
    """What is sent in one measurement."""

    label: str
    topic: str  # of the tracker's, that the backend takes
    descriptor_dtype: str = "none"
    compressed: bool = False


@dataclass(frozen=True)
class Cost:
    """Means of a frame."""

    message_bytes: float  # the result, serialised
    to_backend: float  # bytes that the backend's interface received
    from_camera: float  # bytes that the camera's interface sent


CASES = (
    *(Case(f"features, descriptors {dtype}", "features", dtype) for dtype in DESCRIPTOR_DTYPES),
    Case("matches", "matches"),
    Case("tracks", "tracks"),
    Case("features, from compressed images", "features", compressed=True),
)


def measure(case: Case, model: str, frames: int, sequence: Path, folder: Path, lab: NetworkLab) -> Cost:
    """Runs the three hosts while the sequence, which has that many frames, is played.

    Raises:
        AlikedError: a process ended, or nothing came in time.
    """
    log = folder / "backend.log"
    with ExitStack() as stack:
        topics = f"['/tracker/{case.topic}:aliked_msgs/{_TOPICS[case.topic]}', '{_STATUS}']"
        stack.enter_context(_node("tools.listener", {"topics": topics}, log, lab.prefix("backend")))
        parameters = {
            "model": model,
            "device": "cpu",
            "max_keypoints": "1000",
            "score_threshold": "0.0",
            "process_every_frame": "true",
            "descriptor_dtype": case.descriptor_dtype,
            "image_transport": "compressed" if case.compressed else "raw",
        }
        tracker_log = folder / "tracker.log"
        tracker = stack.enter_context(_node("aliked_ros.ros.tracker", parameters, tracker_log, lab.prefix("tracker")))
        _wait(lambda: "ready: " in tracker_log.read_text(), tracker, "the tracker")
        _wait(lambda: bool(_heard(log, "status")), tracker, "the tracker's status at the backend")
        before = {host: lab.traffic(host) for host in _HOSTS}
        _play(sequence, case, folder, lab)
        expected = frames - (case.topic == "matches")  # to the frame before
        _wait(lambda: len(_heard(log, case.topic)) >= expected, tracker, "the last frame's results")
        passed = {host: lab.traffic(host).since(before[host]) for host in _HOSTS}
        message_bytes = sum(message.size_bytes for message in _heard(log, case.topic)) / expected
    return Cost(message_bytes, passed["backend"].received / expected, passed["camera"].sent / frames)


def _play(sequence: Path, case: Case, folder: Path, lab: NetworkLab) -> None:
    """Plays the sequence: raw images in lock step, so that a slow machine loses none and has none sent again."""
    if case.compressed:  # lock step takes raw images
        more = {"wait_for_subscribers": "1", "publish_compressed": "true", "rate": "0.2"}
    else:
        more = {"wait_for": "/tracker/features"}
    command = [*lab.prefix("camera"), sys.executable, "-m", "aliked_ros.ros.player", "--ros-args"]
    log = folder / "player.log"
    with log.open("wb") as stream:
        done = subprocess.run(
            [*command, *_words({"input": str(sequence), **more})],
            stdout=stream,
            stderr=stream,
            env={**os.environ, **_environment()},
            timeout=_TIMEOUT_S * 10,
            check=False,
        )
    if done.returncode != 0:
        raise AlikedError(f"the player failed: {log.read_text(encoding='utf-8').strip()}")


def _heard(log: Path, topic: str) -> list[Heard]:
    return [message for message in read_heard(log) if message.topic == f"/tracker/{topic}"]


def _node(module: str, parameters: dict[str, str], log: Path, prefix: Sequence[str]) -> NodeProcess:
    return NodeProcess(module, _words(parameters), log, _environment(), prefix)


def _words(parameters: dict[str, str]) -> list[str]:
    return [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]


def _environment() -> dict[str, str]:
    path = os.pathsep.join([str(_ROOT), os.environ.get("PYTHONPATH", "")])
    return {profiles_variable(os.environ): str(_ROOT / "config/fastdds/several_machines.xml"), "PYTHONPATH": path}


def _wait(condition: Callable[[], bool], process: NodeProcess, what: str) -> None:
    deadline_s = time.monotonic() + _TIMEOUT_S
    while not condition():
        process.require_running()
        if time.monotonic() > deadline_s:
            raise AlikedError(f"waited {_TIMEOUT_S:g} s in vain for {what}")
        time.sleep(0.02)


def as_table(costs: dict[Case, Cost]) -> str:
    """The costs in Markdown, and what they mean at 30 frames per second."""
    lines = ["| on the way | message, bytes | on the wire, bytes per frame | at 30 frames per second, Mbit/s |"]
    lines.append("|---|---|---|---|")

    def row(label: str, message: str, wire: float) -> str:
        return f"| {label} | {message} | {wire:,.0f} | {wire * 8 * _FRAMES_PER_S / 1e6:.1f} |"

    raw = next(cost for case, cost in costs.items() if not case.compressed)
    lines.append(row("image, raw", f"{640 * 480 * 3:,} of pixels", raw.from_camera))
    for case, cost in costs.items():
        if case.compressed:
            # The player publishes the raw image as well, but nobody takes it, so it is not sent.
            lines.append(row("image, JPEG", "", cost.from_camera))
        else:
            lines.append(row(case.label, f"{cost.message_bytes:,.0f}", cost.to_backend))
    return "\n".join(lines)


def mean_keypoints(costs: dict[Case, Cost], descriptor_dim: int) -> float:
    """Keypoints of a frame, told by what descriptors of one byte per value add to a message."""
    sizes = {case.descriptor_dtype: cost.message_bytes for case, cost in costs.items() if case.topic == "features"}
    plain = next(cost.message_bytes for case, cost in costs.items() if case.descriptor_dtype == "none")
    return (sizes["int8"] - plain) / descriptor_dim


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line; exits on a wrong one."""
    parser = argparse.ArgumentParser("python -m tools.measure_bandwidth", description=__doc__)
    parser.add_argument("--frames", type=int, default=40, help="that count, in each case [40]")
    parser.add_argument("--model", choices=sorted(MODELS), default="aliked-n16", help="[aliked-n16]")
    options = parser.parse_args(arguments)
    if options.frames < 1:
        parser.error(f"at least 1 frame is needed, got {options.frames}")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures every case, prints a Markdown table, and returns the exit code."""
    options = parse(arguments)
    try:
        with private_domain() as environment, tempfile.TemporaryDirectory(prefix="aliked_ros_") as folder:
            os.environ.update(environment)
            sequence = Path(folder) / "sequence"
            write_sequence(SimulationConfig(frames=options.frames), sequence)
            costs = {}
            with NetworkLab(_HOSTS) as lab:
                for case in tqdm(CASES, unit="case", disable=None):
                    costs[case] = measure(case, options.model, options.frames, sequence, Path(folder), lab)
    except AlikedError as error:
        print(error, file=sys.stderr)
        return 1
    dim = MODELS[options.model].dim
    print(as_table(costs))
    print(f"{options.model}, {options.frames} frames of 640×480, {mean_keypoints(costs, dim):.0f} keypoints each")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
