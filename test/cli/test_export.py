# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""``aliked-ros export``: what the real COLMAP reconstructs from it, and recordings as input."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from aliked_ros.cli.main import main
from aliked_ros.io.bags.feature_recorder import FeatureRecorder
from aliked_ros.io.bags.feature_recording import FeatureRecording
from aliked_ros.io.export.writer import image_name
from aliked_ros.io.messages.message_fields import features_fields, matches_fields
from aliked_ros.io.messages.ros_types import FEATURES_TYPE, MATCHES_TYPE
from aliked_ros.io.sources.opening import open_source
from aliked_ros.sim.config import SimulationConfig
from aliked_ros.sim.simulation import write_sequence

MODEL = ["--model", "aliked-t16", "--device", "cpu", "--precision", "fp32"]
FRAMES = 10


@pytest.fixture(scope="module")
def sequence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten frames of 320×240 over two and a half seconds: enough motion to reconstruct from."""
    directory = tmp_path_factory.mktemp("simulated") / "desk"
    write_sequence(SimulationConfig(width=320, height=240, frames=FRAMES, rate_hz=4.0), directory)
    return directory


@pytest.fixture(scope="module")
def recording(sequence: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The features that the front-end finds in it, with verified matches."""
    path = tmp_path_factory.mktemp("recorded") / "features.mcap"
    assert main(["bag", "features", str(sequence), str(path), *MODEL, "--geometry", "essential"]) == 0
    return path


def centres_of(sequence: Path) -> dict[str, np.ndarray]:
    with open_source(str(sequence)) as source:
        frames = list(source)
    return {
        image_name(frame.stamp_ns): frame.pose_world_from_camera.position_xyz
        for frame in frames
        if frame.pose_world_from_camera is not None
    }


def rmse_after_alignment(points: np.ndarray, truth: np.ndarray) -> float:
    """Of points (N, 3) after the similarity that fits them best (Umeyama, PAMI 13(4), 1991)."""
    a, b = points - points.mean(0), truth - truth.mean(0)
    u, singular, vt = np.linalg.svd(b.T @ a)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation, scale = (u * signs) @ vt, (singular * signs).sum() / (a**2).sum()
    return float(np.sqrt(((scale * a @ rotation.T - b) ** 2).sum(1).mean()))


def reconstruct(database: Path, output: Path) -> Any:
    import pycolmap

    options = pycolmap.IncrementalPipelineOptions()
    options.num_threads = 1  # the same result each time
    options.random_seed = 0
    options.extract_colors = False
    options.ba_refine_focal_length = options.ba_refine_extra_params = False
    output.mkdir()
    models = pycolmap.incremental_mapping(database, output, output, options)
    assert len(models) == 1
    return models[0]


def check_reconstruction(model: Any, truth: dict[str, np.ndarray], tolerance: float) -> None:
    """Every image is placed, within a share of the path's length."""
    found = {image.name: image.projection_center() for image in model.images.values()}
    assert set(found) == set(truth)
    names = sorted(truth)
    expected = np.array([truth[name] for name in names])
    length = np.linalg.norm(np.diff(expected, axis=0), axis=1).sum()
    assert rmse_after_alignment(np.array([found[name] for name in names]), expected) < tolerance * length


def test_colmap_reconstructs_a_simulated_sequence(
    sequence: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pycolmap", reason="pycolmap is not installed: pip install pycolmap")
    database, images = tmp_path / "desk.db", tmp_path / "images"
    arguments = ["--window", "4", "--images", str(images), *MODEL]
    assert main(["export", "colmap", str(sequence), str(database), *arguments]) == 0
    said = capsys.readouterr().out
    assert re.search(r"10 images with \d+ keypoints, 30 pairs with \d+ matches, 30 pairs verified", said)
    truth = centres_of(sequence)
    # The names are those of TUM's files, and of the pictures written.
    assert set(truth) == {path.name for path in (sequence / "rgb").iterdir()} == {p.name for p in images.iterdir()}
    with open_source(str(sequence)) as source:
        for frame in source:
            written = cv2.imread(str(images / image_name(frame.stamp_ns)))
            np.testing.assert_array_equal(written[..., ::-1], frame.image)
    check_reconstruction(reconstruct(database, tmp_path / "sparse"), truth, tolerance=0.005)


def test_colmap_reconstructs_from_what_was_recorded(sequence: Path, recording: Path, tmp_path: Path) -> None:
    pytest.importorskip("pycolmap", reason="pycolmap is not installed: pip install pycolmap")
    database = tmp_path / "desk.db"
    arguments = ["--calibration", str(sequence / "camera.yaml"), "--recorded_matches"]
    assert main(["export", "colmap", str(recording), str(database), *arguments]) == 0
    check_reconstruction(reconstruct(database, tmp_path / "sparse"), centres_of(sequence), tolerance=0.01)


def test_a_recording_matches_as_its_sequence_does(
    sequence: Path, recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    h5py = pytest.importorskip("h5py", reason="h5py is not installed: pip install h5py")
    common = ["--window", "2", "--stride", "3"]
    assert main(["export", "hloc", str(sequence), str(tmp_path / "now"), *common, *MODEL]) == 0
    assert main(["export", "hloc", str(recording), str(tmp_path / "recorded"), *common]) == 0
    first, second = (line.rpartition(" in ")[0] for line in capsys.readouterr().out.splitlines()[-2:])
    assert first == second
    assert first.startswith("4 images with")
    pairs = (tmp_path / "now" / "pairs.txt").read_text()
    assert pairs == (tmp_path / "recorded" / "pairs.txt").read_text()
    assert len(pairs.splitlines()) == 5
    for name in ("features.h5", "matches.h5"):
        with h5py.File(tmp_path / "now" / name) as a, h5py.File(tmp_path / "recorded" / name) as b:
            datasets: list[str] = []
            a.visititems(lambda key, item, found=datasets: found.append(key) if hasattr(item, "shape") else None)
            assert datasets
            for key in datasets:
                np.testing.assert_array_equal(a[key], b[key])


def test_colmap_verifies_the_pairs_of_hloc(sequence: Path, recording: Path, tmp_path: Path) -> None:
    """COLMAP's own verification takes the list of pairs and the matches, and agrees with this project's."""
    pytest.importorskip("h5py", reason="h5py is not installed: pip install h5py")
    pycolmap = pytest.importorskip("pycolmap", reason="pycolmap is not installed: pip install pycolmap")
    calibration = ["--calibration", str(sequence / "camera.yaml"), "--window", "3"]
    assert main(["export", "colmap", str(recording), str(tmp_path / "desk.db"), *calibration]) == 0
    assert main(["export", "hloc", str(recording), str(tmp_path / "hloc"), "--window", "3"]) == 0
    database = pycolmap.Database.open(str(tmp_path / "desk.db"))
    pairs, ours = database.read_two_view_geometry_num_inliers()
    database.clear_two_view_geometries()
    database.close()
    pycolmap.verify_matches(tmp_path / "desk.db", tmp_path / "hloc" / "pairs.txt")
    database = pycolmap.Database.open(str(tmp_path / "desk.db"))
    theirs = dict(zip(*map(tuple, database.read_two_view_geometry_num_inliers()), strict=True))
    database.close()
    assert len(pairs) == len(theirs) == 24
    for pair, count in zip(pairs, ours, strict=True):
        assert theirs[tuple(pair) if isinstance(pair, list) else pair] > 0.8 * count


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["colmap", "SEQUENCE", "OUT", "--recorded_matches"], 2, "are for recordings of features"),
        (["colmap", "RECORDING", "OUT", "--images", "IMAGES"], 2, "leave --images out"),
        (["colmap", "RECORDING", "OUT", "--features_topic", "/x"], 1, "topics with features: /tracker/features"),
        (["colmap", "RECORDING", "OUT", "--calibration", "fr1"], 1, "for 640×480 pixels, the image has 320×240"),
        (["hloc", "SEQUENCE", "OUT", "--window", "0"], 2, "window must be at least 1, got 0"),
        (["hloc", "nothing", "OUT"], 1, "nothing: no such file"),
    ],
)
def test_what_cannot_be_done_is_said_and_leaves_nothing(
    arguments: list[str],
    code: int,
    message: str,
    sequence: Path,
    recording: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    places = {"SEQUENCE": sequence, "RECORDING": recording, "OUT": tmp_path / "out", "IMAGES": tmp_path / "images"}
    assert main(["export", *(str(places.get(word, word)) for word in arguments)]) == code
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_recording_that_is_cut_off(recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole, cut, out = tmp_path / "whole.mcap", tmp_path / "cut.mcap", tmp_path / "out.db"
    with FeatureRecording(recording) as opened, FeatureRecorder(whole, chunk_bytes=1) as recorder:
        for message in opened.features():
            fields = features_fields(message.features, message.meta, track_ids=message.track_ids)
            recorder.write_fields("/tracker/features", FEATURES_TYPE, fields, message.meta.stamp_ns)
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    assert main(["export", "colmap", str(cut), str(out)]) == 1
    assert "the bag is cut off or damaged" in capsys.readouterr().err
    assert not out.exists()
    assert main(["export", "colmap", str(cut), str(out), "--duration_s", "0.9"]) == 0
    assert "4 images" in capsys.readouterr().out


def test_a_folder_for_images_must_be_empty(sequence: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    full = ["--images", str(sequence)]
    assert main(["export", "colmap", str(sequence), str(tmp_path / "out.db"), *full, *MODEL]) == 1
    assert "is not empty; choose another folder for the images" in capsys.readouterr().err
    (tmp_path / "file").touch()
    file = ["--images", str(tmp_path / "file")]
    assert main(["export", "colmap", str(sequence), str(tmp_path / "out.db"), *file, *MODEL]) == 1
    assert "cannot write to this folder" in capsys.readouterr().err
    assert not (tmp_path / "out.db").exists()


def test_matching_needs_descriptors(sequence: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = tmp_path / "f.mcap", tmp_path / "out.db"
    short = ["--duration_s", "0.6"]
    assert main(["bag", "features", str(sequence), str(path), *short, *MODEL, "--descriptors", "none"]) == 0
    assert main(["export", "colmap", str(path), str(out)]) == 2
    assert "no descriptors to match by; take its own matches with --recorded_matches" in capsys.readouterr().err
    assert main(["export", "colmap", str(path), str(out), "--recorded_matches"]) == 0
    out_text = capsys.readouterr().out
    assert "3 images" in out_text
    assert "3 pairs" in out_text


def test_a_recording_without_tracks_has_its_matches(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare, out = tmp_path / "bare.mcap", tmp_path / "out.db"
    with FeatureRecording(recording) as opened, FeatureRecorder(bare) as recorder:
        for message in opened.features():
            fields = features_fields(message.features, message.meta)
            recorder.write_fields("/front/features", FEATURES_TYPE, fields, message.meta.stamp_ns)
        for matches in opened.matches():
            # Verified, or not yet.
            found = (
                matches.matches if matches.meta.frame_seq % 2 else replace(matches.matches, inliers=None, model=None)
            )
            reference = {"frame_seq_ref": matches.frame_seq_ref, "stamp_ref_ns": matches.stamp_ref_ns}
            fields = matches_fields(found, matches.meta, **reference)
            recorder.write_fields("/front/matches", MATCHES_TYPE, fields, matches.meta.stamp_ns)
    assert main(["export", "colmap", str(bare), str(out), "--recorded_matches"]) == 0
    assert re.search(r"10 images .* 9 pairs with \d+ matches, 9 pairs verified", capsys.readouterr().out)


def test_a_part_of_a_recording(recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.db"
    arguments = ["--start_s", "0.4", "--duration_s", "0.7", "--recorded_matches"]
    assert main(["export", "colmap", str(recording), str(out), *arguments]) == 0
    assert "3 images" in capsys.readouterr().out
    assert main(["export", "colmap", str(recording), str(out), *arguments]) == 1
    assert "exists; choose another name, or replace it with --force" in capsys.readouterr().err
    with FeatureRecording(recording) as opened:
        assert (opened.topic, opened.num_images, len(list(opened.matches()))) == (
            "/tracker/features",
            FRAMES,
            FRAMES - 1,
        )


@pytest.mark.parametrize("command", ["colmap", "hloc"])
def test_help_teaches(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["export", command, "--help"])
    text = capsys.readouterr().out
    assert f"aliked-ros export {command} out/features.mcap" in text
    assert "--pairs" in text
