# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""``aliked-ros bag``: round trips, features on file, and what is left after a failure: nothing."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bag_samples import CAMERA, PERIOD_NS, TOPICS, assert_same_frames, make_frames, record, storage_file
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory

from aliked_ros.cli.bag_features import depth_at
from aliked_ros.cli.main import build_parser, main
from aliked_ros.features import Features
from aliked_ros.frontend.extractor import Extractor
from aliked_ros.io.bags.source import BagSource
from aliked_ros.io.bags.writer import BagWriter
from aliked_ros.io.frames import Frame
from aliked_ros.io.messages.descriptors import DescriptorDtype
from aliked_ros.io.messages.message_fields import features_from_fields, matches_from_fields, tracks_from_fields
from aliked_ros.io.sources.opening import open_source
from aliked_ros.io.tum_writer import TumWriter


@pytest.fixture
def tum(tmp_path: Path) -> tuple[Path, list[Frame]]:
    """A TUM directory and its frames as they are read from it."""
    path = tmp_path / "tum"
    with TumWriter(path, CAMERA) as writer:
        for frame in make_frames(5):
            writer.write(frame)
    with open_source(str(path)) as source:
        return path, list(source)


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("compression", [[], ["--compressed", "png"]])
def test_tum_to_bag_to_tum_is_exact(
    storage: str, compression: list[str], tum: tuple[Path, list[Frame]], tmp_path: Path
) -> None:
    path, frames = tum
    bag, again = tmp_path / "bag", tmp_path / "again"
    assert main(["bag", "create", str(path), str(bag), "--storage", storage, *compression]) == 0
    with BagSource(bag) as source:
        assert_same_frames(list(source), frames)
    assert main(["bag", "export", str(bag), str(again)]) == 0
    with open_source(str(again)) as source:
        assert_same_frames(list(source), frames)
        assert source.camera is not None
        assert dataclasses.asdict(source.camera) == dataclasses.asdict(CAMERA)
    for name in ("rgb.txt", "depth.txt", "groundtruth.txt", "camera.yaml"):
        assert (again / name).read_text() == (path / name).read_text()
    # The bytes of the pictures are the same, too.
    for file in sorted((path / "rgb").iterdir()):
        assert (again / "rgb" / file.name).read_bytes() == file.read_bytes()


def test_real_images_survive(shared_directory: Path, desk_frames: list[np.ndarray], tmp_path: Path) -> None:
    source = shared_directory / "data" / "tum_fr2_desk"
    assert main(["bag", "create", str(source), str(tmp_path / "desk")]) == 0
    assert main(["bag", "export", str(tmp_path / "desk"), str(tmp_path / "tum")]) == 0
    with open_source(str(tmp_path / "tum")) as copy, open_source(str(source)) as original:
        copied, frames = list(copy), list(original)
        assert copy.camera is not None
        assert dataclasses.asdict(copy.camera) == dataclasses.asdict(original.camera)  # type: ignore[arg-type]
    assert_same_frames(copied, frames)
    for frame, image in zip(copied, desk_frames, strict=True):
        np.testing.assert_array_equal(frame.image, image)


@pytest.mark.parametrize("kind", ["mcap", "ros1 bz2"])
def test_a_bag_becomes_a_video_with_its_frame_rate(kind: str, tmp_path: Path) -> None:
    import cv2

    path = record(tmp_path, kind, make_frames(6))
    assert main(["bag", "export", str(path), str(tmp_path / "out" / "video.mp4")]) == 0
    capture = cv2.VideoCapture(str(tmp_path / "out" / "video.mp4"))
    assert int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) == 6
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(1e9 / PERIOD_NS, rel=1e-3)
    capture.release()


def test_a_video_becomes_a_bag(tmp_path: Path) -> None:
    path = record(tmp_path, "mcap", make_frames(4))
    video, bag = tmp_path / "video.mp4", tmp_path / "from_video"
    assert main(["bag", "export", str(path), str(video)]) == 0
    assert main(["bag", "create", str(video), str(bag), "--compressed", "png"]) == 0
    with BagSource(bag) as source, open_source(str(video)) as original:
        assert source.streams.image == TOPICS.compressed_image
        assert_same_frames(list(source), list(original))
    arguments = build_parser().parse_args(["bag", "create", "in", "out", "--compressed"])
    assert arguments.compressed == "jpeg"


def test_a_part_is_cut_out(tum: tuple[Path, list[Frame]], tmp_path: Path) -> None:
    path, frames = tum
    bag = tmp_path / "part"
    assert main(["bag", "create", str(path), str(bag), "--start_s", "0.03", "--duration-s", "0.05"]) == 0
    with BagSource(bag) as source:
        assert_same_frames(list(source), frames[1:3])


def test_a_video_of_one_frame_has_some_rate(tmp_path: Path) -> None:
    path = record(tmp_path, "mcap", make_frames(1))
    assert main(["bag", "export", str(path), str(tmp_path / "one.mp4")]) == 0
    with open_source(str(tmp_path / "one.mp4")) as source:
        assert len(list(source)) == 1


def contents(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


@pytest.mark.parametrize("command", ["create", "export"])
def test_what_exists_is_kept_unless_forced(
    command: str, tum: tuple[Path, list[Frame]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, frames = tum
    output = tmp_path / "there"
    output.mkdir()
    (output / "precious").write_text("data")
    assert main(["bag", command, str(path), str(output)]) == 1
    assert "exists; choose another name, or replace it with --force" in capsys.readouterr().err
    assert contents(output) == {"precious"}
    assert main(["bag", command, str(path), str(output), "--force"]) == 0
    assert "precious" not in contents(output)
    with open_source(str(output)) as source:
        assert_same_frames(list(source), frames)
    assert contents(tmp_path) == {"tum", "there"}


@pytest.mark.parametrize("command", ["create", "export"])
def test_a_failure_leaves_nothing_behind(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = record(tmp_path, "mcap", make_frames(6))
    file = storage_file(path)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    for name in ("out", "out.mp4"):
        assert main(["bag", command, str(path), str(tmp_path / name)]) == 1
        message = capsys.readouterr().err
        assert "error: " in message
        assert "cut off" in message
        assert "frames delivered: " in message
        assert contents(tmp_path) == {"recorded"}


def test_an_unwritable_place_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = record(tmp_path, "mcap", make_frames(1))
    (tmp_path / "file").write_text("")
    for command in (["create"], ["export"], ["features", "--model", "aliked-t16"]):
        name = "x.mcap" if command[0] == "features" else "x"
        assert main(["bag", *command, str(path), str(tmp_path / "file" / name)]) == 1
        assert "cannot write" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["create", "{bag}", "out.mcap"], "a rosbag 2 is a folder; give its name without .mcap"),
        (["features", "{bag}", "out.bag"], "features are recorded as mcap"),
        (["features", "{bag}", "out.mcap", "--max_keypoints", "0"], "max_keypoints must be at least 1, got 0"),
        (["create", "{bag}", "out", "--start_s", "-1"], "start_s must be 0 or more"),
    ],
)
def test_impossible_options_have_exit_status_2(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = record(tmp_path, "mcap", make_frames(1))
    monkeypatch.chdir(tmp_path)
    assert main(["bag", *(argument.format(bag=path) for argument in arguments)]) == 2
    assert message in capsys.readouterr().err
    assert contents(tmp_path) == {"recorded"}


def test_info_lists_what_is_in_a_bag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = record(tmp_path, "ros1", make_frames(3))
    assert main(["bag", "info", str(path)]) == 0
    said = capsys.readouterr().out
    assert "1311868169.163498001 s" in said
    assert "0.067 s" in said
    assert "whole" in said
    assert re.search(rf"^{TOPICS.image} +sensor_msgs/msg/Image +3$", said, re.MULTILINE)
    assert re.search(rf"^{TOPICS.camera_info} +sensor_msgs/msg/CameraInfo +3$", said, re.MULTILINE)
    path.write_bytes(path.read_bytes()[:-2000])
    assert main(["bag", "info", str(path)]) == 1
    assert "cut off" in capsys.readouterr().out
    assert main(["bag", "info", str(tmp_path / "gone.bag")]) == 1
    assert "no such bag" in capsys.readouterr().err


def decoded(path: Path) -> dict[str, list[Any]]:
    messages: dict[str, list[Any]] = {}
    with path.open("rb") as stream:
        reader = make_reader(stream, decoder_factories=[DecoderFactory()])
        for _, channel, message, content in reader.iter_decoded_messages():
            messages.setdefault(channel.topic, []).append((message.log_time, content))
    return messages


@pytest.fixture
def textured(tmp_path: Path, textured_image: np.ndarray) -> tuple[Path, list[Frame]]:
    """A bag of a picture that moves by two pixels a frame, with a plane of depth."""
    frames = [
        dataclasses.replace(
            frame,
            image=np.ascontiguousarray(textured_image[:96, 2 * i : 2 * i + 128]),
            depth_m=np.tile(np.arange(1, 129, dtype=np.float32), (96, 1)),
        )
        for i, frame in enumerate(make_frames(4))
    ]
    path = tmp_path / "textured"
    with BagWriter(path, dataclasses.replace(CAMERA, width=128, height=96)) as writer:
        for frame in frames:
            writer.write(frame)
    return path, frames


@pytest.mark.parametrize("descriptors", ["float32", "float16", "int8", "none"])
def test_recorded_features_are_those_of_the_extractor(
    descriptors: str, textured: tuple[Path, list[Frame]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, frames = textured
    output = tmp_path / "out" / "features.mcap"
    options = ["--model", "aliked-t16", "--device", "cpu", "--max_keypoints", "60", "--score_threshold", "0.1"]
    extra = ["--descriptors", descriptors, "--source_id", "left", "--namespace", "/left/tracker/"]
    assert main(["bag", "features", str(path), str(output), *options, *extra]) == 0
    assert "4 messages on /left/tracker/features" in capsys.readouterr().out
    messages = decoded(output)
    assert {topic: len(found) for topic, found in messages.items()} == {
        "/left/tracker/features": 4,
        "/left/tracker/matches": 3,
        "/left/tracker/tracks": 4,
    }
    extractor = Extractor.from_pretrained("aliked-t16", device="cpu", max_keypoints=60, score_threshold=0.1)
    features = [features_from_fields(content) for _, content in messages["/left/tracker/features"]]
    for index, (read, frame) in enumerate(zip(features, frames, strict=True)):
        expected: Features = extractor(frame.image)
        np.testing.assert_array_equal(read.features.keypoints_xy, expected.keypoints_xy)
        np.testing.assert_array_equal(read.features.scores, expected.scores)
        if descriptors == "float32":
            np.testing.assert_array_equal(read.features.descriptors, expected.descriptors)
        assert read.descriptor_dtype is DescriptorDtype[descriptors.upper()]
        assert (read.meta.stamp_ns, read.meta.frame_seq, read.meta.epoch) == (frame.stamp_ns, index, 0)
        assert (read.meta.source_id, read.meta.model) == ("left", "aliked-t16")
        assert read.meta.weights_sha256 == extractor.info.weights_sha256
        assert read.depth_m is not None
        np.testing.assert_allclose(read.depth_m, expected.keypoints_xy[:, 0] + 1, atol=0.5001)
    check_matches_and_tracks(messages, features)


def check_matches_and_tracks(messages: dict[str, list[Any]], features: list[Any]) -> None:
    for index, (log_time_ns, content) in enumerate(messages["/left/tracker/matches"], 1):
        read = matches_from_fields(
            content,
            num_features=len(features[index].features),
            num_features_ref=len(features[index - 1].features),
        )
        assert log_time_ns == read.meta.stamp_ns == features[index].meta.stamp_ns
        assert read.stamp_ref_ns == features[index - 1].meta.stamp_ns
        assert (read.meta.frame_seq, read.frame_seq_ref) == (index, index - 1)
        assert len(read.matches) > 10
        moved = np.median(read.matches.xy - read.matches.xy_ref, axis=0)
        np.testing.assert_allclose(moved, (-2, 0), atol=0.3)
    for (_, content), of_image in zip(messages["/left/tracker/tracks"], features, strict=True):
        tracks = tracks_from_fields(content, num_features=len(of_image.features))
        np.testing.assert_array_equal(of_image.track_ids[tracks.tracks.feature_indices], tracks.tracks.ids)
        np.testing.assert_array_equal(tracks.tracks.depth_m, of_image.depth_m[tracks.tracks.feature_indices])
        assert tracks.tracks.xy_norm is not None
        assert (tracks.image_width, tracks.image_height) == (128, 96)
    assert tracks.tracks.ages.max() == 4


def test_features_recorded_before_an_error_are_kept(
    textured: tuple[Path, list[Frame]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = textured
    file = storage_file(path)
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 3 // 4])
    output = tmp_path / "features.mcap"
    arguments = ["bag", "features", str(path), str(output), "--model", "aliked-t16", "--device", "cpu"]
    assert main(arguments) == 1
    assert "cut off" in capsys.readouterr().err
    assert 1 <= len(decoded(output)["/tracker/features"]) < 4
    assert main(arguments) == 1
    assert "exists" in capsys.readouterr().err
    assert main([*arguments, "--force"]) == 1
    assert "cut off" in capsys.readouterr().err


def test_depth_is_that_of_the_nearest_pixel() -> None:
    depth_m = np.array([[1, 2, 3], [4, np.nan, 6]], np.float32)
    xy = np.array([[0.4, 0.4], [1.6, 0.2], [0.6, 1.0], [2.9, 1.4], [-0.4, 1.2]], np.float32)
    np.testing.assert_array_equal(depth_at(depth_m, xy), np.array([1, 3, np.nan, 6, 4], np.float32))
    assert depth_at(depth_m, np.empty((0, 2), np.float32)).shape == (0,)


def test_verbosity_may_stand_on_both_sides(tmp_path: Path) -> None:
    parser = build_parser()
    for arguments, expected in (([], 0), (["-v"], 1)):
        assert parser.parse_args(["bag", *arguments, "info", "x"]).verbose == expected
    assert parser.parse_args(["bag", "info", "x", "-vv"]).verbose == 2
