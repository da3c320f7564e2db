# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""TUM RGB-D directories: lists, association, calibration, and everything that can be wrong with them."""

from __future__ import annotations

import logging
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aliked_ros.camera import TUM_CAMERAS, Camera
from aliked_ros.errors import CalibrationError, SourceError
from aliked_ros.io.calibration import write_camera
from aliked_ros.io.sources.tum import MAX_DIFFERENCE_NS, TumSource, associate, guess_camera
from aliked_ros.io.sources.window import TimeWindow

MS = 1_000_000


def write_sequence(directory: Path, stamps: list[str], size: tuple[int, int] = (64, 48)) -> None:
    """Images whose grey level is their number."""
    (directory / "rgb").mkdir(parents=True)
    lines = ["# color images", "# timestamp filename"]
    for number, stamp in enumerate(stamps):
        cv2.imwrite(str(directory / "rgb" / f"{stamp}.png"), np.full((*size[::-1], 3), number, np.uint8))
        lines.append(f"{stamp} rgb/{stamp}.png")
    (directory / "rgb.txt").write_text("\n".join(lines))


def write_depth(directory: Path, stamps: list[str], size: tuple[int, int] = (64, 48)) -> None:
    """Depth of as many metres as its number."""
    (directory / "depth").mkdir()
    for number, stamp in enumerate(stamps):
        depth = np.full(size[::-1], 5000 * number, np.uint16)
        cv2.imwrite(str(directory / "depth" / f"{stamp}.png"), depth)
    (directory / "depth.txt").write_text("".join(f"{stamp} depth/{stamp}.png\n" for stamp in stamps))


def test_images_come_in_the_order_of_their_stamps(tmp_path: Path) -> None:
    write_sequence(tmp_path, ["3.5", "1.25", "2.000001"])
    with TumSource(tmp_path) as source:
        frames = list(source)
        assert source.num_frames == 3
        assert [frame.stamp_ns for frame in source] == [1_250_000_000, 2_000_001_000, 3_500_000_000]
    assert [frame.image[0, 0, 0] for frame in frames] == [1, 2, 0]
    assert all(frame.depth_m is None and frame.pose_world_from_camera is None for frame in frames)


def test_depth_and_poses_are_joined_to_the_nearest_image(tmp_path: Path) -> None:
    write_sequence(tmp_path, ["1.00", "1.10", "1.20"])
    write_depth(tmp_path, ["0.90", "1.011", "1.119", "1.221"])
    (tmp_path / "groundtruth.txt").write_text(
        "# timestamp tx ty tz qx qy qz qw\n0.995, 1, 2, 3, 0, 0, 0, 1\n1.004 4 5 6 0 0 0 1\n1.21 7 8 9 0 0 1 0\n"
    )
    first, second, third = TumSource(tmp_path)
    assert first.depth_m is not None
    assert second.depth_m is not None
    assert (first.depth_m == 1.0).all()
    assert (second.depth_m == 2.0).all()
    assert third.depth_m is None  # 21 ms off
    assert first.pose_world_from_camera is not None
    np.testing.assert_array_equal(first.pose_world_from_camera.position_xyz, [4, 5, 6])
    assert second.pose_world_from_camera is None
    assert third.pose_world_from_camera is not None
    np.testing.assert_array_equal(third.pose_world_from_camera.orientation_quat_xyzw, [0, 0, 1, 0])


def test_zero_depth_is_missing(tmp_path: Path) -> None:
    write_sequence(tmp_path, ["1.0"])
    write_depth(tmp_path, ["1.0"])
    (frame,) = TumSource(tmp_path)
    assert frame.depth_m is not None
    assert frame.depth_m.dtype == np.float32
    assert np.isnan(frame.depth_m).all()


def test_association_prefers_the_closest_pair() -> None:
    # The first stamp's nearest is wanted more by the second stamp, so it takes the other.
    assert associate([0, 10 * MS], [12 * MS, -15 * MS]) == {0: -15 * MS, 10 * MS: 12 * MS}
    # Without an alternative it stays alone.
    assert associate([0, 10 * MS], [9 * MS]) == {10 * MS: 9 * MS}


def test_the_largest_difference_is_excluded() -> None:
    assert associate([0], [MAX_DIFFERENCE_NS]) == {}
    assert associate([0], [-MAX_DIFFERENCE_NS]) == {}
    assert associate([0], [MAX_DIFFERENCE_NS - 1]) == {0: MAX_DIFFERENCE_NS - 1}


stamps = st.lists(st.integers(0, 200 * MS), unique=True, max_size=12)


@given(stamps, stamps)
def test_association_is_that_of_the_benchmark(first: list[int], second: list[int]) -> None:
    """Compared with the definition: repeatedly take the closest pair of what is left."""
    left, right, expected = set(first), set(second), {}
    while True:
        pairs = [(abs(a - b), a, b) for a in left for b in right if abs(a - b) < MAX_DIFFERENCE_NS]
        if not pairs:
            break
        _, a, b = min(pairs)
        expected[a] = b
        left.discard(a)
        right.discard(b)
    assert associate(first, second) == expected


def test_a_window_is_relative_to_the_first_image(tmp_path: Path) -> None:
    write_sequence(tmp_path, ["100.0", "100.5", "101.0", "101.5", "102.0"])
    source = TumSource(tmp_path, window=TimeWindow(0.5, 1.0))
    assert [frame.stamp_ns / 1e9 for frame in source] == [100.5, 101.0]
    assert source.num_frames == 2
    with pytest.raises(SourceError, match="no frame between 5 s and the end; the sequence lasts 2 s"):
        TumSource(tmp_path, window=TimeWindow(5.0))


def test_a_stamp_that_comes_twice_keeps_the_last_line_and_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_sequence(tmp_path, ["1.0", "2.0"])
    (tmp_path / "rgb.txt").write_text("1.0 rgb/1.0.png\n1.000 rgb/2.0.png\n")
    with caplog.at_level(logging.WARNING):
        (frame,) = TumSource(tmp_path)
    assert frame.image[0, 0, 0] == 1
    assert "rgb.txt:2" in caplog.text


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("rgb.txt", "# nothing\n", "lists no image"),
        ("rgb.txt", "1.0 rgb/1.0.png\n2.0\n", r"rgb\.txt:2: 1 columns instead of 2"),
        ("rgb.txt", "one rgb/1.0.png\n", r"rgb\.txt:1: 'one' is no number"),
        ("groundtruth.txt", "1.0 0 0 0 0 0 0\n", r"groundtruth\.txt:1: 7 columns instead of 8"),
        ("groundtruth.txt", "\n1.0 0 0 0 0 0 0 0\n", r"groundtruth\.txt:2: .*unit length"),
        ("groundtruth.txt", "1.0 0 0 zero 0 0 0 1\n", r"groundtruth\.txt:1: .*zero"),
        ("depth.txt", "1.0 depth/absent.png\n", r"depth/absent\.png: no such file"),
        ("rgb.txt", "1.0 rgb/1.0.png\n1.5 rgb/absent.png\n", r"rgb/absent\.png: no such file"),
    ],
)
def test_malformed_lists_are_named_with_the_line(tmp_path: Path, name: str, content: str, complaint: str) -> None:
    write_sequence(tmp_path, ["1.0"])
    (tmp_path / name).write_text(content)
    with pytest.raises(SourceError, match=complaint):
        TumSource(tmp_path)


def test_a_list_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rgb.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SourceError, match=r"rgb\.txt: cannot be read"):
        TumSource(tmp_path)


def test_frames_before_a_truncated_image_are_delivered(tmp_path: Path) -> None:
    write_sequence(tmp_path, ["1.0", "2.0", "3.0"])
    damaged = tmp_path / "rgb" / "2.0.png"
    damaged.write_bytes(damaged.read_bytes()[:-20])
    frames = iter(TumSource(tmp_path))
    assert next(frames).stamp_ns == 1_000_000_000
    with pytest.raises(SourceError, match=r"rgb/2\.0\.png.*cut off"):
        next(frames)


def test_depth_of_another_size_is_refused(tmp_path: Path) -> None:
    write_sequence(tmp_path, ["1.0"])
    write_depth(tmp_path, ["1.0"], size=(32, 24))
    with pytest.raises(SourceError, match="32×24 pixels and its image 64×48"):
        list(TumSource(tmp_path))


@pytest.mark.parametrize(
    ("name", "kinect"),
    [
        ("rgbd_dataset_freiburg2_desk", "fr2"),
        ("tum_fr1_xyz", "fr1"),
        ("FR3-office", "fr3"),
        ("freiburg1", "fr1"),
        ("desk", None),
        ("fr4_room", None),
        ("afr1_room", None),
        ("fr12", None),
        ("freiburg1_then_freiburg2", None),
    ],
)
def test_the_kinect_is_told_only_by_a_clear_name(tmp_path: Path, name: str, kinect: str | None) -> None:
    assert guess_camera(tmp_path / name) is (None if kinect is None else TUM_CAMERAS[kinect])


def test_a_guess_needs_images_of_the_kinects_size(tmp_path: Path) -> None:
    write_sequence(tmp_path / "fr1_small", ["1.0"])
    write_sequence(tmp_path / "fr1_full", ["1.0"], size=(640, 480))
    assert TumSource(tmp_path / "fr1_small").camera is None
    assert TumSource(tmp_path / "fr1_full").camera is TUM_CAMERAS["fr1"]


def test_a_calibration_beside_the_sequence_wins_over_the_name(tmp_path: Path) -> None:
    directory = tmp_path / "fr1_full"
    write_sequence(directory, ["1.0"], size=(640, 480))
    write_camera(directory / "camera.yaml", Camera(640, 480, 400.0, 401.0, 320.0, 240.0))
    camera = TumSource(directory).camera
    assert camera is not None
    assert (camera.fx, camera.fy) == (400.0, 401.0)
    assert TumSource(directory, camera=TUM_CAMERAS["fr3"]).camera is TUM_CAMERAS["fr3"]


def test_a_calibration_for_another_size_is_refused(tmp_path: Path) -> None:
    write_sequence(tmp_path, ["1.0"])
    write_camera(tmp_path / "camera.yaml", TUM_CAMERAS["fr1"])
    with pytest.raises(SourceError, match=r"camera\.yaml.*640×480 pixels, but 1\.0\.png has 64×48"):
        TumSource(tmp_path)


def test_an_impossible_calibration_is_refused(tmp_path: Path) -> None:
    write_sequence(tmp_path, ["1.0"])
    write_camera(tmp_path / "camera.yaml", Camera(64, 48, 50.0, 50.0, 32.0, 24.0))
    path = tmp_path / "camera.yaml"
    path.write_text(path.read_text().replace("50.0", "0.0"))
    with pytest.raises(CalibrationError, match=r"camera\.yaml"):
        TumSource(tmp_path)


@pytest.mark.golden
def test_the_real_sequence(shared_directory: Path) -> None:
    source = TumSource(shared_directory / "data" / "tum_fr2_desk")
    assert source.num_frames == 20
    assert source.camera is TUM_CAMERAS["fr2"]
    first = next(iter(source))
    assert first.stamp_ns == 1311868169_163498000
    assert first.image.shape == (480, 640, 3)
    assert all(frame.pose_world_from_camera is not None for frame in source)
