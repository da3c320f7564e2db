# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Videos, written and read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from aliked_ros.errors import ConfigError, SourceError
from aliked_ros.io.sources.camera_device import CameraSource
from aliked_ros.io.sources.video import VideoSource
from aliked_ros.io.sources.window import TimeWindow
from aliked_ros.io.video_writer import VideoWriter

LEVELS = range(20, 220, 10)


def grey(level: int, size: tuple[int, int] = (96, 64)) -> np.ndarray:
    return np.full((size[1], size[0], 3), level, np.uint8)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """20 frames at 10 Hz, each brighter than the one before."""
    path = tmp_path / "video.mp4"
    with VideoWriter(path, 10.0) as writer:
        for level in LEVELS:
            writer.write(grey(level))
    return path


@pytest.fixture
def avi(tmp_path: Path, textured_image: np.ndarray) -> Path:
    """A video whose frame count stands at its beginning, so that it opens when its end is missing."""
    path = tmp_path / "video.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (320, 240))
    for shift in range(40):
        writer.write(np.roll(textured_image, shift, 1))
    writer.release()
    return path


def test_what_is_written_is_read_back(video: Path) -> None:
    with VideoSource(video) as source:
        frames = list(source)
        assert source.num_frames == len(LEVELS)
    assert [frame.stamp_ns for frame in frames] == pytest.approx(
        [10**9 + index * 10**8 for index in range(20)], abs=10**6
    )
    for frame, level in zip(frames, LEVELS, strict=True):
        assert frame.image.shape == (64, 96, 3)
        assert abs(float(frame.image.mean()) - level) < 4


def test_colours_keep_their_channels(tmp_path: Path) -> None:
    red = np.zeros((64, 96, 3), np.uint8)
    red[..., 0] = 220
    with VideoWriter(tmp_path / "red.mp4", 30.0) as writer:
        writer.write(red)
    (frame,) = VideoSource(tmp_path / "red.mp4")
    assert np.abs(frame.image.reshape(-1, 3).mean(0) - (220, 0, 0)).max() < 12


def test_iterating_again_starts_over(video: Path) -> None:
    source = VideoSource(video)
    first = [frame.stamp_ns for frame in source]
    assert [frame.stamp_ns for frame in source] == first
    source.close()
    source.close()


def test_windows(video: Path) -> None:
    source = VideoSource(video, window=TimeWindow(0.45, 0.3))
    assert [round(frame.stamp_ns / 1e8) for frame in source] == [15, 16, 17]
    assert source.num_frames == 3
    with pytest.raises(SourceError, match=r"no frame between 3 s and the end; the sequence lasts 1\.9"):
        list(VideoSource(video, window=TimeWindow(3.0)))


def test_a_cut_off_video_delivers_what_it_has_and_then_fails(avi: Path) -> None:
    content = avi.read_bytes()
    avi.write_bytes(content[: len(content) // 2])
    frames = []
    with pytest.raises(SourceError, match=r"video\.avi: cut off after \d+ of 40 frames"):
        frames.extend(VideoSource(avi))
    assert 10 < len(frames) < 30


def test_a_window_before_the_cut_is_not_affected(avi: Path) -> None:
    content = avi.read_bytes()
    avi.write_bytes(content[: len(content) // 2])
    assert len(list(VideoSource(avi, window=TimeWindow(0.0, 0.5)))) == 5


def test_a_video_without_its_index_is_refused(video: Path) -> None:
    content = video.read_bytes()
    video.write_bytes(content[: len(content) // 2])
    with pytest.raises(SourceError, match=r"video\.mp4: cannot be opened as a video"):
        VideoSource(video)


def test_missing_videos_and_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"absent\.mp4: no such video"):
        VideoSource(tmp_path / "absent.mp4")
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(SourceError, match="cannot be opened"):
        VideoSource(tmp_path / "text.mp4")


class FakeCapture:
    """A capture whose properties and times are made up; containers in the wild have worse."""

    times_ms: tuple[float, ...] = ()
    rate_hz = 10.0
    count = 3.0

    def __init__(self, *args: Any) -> None:
        self._read = 0

    def isOpened(self) -> bool:  # noqa: N802  OpenCV's name
        return True

    def get(self, key: int) -> float:
        if key == cv2.CAP_PROP_FRAME_COUNT:
            return self.count
        return self.rate_hz if key == cv2.CAP_PROP_FPS else self.times_ms[self._read - 1]

    def set(self, key: int, value: float) -> bool:
        return True

    def grab(self) -> bool:
        self._read += 1
        return self._read <= len(self.times_ms)

    def retrieve(self) -> tuple[bool, np.ndarray]:
        return True, grey(self._read)

    def release(self) -> None:
        pass


def test_a_varying_rate_is_kept(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeCapture, "times_ms", (500.0, 540.0, 700.0))
    monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)
    assert [frame.stamp_ns for frame in VideoSource(video)] == [1_000_000_000, 1_040_000_000, 1_200_000_000]


def test_times_that_stand_still_go_on_at_the_frame_rate(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeCapture, "times_ms", (0.0, 0.0, 0.0))
    monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)
    assert [frame.stamp_ns for frame in VideoSource(video)] == [1_000_000_000, 1_100_000_000, 1_200_000_000]


def test_neither_times_nor_a_rate_is_an_error(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeCapture, "times_ms", (0.0, 0.0, 0.0))
    monkeypatch.setattr(FakeCapture, "rate_hz", 0.0)
    monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)
    source = VideoSource(video)
    assert source.num_frames is None
    with pytest.raises(SourceError, match="neither times nor a frame rate"):
        list(source)


def test_an_unknown_or_slightly_wrong_count_is_no_loss(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeCapture, "times_ms", (0.0, 100.0, 200.0))
    monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)
    for count in (0.0, -1.0, float("nan"), 4.0):
        monkeypatch.setattr(FakeCapture, "count", count)
        assert len(list(VideoSource(video))) == 3


def test_a_camera_is_stamped_with_the_time_and_reports_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeCapture, "times_ms", (0.0, 0.0, 0.0))
    monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)
    frames = []
    with CameraSource(0) as source:
        assert source.name == "camera0"
        assert source.num_frames is None
        with pytest.raises(SourceError, match="camera0: stopped delivering"):
            frames.extend(source)
    stamps = [frame.stamp_ns for frame in frames]
    assert len(stamps) == 3
    assert stamps == sorted(set(stamps))
    assert stamps[0] > 1_600_000_000 * 10**9


def test_a_camera_stops_when_the_window_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeCapture, "times_ms", (0.0,) * 100)
    monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)
    clock = iter(range(10**18, 10**18 + 100 * 10**8, 10**8))
    monkeypatch.setattr("aliked_ros.io.sources.camera_device.time.time_ns", lambda: next(clock))
    stamps = [frame.stamp_ns - 10**18 for frame in CameraSource(0, window=TimeWindow(0.2, 0.3))]
    assert stamps == [2 * 10**8, 3 * 10**8, 4 * 10**8]


def test_a_camera_that_is_not_there_is_refused() -> None:
    with pytest.raises(SourceError, match="camera63: cannot be opened"):
        CameraSource(63)


def test_images_of_another_size_are_fitted_in(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "video.mp4", 30.0) as writer:
        writer.write(grey(200, (96, 64)))
        writer.write(grey(200, (96, 32)))  # half as high: bars above and below
        writer.write(grey(200, (480, 320))[..., 0])  # larger, and grey
    sizes = [frame.image for frame in VideoSource(tmp_path / "video.mp4")]
    assert [image.shape for image in sizes] == [(64, 96, 3)] * 3
    assert sizes[1][:10].mean() < 30
    assert sizes[1][22:42].mean() > 180
    assert sizes[2].mean() > 190


def test_odd_sizes_are_padded_not_scaled(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "video.mp4", 30.0) as writer:
        writer.write(grey(200, (97, 65)))
    (frame,) = VideoSource(tmp_path / "video.mp4")
    assert frame.image.shape == (66, 98, 3)


def test_an_unwritable_folder_is_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="cannot write to this folder"):
        VideoWriter(tmp_path / "file" / "video.mp4", 30.0)


def test_an_unknown_container_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(SourceError, match=r"video\.xyz: OpenCV cannot write"),
        VideoWriter(tmp_path / "video.xyz", 30.0) as writer,
    ):
        writer.write(grey(0))


def test_a_file_that_lost_frames_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    writer = VideoWriter(path, 30.0)
    writer.write(grey(0))
    writer._num_written += 1  # as if the disk had filled up
    with pytest.raises(SourceError, match="holds 1 of 2 frames"):
        writer.close()


def test_what_was_written_before_an_error_can_be_played(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"

    def fails() -> None:
        with VideoWriter(path, 30.0) as writer:
            writer.write(grey(100))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert len(list(VideoSource(path))) == 1


def test_an_impossible_rate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="frame_rate_hz"):
        VideoWriter(tmp_path / "video.mp4", 0.0)
