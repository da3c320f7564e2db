# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The measurement of what the tracker adds to its network."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

from aliked_ros.errors import SourceError
from aliked_ros.ros.latency import Round, as_table, report


def test_the_report_takes_extraction_off_each_image_and_compares_medians() -> None:
    rounds = [Round(2.0, 30.0 + extra, 26.0 + extra, 1.0, 20.0) for extra in (0.0, 5.0, 10.0)]
    result = report(rounds)
    assert result["beyond_extraction_ms"] == {"p10": 4.0, "p50": 4.0, "p90": 4.0, "p99": 4.0}
    assert result["ratios"]["beyond_extraction_over_relay_p50"] == 2.0
    assert result["ratios"]["beyond_extraction_over_sift_p50"] == pytest.approx(0.2)
    assert result["ratios"]["publishing_over_extraction_p50"] == pytest.approx(1 / 31)
    table = as_table(result)
    assert "beyond extraction over relay p99" in table
    assert table.count("MISSED") == 2, "4 ms beside a relay of 2"
    assert "publishing over extraction p50         0.03  target 0.1: met" in table


def test_a_run_without_a_round_says_so() -> None:
    with pytest.raises(SourceError, match="nothing was measured"):
        report([])


def test_real_processes_are_measured(tmp_path: Path) -> None:
    output = tmp_path / "latency.json"
    command = [sys.executable, "-m", "aliked_ros.ros.latency", "--rounds", "3", "--pause", "0", "--json", str(output)]
    command += ["-p", "model:=aliked-t16"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    content = json.loads(output.read_text())
    assert len(content["rounds"]) == 3
    for one in content["rounds"]:
        assert 0 < one["publishing"] < one["tracker"] - one["extraction"]
    assert "beyond extraction" in done.stdout
