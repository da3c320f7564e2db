# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""A player that is there with all its topics and plays nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bag_samples import CAMERA, make_frames
from node_harness import parameter_arguments

from aliked_ros.io.tum_writer import TumWriter
from aliked_ros.ros.child import NodeProcess


@contextmanager
def waiting_player(directory: Path, **parameters: Any) -> Iterator[None]:
    """A player with all its topics that waits for subscribers who never come."""
    sequence = directory / "sequence"
    if not sequence.exists():
        with TumWriter(sequence, CAMERA) as writer:
            for frame in make_frames(2):
                writer.write(frame)
    arguments = parameter_arguments(input=sequence, wait_for_subscribers=5, **parameters)
    with NodeProcess("aliked_ros.ros.player", arguments, directory / "player.log"):
        yield
