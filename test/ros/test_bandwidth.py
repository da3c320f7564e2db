# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The measurement of bandwidth: its table, its command line, and one real case on three hosts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from aliked_ros.errors import DeviceError
from aliked_ros.sim.config import SimulationConfig
from aliked_ros.sim.simulation import write_sequence
from tools.measure_bandwidth import CASES, Case, Cost, as_table, mean_keypoints, measure, parse
from tools.network_lab import NetworkLab

pytestmark = pytest.mark.ros

FRAMES = 3


@pytest.fixture
def lab() -> Iterator[NetworkLab]:
    try:
        with NetworkLab(("camera", "tracker", "backend")) as lab:
            yield lab
    except DeviceError as error:
        pytest.skip(str(error))


def test_every_case_has_its_row() -> None:
    costs = {case: Cost(1000.0 + index, 2000.0 + index, 1e6) for index, case in enumerate(CASES)}
    rows = as_table(costs).splitlines()
    assert len(rows) == 2 + 1 + len(CASES)
    assert rows[2] == "| image, raw | 921,600 of pixels | 1,000,000 | 240.0 |"
    assert rows[3] == "| features, descriptors none | 1,000 | 2,000 | 0.5 |"


def test_keypoints_are_told_from_the_sizes() -> None:
    sizes = {"none": 20_000, "float32": 532_000, "float16": 276_000, "int8": 148_000}
    costs = {Case("", "features", dtype): Cost(size, 0.0, 0.0) for dtype, size in sizes.items()}
    assert mean_keypoints(costs, 128) == 1000


@pytest.mark.parametrize("arguments", [["--frames", "0"], ["--model", "sift"]])
def test_a_wrong_command_line_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        parse(arguments)


def test_why_there_is_no_laboratory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(shutil, "which", lambda name: "/sbin/ip")
    with pytest.raises(DeviceError, match="needs root"):
        NetworkLab(["one"]).__enter__()
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(DeviceError, match="install iproute2"):
        NetworkLab(["one"]).__enter__()


def test_a_case_is_measured(lab: NetworkLab, tmp_path: Path) -> None:
    write_sequence(SimulationConfig(frames=FRAMES), tmp_path / "sequence")
    case = next(case for case in CASES if case.descriptor_dtype == "int8")
    cost = measure(case, "aliked-t16", FRAMES, tmp_path / "sequence", tmp_path, lab)
    assert cost.message_bytes > 1000 * 64, "a thousand descriptors of 64 bytes"
    assert cost.message_bytes < cost.to_backend < 2 * cost.message_bytes
    assert 640 * 480 * 3 < cost.from_camera < 2 * 640 * 480 * 3
