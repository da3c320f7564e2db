# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Disks that are full and folders that cannot be written: one line, and the node goes on where it can."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from node_harness import TIMEOUT_S, parameter_arguments, running_tracker

from aliked_ros.io.frames import Frame
from aliked_ros.io.tum_writer import TumWriter

pytestmark = pytest.mark.ros


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"this system lets nobody mount a small disk: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_ros_log_on_a_full_disk(tmp_path: Path, small_disk: Path, textured_image: np.ndarray) -> None:
    (small_disk / "ballast").write_bytes(bytes(16384))
    with running_tracker(
        tmp_path,
        environment={"ROS_LOG_DIR": str(small_disk)},
        process_every_frame=True,
        warmup_width=0,
    ) as tracker:
        assert tracker.track(textured_image).num_features > 0
        assert tracker.counters() == (1, 1, 0, 0)
        assert "ready: " in tracker.log_text(), "what is said still reaches the terminal"


def test_ros_log_in_a_folder_that_cannot_be_made(tmp_path: Path, textured_image: np.ndarray) -> None:
    (tmp_path / "file").write_text("in the way")
    with running_tracker(
        tmp_path,
        environment={"ROS_LOG_DIR": str(tmp_path / "file")},
        process_every_frame=True,
        warmup_width=0,
        max_keypoints=77,
    ) as tracker:
        assert tracker.track(textured_image).num_features == 77, "the node's own arguments are kept"
        (line,) = [line for line in tracker.log_text().splitlines() if "[WARN]" in line and "log" in line]
        assert "there is no log file, see ROS_LOG_DIR" in line
        assert str(tmp_path / "file") in line


def test_the_demos_output_on_a_full_disk(tmp_path: Path, small_disk: Path, textured_image: np.ndarray) -> None:
    with TumWriter(tmp_path / "sequence") as writer:
        for index in range(3):
            writer.write(Frame(index * 33_000_000, textured_image))
    quick = parameter_arguments(model="aliked-t16", device="cpu", precision="fp32", warmup_width=0)
    done = subprocess.run(
        [sys.executable, "-m", "aliked_ros.ros.demo", tmp_path / "sequence", "--output", small_disk, *quick],
        capture_output=True,
        text=True,
        timeout=4 * TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "[FATAL]" in line]
    assert str(small_disk) in line
    assert "No space left on device" in line or "is the disk full?" in line, "whichever file meets it first"
    assert not (small_disk / "summary.json").exists(), "a run that failed has no summary"
