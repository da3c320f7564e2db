# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""``aliked-ros eval`` as a user meets it: results on disk, one line for an error, help that teaches."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from image_samples import make_textured_image

from aliked_ros.bench import candidates
from aliked_ros.cli.main import main
from aliked_ros.evaluation.report import FIGURE_NAME, JSON_NAME, MARKDOWN_NAME
from aliked_ros.evaluation.warping import warped


def write_trajectory(path: Path, scale: float = 1.0) -> Path:
    angles = np.linspace(0, 2, 40)
    xyz = scale * np.column_stack([np.sin(angles), np.cos(angles), angles])
    np.savetxt(path, np.column_stack([1000 + angles, xyz, np.tile([0, 0, 0, 1], (40, 1))]), fmt="%.9f")
    return path


def write_hpatches(folder: Path) -> Path:
    image, truth = make_textured_image(240, 320), np.array([[1.0, 0.05, 4], [-0.05, 1, 9], [0, 0, 1]])
    for name in ("i_a", "v_b"):
        (folder / name).mkdir(parents=True)
        cv2.imwrite(str(folder / name / "1.ppm"), image)
        cv2.imwrite(str(folder / name / "2.ppm"), warped(image, truth))
        np.savetxt(folder / name / "H_1_2", truth)
    return folder


def results(folder: Path) -> dict:
    assert (folder / MARKDOWN_NAME).read_text().startswith("# ")
    return dict(json.loads((folder / JSON_NAME).read_text())["results"])


def test_trajectory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth, estimate = write_trajectory(tmp_path / "t.txt"), write_trajectory(tmp_path / "e.txt", 0.5)
    output = tmp_path / "out"
    command = ["eval", "trajectory", str(estimate), str(truth), "--output", str(output), "--alignment", "sim3"]
    assert main(command) == 0
    assert results(output)["ate_m"]["rmse"] < 1e-6
    picture = cv2.imread(str(output / FIGURE_NAME))
    assert picture is not None
    assert len(np.unique(picture)) > 20
    assert "ATE, m" in capsys.readouterr().out
    assert main(command) == 1
    assert "exists; choose another --output, or write into it with --force" in capsys.readouterr().err
    (output / "notes.txt").write_text("mine")
    assert main([*command, "--force", "--no-figures"]) == 0
    assert not (output / FIGURE_NAME).exists(), "what an earlier run left is no result of this one"
    assert (output / "notes.txt").read_text() == "mine"
    assert results(output)["ate_m"]["rmse"] < 1e-6


def test_homographies_beside_a_peer(tmp_path: Path) -> None:
    folder, output = write_hpatches(tmp_path / "hpatches"), tmp_path / "out"
    methods = ["--method", "aliked-t16", "--method", "orb", "--max_keypoints", "300"]
    assert main(["eval", "homographies", str(folder), *methods, "--output", str(output)]) == 0
    summary = results(output)["summary"]["all"]
    assert set(summary) == {"aliked-t16", "orb"}
    assert summary["aliked-t16"]["pairs"] == 2
    assert summary["aliked-t16"]["mma_3px"] > 0.8
    assert summary["aliked-t16"]["homography_3px"] == 1.0


def test_poses(tmp_path: Path) -> None:
    image = make_textured_image(240, 320)
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / name), image)
    numbers = [0, 0, *np.diag([300.0, 300, 1]).ravel(), *np.diag([300.0, 300, 1]).ravel(), *np.eye(4).ravel()]
    (tmp_path / "pairs.txt").write_text(" ".join(["a.png", "b.png", *map(str, numbers)]) + "\n")
    command = ["eval", "poses", str(tmp_path / "pairs.txt"), str(tmp_path), "--method", "orb"]
    assert main([*command, "--output", str(tmp_path / "out")]) == 0
    assert results(tmp_path / "out")["pairs"]["orb"][0]["num_matches"] > 50


@pytest.mark.parametrize(("benchmark", "frames"), [("features", "6"), ("tracks", "32")])
def test_sequences(tmp_path: Path, benchmark: str, frames: str) -> None:
    sequence, output = tmp_path / "sim", tmp_path / "out"
    assert main(["sim", str(sequence), "--frames", frames, "--width", "160", "--height", "120"]) == 0
    methods = ["--method", "orb"] + (["--method", "klt"] if benchmark == "tracks" else [])
    command = ["eval", benchmark, "--sequence", str(sequence), "--output", str(output), "--frames", frames]
    assert main([*command, *methods, "--max_keypoints", "100"]) == 0
    assert set(results(output)["sim"]) == set(methods[1::2])
    assert cv2.imread(str(output / FIGURE_NAME)) is not None


def test_refinement(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "1.png"), make_textured_image(240, 320))
    command = ["eval", "refinement", str(tmp_path), "--method", "orb", "--output", str(tmp_path / "out")]
    assert main([*command, "--frames", "1", "--max_keypoints", "200"]) == 0
    assert results(tmp_path / "out")["orb"]["all"]["ratio"] < 0.6
    picture = cv2.imread(str(tmp_path / "out" / FIGURE_NAME))
    assert picture is not None
    assert len(np.unique(picture)) > 20


def test_frames_in_which_nothing_can_be_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cv2.imwrite(str(tmp_path / "1.png"), np.full((240, 320), 90, np.uint8))
    command = ["eval", "refinement", str(tmp_path), "--method", "orb", "--output", str(tmp_path / "out")]
    assert main(command) == 1
    assert "no point was matched and refined" in capsys.readouterr().err
    for frames in ("0", "-1"):
        with pytest.raises(SystemExit):
            main([*command, "--frames", frames])
        assert f"must be at least 1, got {frames}" in capsys.readouterr().err
    sequence = tmp_path / "sim"
    assert main(["sim", str(sequence), "--frames", "2", "--width", "160", "--height", "120"]) == 0
    for path in (sequence / "depth").iterdir():
        cv2.imwrite(str(path), np.zeros((120, 160), np.uint16))
    command = ["eval", "features", "--sequence", str(sequence), "--method", "orb", "--output", str(tmp_path / "out")]
    assert main(command) == 1
    assert "frame 0 has no pixel whose depth is known" in capsys.readouterr().err


def test_a_missing_image_of_a_scene_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_hpatches(tmp_path / "hpatches")
    np.savetxt(folder / "v_b" / "H_1_3", np.eye(3))
    assert main(["eval", "homographies", str(folder), "--method", "orb", "--output", str(tmp_path / "out")]) == 1
    assert "v_b: image 3 is missing" in capsys.readouterr().err
    shutil.copy(folder / "i_a" / "2.ppm", folder / "i_a" / "4.ppm")
    np.savetxt(folder / "i_a" / "H_1_4", np.eye(3))
    assert main(["eval", "homographies", str(folder), "--method", "orb", "--output", str(tmp_path / "out")]) == 1
    assert "i_a: image 3 is missing" in capsys.readouterr().err


def test_a_missing_peer_is_left_out_unless_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(candidate: candidates.Candidate) -> candidates.Extract:
        if candidate.method in ("xfeat", candidates.OURS, "sift"):
            raise candidates.PeerMissingError(candidate.method, "not here", "install it")
        return original(candidate)

    original = candidates.load
    monkeypatch.setattr(candidates, "load", load)
    command = ["eval", "homographies", str(write_hpatches(tmp_path / "data")), "--output", str(tmp_path / "out")]
    assert main(command) == 0
    assert "left out: xfeat: not here; install it" in capsys.readouterr().err
    assert set(results(tmp_path / "out")["summary"]["all"]) == {"orb"}
    assert main([*command, "--method", "xfeat", "--force"]) == 1
    assert capsys.readouterr().err.strip().endswith("error: xfeat: not here; install it")


def test_errors_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "e.txt").write_text("1 2 3\n")
    truth = write_trajectory(tmp_path / "t.txt")
    assert main(["eval", "trajectory", str(tmp_path / "e.txt"), str(truth), "--output", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err == f"error: {tmp_path / 'e.txt'}, line 1: has 3 columns, needs 8\n"
    assert not (tmp_path / "out").exists()


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["eval", "--help"])
    text = capsys.readouterr().out
    for benchmark in ("trajectory", "homographies", "poses", "features", "tracks", "refinement"):
        assert f"aliked-ros eval {benchmark}" in text
    with pytest.raises(SystemExit):
        main(["eval", "trajectory", "--help"])
    assert "sim3 also fits the scale (one of none, se3, sim3)" in " ".join(capsys.readouterr().out.split())
