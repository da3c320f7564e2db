# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Nodes as processes on one machine or on hosts of a laboratory, with the profiles of config/fastdds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from node_harness import TIMEOUT_S, parameter_arguments

from aliked_ros.ros.child import NodeProcess
from aliked_ros.transport import profiles_variable
from tools.listener import Heard, read_heard

ROOT = Path(__file__).resolve().parents[2]
IMAGE_BYTES = 640 * 480 * 3
_FIRST_S, _PERIOD_S = 1000, 0.1


def write_images(directory: Path, image: np.ndarray, count: int) -> list[int]:
    """A TUM directory that shows one image of 640×480 at 10 Hz; returns the stamps."""
    (directory / "rgb").mkdir(parents=True)
    cv2.imwrite(str(directory / "rgb/0.bmp"), cv2.resize(image, (640, 480))[..., ::-1])
    stamps_s = [f"{_FIRST_S + index * _PERIOD_S:.1f}" for index in range(count)]
    (directory / "rgb.txt").write_text("".join(f"{stamp} rgb/0.bmp\n" for stamp in stamps_s))
    return [round(float(stamp) * 10) * 10**8 for stamp in stamps_s]


def environment(profile: str) -> dict[str, str]:
    """The variables of a node that uses one of our profiles; modules of tools are found from anywhere."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return {profiles_variable(os.environ): str(ROOT / f"config/fastdds/{profile}.xml"), "PYTHONPATH": path}


def assert_complete(heard: list[int], sent: list[int]) -> None:
    """Nothing was lost, doubled or out of order, once both knew each other: only the first may have gone to nobody."""
    assert heard == sent[-len(heard) :]
    assert len(heard) >= len(sent) // 3


def play(directory: Path, profile: str, prefix: Sequence[str] = (), **parameters: Any) -> str:
    """Plays a directory to its end and returns what the player said."""
    command = _player(directory, prefix, **parameters)
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=TIMEOUT_S, env=_variables(profile), check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@contextmanager
def playing(directory: Path, profile: str, log: Path) -> Iterator[None]:
    """Plays a directory; leaving ends the player by force, as Fast DDS now and then does not end over TCP."""
    with log.open("wb") as stream:
        process = subprocess.Popen(_player(directory), stdout=stream, stderr=stream, env=_variables(profile))
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _player(directory: Path, prefix: Sequence[str] = (), **parameters: Any) -> list[str]:
    arguments = parameter_arguments(input=directory, wait_for_subscribers=1, **parameters)
    return [*prefix, sys.executable, "-m", "aliked_ros.ros.player", "--ros-args", *arguments]


def _variables(profile: str) -> dict[str, str]:
    return {**os.environ, **environment(profile)}


class Ear:
    """What a listener hears."""

    def __init__(self, log: Path) -> None:
        self.log = log

    def heard(self, topic: str) -> list[Heard]:
        return [message for message in read_heard(self.log) if message.topic == topic]

    def stamps(self, topic: str) -> list[int]:
        return [message.stamp_ns for message in self.heard(topic)]


@contextmanager
def listening(
    log: Path, profile: str, topics: Sequence[str], prefix: Sequence[str] = (), *, best_effort: bool = False
) -> Iterator[Ear]:
    """A listener in a process of its own."""
    arguments = parameter_arguments(topics=f"[{', '.join(repr(topic) for topic in topics)}]", best_effort=best_effort)
    with NodeProcess("tools.listener", arguments, log, environment(profile), prefix):
        yield Ear(log)
