# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""TUM directories written and read back."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest

from aliked_ros.camera import Camera
from aliked_ros.errors import SourceError
from aliked_ros.io.folders import make_output_folder
from aliked_ros.io.frames import Frame, Pose
from aliked_ros.io.sources.tum import TumSource
from aliked_ros.io.tum_writer import TumWriter

CAMERA = Camera(64, 48, 50.0, 51.0, 31.5, 23.5, "plumb_bob", (0.1, 0.02, 0.003, 0.004, 0.05))


def frames() -> list[Frame]:
    rng = np.random.default_rng(0)
    result = []
    for index in range(3):
        image = rng.integers(0, 255, (48, 64, 3)).astype(np.uint8)
        depth = rng.uniform(0.5, 4.0, (48, 64)).astype(np.float32)
        depth[0, index] = np.nan
        quaternion = rng.normal(size=4)
        pose = Pose(rng.normal(size=3), quaternion / np.linalg.norm(quaternion))
        result.append(Frame(1_700_000_000_000_000_000 + index * 33_333_333, image, depth, pose))
    return result


def test_round_trip(tmp_path: Path) -> None:
    written = frames()
    with TumWriter(tmp_path / "sequence", CAMERA) as writer:
        for frame in written:
            writer.write(frame)
    source = TumSource(tmp_path / "sequence")
    assert source.camera is not None
    assert astuple(source.camera) == astuple(CAMERA)
    for frame, back in zip(written, source, strict=True):
        assert back.stamp_ns == frame.stamp_ns
        np.testing.assert_array_equal(back.image, frame.image)
        assert frame.depth_m is not None
        assert back.depth_m is not None
        np.testing.assert_allclose(back.depth_m, frame.depth_m, atol=0.000101)
        assert frame.pose_world_from_camera is not None
        assert back.pose_world_from_camera is not None
        for name in ("position_xyz", "orientation_quat_xyzw"):
            expected = getattr(frame.pose_world_from_camera, name)
            np.testing.assert_array_equal(getattr(back.pose_world_from_camera, name), expected)


def test_images_alone_make_a_sequence(tmp_path: Path) -> None:
    with TumWriter(tmp_path / "sequence") as writer:
        writer.write(Frame(5, np.zeros((48, 64), np.uint8)))
    assert sorted(path.name for path in (tmp_path / "sequence").iterdir()) == ["rgb", "rgb.txt"]
    (frame,) = TumSource(tmp_path / "sequence")
    assert (frame.stamp_ns, frame.image.shape) == (5, (48, 64))


def test_an_interrupted_directory_is_no_sequence(tmp_path: Path) -> None:
    def interrupted() -> None:
        with TumWriter(tmp_path / "sequence") as writer:
            writer.write(frames()[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (tmp_path / "sequence" / "rgb").is_dir()
    assert not (tmp_path / "sequence" / "rgb.txt").exists()


def test_a_sequence_is_not_written_over(tmp_path: Path) -> None:
    with TumWriter(tmp_path / "sequence") as writer:
        writer.write(frames()[0])
    with pytest.raises(SourceError, match="already holds a sequence"):
        TumWriter(tmp_path / "sequence")


def test_stamps_must_increase(tmp_path: Path) -> None:
    first, second, _ = frames()
    with TumWriter(tmp_path / "sequence") as writer:
        writer.write(second)
        for frame in (first, second):
            with pytest.raises(SourceError, match=r"does not follow 1700000000\.033333333"):
                writer.write(frame)


def test_an_unwritable_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="file/sequence: cannot write to this folder"):
        TumWriter(tmp_path / "file" / "sequence")
    with pytest.raises(SourceError, match="choose another"):
        make_output_folder(tmp_path / "file")
    assert make_output_folder(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert list((tmp_path / "a" / "b").iterdir()) == []
