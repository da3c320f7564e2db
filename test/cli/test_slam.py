# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""``aliked-ros slam``: files, figures, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from aliked_ros.camera import TUM_CAMERAS
from aliked_ros.cli import slam
from aliked_ros.cli.main import build_parser, main
from aliked_ros.io.sources.tum import read_list

CONTRACT = (
    "ate_rmse_m", "ate_alignment", "path_length_m", "frames", "localised", "keyframes", "loop_closures", "seconds",
)  # fmt: skip
FAST = ("--model", "aliked-t16", "--device", "cpu", "--max_keypoints", "400")


def test_a_directory_becomes_a_trajectory(
    small_sequence: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "slam.png").write_text("of an earlier run")
    assert main(["slam", str(small_sequence), "--output", str(tmp_path), *FAST]) == 0
    report = json.loads((tmp_path / "slam.json").read_text())
    assert set(CONTRACT) <= set(report)
    assert report["frames"] == report["localised"] == 6
    assert report["ate_rmse_m"] < 0.02
    assert report["mode"] == "rgbd"
    poses = read_list(tmp_path / "trajectory.tum", 8, lambda fields: fields)
    assert len(poses) == 6
    assert (tmp_path / "slam.png").read_bytes()[:4] == b"\x89PNG"
    output = capsys.readouterr().out
    assert "6 of 6" in output
    assert "slam.png" in output


def test_a_bag_becomes_the_same_trajectory_every_time(small_sequence: Path, tmp_path: Path) -> None:
    bag = tmp_path / "recorded"
    assert main(["bag", "create", str(small_sequence), str(bag)]) == 0
    inputs = {"first": bag, "second": bag, "directory": small_sequence}
    for name, source in inputs.items():
        assert main(["slam", str(source), "--output", str(tmp_path / name), "--no_plot", *FAST]) == 0
    report = json.loads((tmp_path / "first" / "slam.json").read_text())
    assert report["localised"] == 6
    assert report["ate_rmse_m"] < 0.02, "the bag holds the true poses, too"
    first, second, directory = ((tmp_path / name / "trajectory.tum").read_bytes() for name in inputs)
    assert first == second == directory


def test_a_simulated_sequence_with_orb(tmp_path: Path) -> None:
    small = ["--scene", "desk", "--frames", "4", "--width", "320", "--height", "240", "--shutter_s", "0"]
    assert main(["slam", "--features", "orb", "--output", str(tmp_path), "--no_plot", *small]) == 0
    report = json.loads((tmp_path / "slam.json").read_text())
    assert report["model"] == "orb"
    assert report["frames"] == 4
    assert not (tmp_path / "slam.png").exists()


def test_options_reach_the_backend() -> None:
    arguments = ["slam", "x", "--no-loop-closure", "--features", "orb", "--set", "association.map_radius_px=5"]
    config = slam.backend_config(build_parser().parse_args(arguments))
    assert config.place.loop_closure is False
    assert config.association.map_radius_px == 5.0
    assert config.association.map_min_similarity == 0.6  # ORB's


@pytest.mark.parametrize(
    ("arguments", "refinement"),
    [
        ([], "photometric"),
        (["--refinement", "none"], "none"),
        (["--features", "orb"], "none"),
        (["--features", "orb", "--refinement", "photometric"], "photometric"),
    ],
)
def test_points_of_aliked_are_refined_unless_told_otherwise(arguments: list[str], refinement: str) -> None:
    _, tracking = slam._features(build_parser().parse_args(["slam", *FAST, *arguments]))
    assert tracking.refinement == refinement


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["slam", "missing"], 1, "no such file"),
        (["slam", "missing", "--set", "keyframe"], 2, "GROUP.NAME=VALUE"),
        (["slam", "missing", "--set", "keyframe.nothing=1"], 2, "no option 'keyframe.nothing'"),
        (["slam", "missing", "--set", "keyframe.max_motion=0"], 2, "max_motion must be at least"),
        (["slam", "missing", "--set", "sensor.mode=mono"], 2, "choose with --mode"),
        (["slam", "any", "--mode", "stereo", "--calibration", "fr1"], 2, "the calibration of both cameras"),
    ],
)
def test_mistakes_are_said(
    arguments: list[str], status: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--output", str(tmp_path / "out")]) == status
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_run_without_a_pose_is_no_success(
    small_sequence: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["slam", str(small_sequence), "--output", str(tmp_path), *FAST]
    assert main([*arguments, "--set", "sensor.min_depth_m=7"]) == 1
    captured = capsys.readouterr()
    assert "no frame was localised" in captured.err
    assert "depth between 7 and 8 m" in captured.err
    assert "too few poses to compare" in captured.out, "there is a ground truth"
    assert json.loads((tmp_path / "slam.json").read_text())["localised"] == 0


def test_what_was_localised_before_an_error_is_kept(
    small_sequence: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(small_sequence, broken)
    last = (broken / "rgb.txt").read_text().splitlines()[-1].split()[1]
    (broken / last).write_bytes(b"no picture")
    assert main(["slam", str(broken), "--output", str(tmp_path / "out"), *FAST]) == 1
    captured = capsys.readouterr()
    assert last in captured.err
    assert "5 of 5" in captured.out
    assert json.loads((tmp_path / "out" / "slam.json").read_text())["localised"] == 5
    assert len(read_list(tmp_path / "out" / "trajectory.tum", 8, lambda fields: fields)) == 5


def test_options_of_sources_reach_them(small_sequence: Path, tmp_path: Path) -> None:
    arguments = ["slam", "x", "--image_topic", "/left/image", "--frame_rate", "10"]
    with pytest.raises(SystemExit):
        build_parser().parse_args(["slam", "x", "--frame_rate", "ten"])
    parsed = build_parser().parse_args(arguments)
    assert (parsed.image_topic, parsed.frame_rate) == ("/left/image", 10.0)
    images = small_sequence / "rgb"
    assert main(["slam", str(images), "--calibration", "fr2", "--frame_rate", "-1", "--output", str(tmp_path)]) != 0


def test_a_pair_that_is_none_is_said_and_one_camera_used(
    small_sequence: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = tmp_path / "00"
    for name in ("image_0", "image_1"):
        shutil.copytree(small_sequence / "rgb", pair / name)
    camera = TUM_CAMERAS["fr1"]
    row = f"{camera.fx} 0 {camera.cx} 0 0 {camera.fy} {camera.cy} 0 0 0 1 0"
    (pair / "calib.txt").write_text(f"P0: {row}\nP1: {row}\n")
    options = ["--output", str(tmp_path / "out"), "--no_plot", *FAST]
    main(["slam", str(pair), *options])
    said = capsys.readouterr()
    assert "the second camera is not used: " in said.err
    assert "calib.txt: holds no baseline" in said.err
    assert "(mono, aliked-t16)" in said.out
    assert main(["slam", str(pair), *options, "--mode", "stereo"]) == 1
    assert "calib.txt: holds no baseline" in capsys.readouterr().err


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(slam, "find_spec", lambda name: None)
    assert main(["slam"]) == 1
    assert "requirements/slam.txt" in capsys.readouterr().err
