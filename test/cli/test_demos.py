# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The paper's two demos, run for real on a small simulated sequence."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from aliked_ros.cli import pair, seq
from aliked_ros.cli.main import main
from aliked_ros.io.images import read_image, write_image
from aliked_ros.io.sources.video import VideoSource

SMALL = ["--model", "aliked-t16", "--device", "cpu", "--no_display"]


def test_pair_matches_the_first_image_with_each_other(
    small_sequence: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for number, path in enumerate(sorted((small_sequence / "rgb").iterdir())[:3]):
        (images / f"{number + 8}.png").write_bytes(path.read_bytes())  # 8, 9, 10: natural order decides
    assert pair.main([str(images), *SMALL, "--output", str(tmp_path / "out"), "--top-k", "200"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["image", "features", "matches", "similarity", "frames/s"]
    assert [line.split()[0] for line in lines[1:4]] == ["8.png", "9.png", "10.png"]
    assert all(line.split()[1] == "200" for line in lines[1:4])
    assert all(100 < int(line.split()[2]) <= 200 for line in lines[2:4])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["8-10.png", "8-9.png"]
    assert read_image(tmp_path / "out" / "8-9.png").shape == (240, 648, 3)


def test_pair_by_lightglue(small_sequence: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("kornia", reason="kornia is not installed")
    images = tmp_path / "images"
    images.mkdir()
    for path in sorted((small_sequence / "rgb").iterdir())[:2]:
        (images / path.name).write_bytes(path.read_bytes())
    glue = ["--no_display", "--device", "cpu", "--matcher", "lightglue", "--top_k", "100"]
    assert pair.main([str(images), *glue, "--model", "aliked-n16", "--output", str(tmp_path / "out")]) == 0
    row = capsys.readouterr().out.splitlines()[2].split()
    assert 50 < int(row[2]) <= 100
    assert 0.1 <= float(row[3]) <= 1
    assert pair.main([str(images), *glue, "--output", str(tmp_path / "out")]) == 2
    assert "choose model aliked-n16" in capsys.readouterr().err


def test_seq_writes_a_video_of_tracks_beside_the_score_map(
    small_sequence: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["seq", str(small_sequence), *SMALL, "--output", str(tmp_path / "out"), "--n_limit", "300"]
    assert main(argv) == 0
    text = capsys.readouterr().out
    assert re.search(r"^model +aliked-t16 on cpu \(", text, re.MULTILINE)
    assert re.search(r"^frames +6$", text, re.MULTILINE)
    features, matches = (
        float(re.search(rf"^{name}, mean +([\d.]+)$", text, re.MULTILINE)[1])  # type: ignore[index]
        for name in ("features", "matches")
    )
    assert 50 < features <= 300
    assert 0.4 * features < matches <= features
    assert re.search(r"^frame rate +[\d.]+ frames/s, whole", text, re.MULTILINE)
    frames = list(VideoSource(tmp_path / "out" / "tracks.mp4"))
    assert len(frames) == 6
    assert frames[0].image.shape == (240, 640, 3)
    assert frames[1].stamp_ns == pytest.approx(1e9 + 1e9 / 15, rel=0.01)
    left, right = frames[5].image[:, :320], frames[5].image[:, 320:]
    original = read_image(sorted((small_sequence / "rgb").iterdir())[5])
    similar = [np.corrcoef(half.ravel(), original.ravel())[0, 1] for half in (left, right)]
    assert similar[0] > 0.5 > similar[1]


def test_seq_takes_a_part_of_a_folder(small_sequence: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = [str(small_sequence / "rgb"), *SMALL, "--output", str(tmp_path), "--start_s", "0.05", "--duration_s", "0.1"]
    assert seq.main(argv) == 0
    assert re.search(r"^frames +2$", capsys.readouterr().out, re.MULTILINE)


def test_seq_keeps_what_came_before_a_damaged_image(
    small_sequence: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for path in sorted((small_sequence / "rgb").iterdir())[:3]:
        (images / path.name).write_bytes(path.read_bytes())
    (images / path.name).write_bytes(path.read_bytes()[:5000])
    assert seq.main([str(images), *SMALL, "--output", str(tmp_path / "out")]) == 1
    captured = capsys.readouterr()
    assert re.search(r"^frames +2$", captured.out, re.MULTILINE)
    assert f"{path.name}: PNG of 5000 bytes is cut off" in captured.err
    assert len(list(VideoSource(tmp_path / "out" / "tracks.mp4"))) == 2


def test_seq_starts_new_trails_where_the_images_change_their_size(
    small_sequence: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for number, path in enumerate(sorted((small_sequence / "rgb").iterdir())[:3]):
        image = read_image(path)
        write_image(images / f"{number}.png", image if number < 2 else image[:160, :224])
    assert seq.main([str(images), *SMALL, "--output", str(tmp_path / "out")]) == 0
    text = capsys.readouterr().out
    assert re.search(r"^frames +3$", text, re.MULTILINE)
    assert len(list(VideoSource(tmp_path / "out" / "tracks.mp4"))) == 3


def test_seq_in_a_window_ends_with_q(
    small_sequence: Path, screen: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    screen["keys"] = [ord(" "), ord("q")]
    assert seq.main([str(small_sequence), *SMALL[:-1]]) == 0
    text = capsys.readouterr().out
    assert re.search(r"^frames +2$", text, re.MULTILINE)
    assert "video" not in text
    assert [image.shape for image in screen["shown"]] == [(240, 640, 3)] * 2


def test_pair_in_a_window_ends_with_escape(
    small_sequence: Path, screen: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    screen["keys"] = [27]
    assert pair.main([str(small_sequence / "rgb"), *SMALL[:-1]]) == 0
    assert len(screen["shown"]) == 1
    assert len(capsys.readouterr().out.splitlines()) == 3  # the heading, the reference, one image


def test_pair_needs_two_images(small_sequence: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cv2.imwrite(str(tmp_path / "only.png"), np.zeros((64, 64, 3), np.uint8))
    assert pair.main([str(tmp_path), *SMALL]) == 1
    assert "has one image only" in capsys.readouterr().err


@pytest.mark.parametrize("demo", [pair, seq])
def test_without_windows_the_demos_say_what_to_do(
    demo: object,
    small_sequence: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "  GUI:                           NONE\n")
    assert demo.main([str(small_sequence / "rgb")]) == 2  # type: ignore[attr-defined]
    assert "use --no_display" in capsys.readouterr().err


@pytest.mark.parametrize("demo", [pair, seq])
def test_an_unwritable_folder_is_named_before_anything_is_loaded(
    demo: object, small_sequence: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    argv = [str(small_sequence / "rgb"), *SMALL, "--output", str(tmp_path / "file" / "out")]
    assert demo.main(argv) == 1  # type: ignore[attr-defined]
    assert "choose another output folder" in capsys.readouterr().err


def test_sim_writes_a_sequence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["sim", str(tmp_path / "sequence"), "--frames", "2", "--width", "64", "--height", "48"]
    assert main(argv) == 0
    assert "2 frames of scene desk" in capsys.readouterr().out
    assert (tmp_path / "sequence" / "groundtruth.txt").is_file()
    assert main(argv) == 1
    assert "exists" in capsys.readouterr().err
    assert main([*argv, "--force"]) == 0
