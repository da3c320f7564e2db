# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""A short campaign over everything, and proof that a campaign finds what there is to find."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

import faulty_worker

from aliked_ros.errors import ConfigError
from tools.fuzz import result_cases, sensor_cases
from tools.fuzz.__main__ import main, parse
from tools.fuzz.campaign import Campaign, FuzzError, growth_mb
from tools.fuzz.config import FAMILIES, FuzzConfig, rounds
from tools.fuzz.mutation import damaged
from tools.fuzz.report import as_table, commands_of

pytestmark = pytest.mark.ros

MESSAGES = ("Image", "CompressedImage", "CameraInfo", "depth Image", "Features", "Matches", "Tracks")


@pytest.fixture(autouse=True)
def faulty_workers_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=":")


def test_a_short_campaign_finds_nothing_and_leaves_nothing_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["--sensor", "1000", "--result", "1000", "--file", "100", "--seed", "1", "--output", str(tmp_path)])
    said = capsys.readouterr()
    assert code == 0, said.out + (tmp_path / "fuzz.log").read_text(errors="replace")[-3000:]
    content = json.loads((tmp_path / "fuzz.json").read_text())
    assert content["cases"] == 2100
    assert content["finds"] == []
    outcomes = {(row["kind"], row["outcome"]): row["count"] for row in content["outcomes"]}
    for kind in MESSAGES:
        assert outcomes[kind, "accepted"] > 20, "a fuzzer whose messages are all refused looks at nothing else"
        assert outcomes[kind, "not decodable"] > 0
    refusals = {outcome for _, outcome in outcomes} - {"accepted", "not decodable"}
    assert refusals >= {"ImageError", "CalibrationError", "MessageError", "SourceError"}
    assert "nothing was found" in said.out


def test_crashes_hangs_and_exceptions_are_found_and_survived(tmp_path: Path) -> None:
    config = FuzzConfig(sensor=40, result=0, file=0, deadline=1.0)
    findings = Campaign(config, tmp_path / "log", "faulty_worker").run()
    found = {find.index: find for find in findings.finds}
    assert set(found) == {faulty_worker.CRASHES, faulty_worker.HANGS, faulty_worker.FAILS}
    assert found[faulty_worker.CRASHES].what == "the process ended with SIGSEGV"
    assert found[faulty_worker.HANGS].what == "nothing happened for 2 s"
    assert any("faulty_worker.py" in line for line in found[faulty_worker.HANGS].details), "the stack is told"
    assert found[faulty_worker.FAILS].what == "KeyError: 'no AlikedError'"
    assert findings.cases == 38, "every other case was run to its end, once"
    assert as_table(findings).count("FIND") == 3


def test_memory_that_grows_is_found(tmp_path: Path) -> None:
    config = FuzzConfig(sensor=0, result=100, file=0)
    findings = Campaign(config, tmp_path / "log", "faulty_worker").run()
    (find,) = findings.finds
    assert find.what.startswith("memory grew by")
    assert findings.cases == 100


def test_enough_finds_end_a_campaign(tmp_path: Path) -> None:
    config = FuzzConfig(sensor=40, result=0, file=0, deadline=1.0, max_finds=1)
    findings = Campaign(config, tmp_path / "log", "faulty_worker").run()
    assert len(findings.finds) == 1


def test_a_worker_that_does_not_start_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(FuzzError, match=r"no case was begun.*No module named"):
        Campaign(FuzzConfig(), tmp_path / "log", "no_such_worker").run()


def test_a_time_limit_ends_a_campaign(tmp_path: Path) -> None:
    config = FuzzConfig(sensor=0, result=0, file=2, seconds=5.0)
    findings = Campaign(config, tmp_path / "log", "faulty_worker").run()
    assert findings.cases > 2, "the mixture goes on with new cases"
    assert len(findings.resident_mb) > 1


def test_growth_looks_past_the_warm_up() -> None:
    assert growth_mb([1.0, 50.0, *[100.0] * 6]) == 0.0
    assert growth_mb([100.0, 100.0, 100.0, 101.0, 102.0, 103.0, 104.0, 105.0]) > 2.0
    assert growth_mb([100.0]) == 0.0


def test_rounds_hold_every_case_once() -> None:
    config = FuzzConfig(sensor=1234, result=7, file=0, first=5)
    cases = [(b.family, b.first + i) for blocks in rounds(config) for b in blocks for i in range(b.count)]
    expected = {("sensor", 5 + i) for i in range(1234)} | {("result", 5 + i) for i in range(7)}
    assert len(cases) == len(set(cases))
    assert set(cases) == expected


def test_options_are_checked_and_a_family_can_be_alone(capsys: pytest.CaptureFixture[str]) -> None:
    config, output = parse(["--only", "result", "--seed", "7"])
    assert (config.sensor, config.result, config.file, config.seed) == (0, FuzzConfig.result, 0, 7)
    assert output == Path("out")
    with pytest.raises(SystemExit):
        parse(["--deadline", "0"])
    assert "deadline must be at least 1" in capsys.readouterr().err
    with pytest.raises(ConfigError):
        FuzzConfig(sensor=-1)


def test_a_find_is_repeated_by_its_command(tmp_path: Path) -> None:
    config = FuzzConfig(sensor=40, result=0, file=0, deadline=1.0, seed=3)
    findings = Campaign(config, tmp_path / "log", "faulty_worker").run()
    alone = commands_of(config, next(find for find in findings.finds if find.index == faulty_worker.FAILS))[0]
    again, _ = parse(alone.split()[3:])
    assert [find.index for find in Campaign(again, tmp_path / "log", "faulty_worker").run().finds] == [
        faulty_worker.FAILS
    ]


@pytest.mark.parametrize(
    "make",
    [
        sensor_cases.image, sensor_cases.depth, sensor_cases.compressed, sensor_cases.camera_info,
        result_cases.features, result_cases.matches, result_cases.tracks,
    ],
    ids=lambda make: make.__name__,
)  # fmt: skip
def test_a_case_follows_from_seed_and_number(make: object) -> None:
    def texts(seed: str) -> list[str]:  # NaN is no equal of itself, and serialised messages have garbage between fields
        return [repr(make(random.Random(f"{seed}/{i}"), i)) for i in range(10)]

    assert texts("a") == texts("a")
    assert texts("a") != texts("b")


def test_damage_changes_bytes() -> None:
    data = bytes(range(200))
    results = [damaged(random.Random(seed), data) for seed in range(200)]
    assert sum(result != data for result in results) > 180
    assert len({len(result) for result in results}) > 10
    assert all(isinstance(damaged(random.Random(seed), b""), bytes) for seed in range(50))


def test_the_families_are_those_of_the_options() -> None:
    assert {named.name for named in FuzzConfig.options()} >= set(FAMILIES)
