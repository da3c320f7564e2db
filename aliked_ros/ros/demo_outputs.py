# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the demo leaves behind: the tracker's messages as they came, and a video of the tracks."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from aliked_ros.io.bags.feature_recorder import FeatureRecorder
from aliked_ros.io.drawing import Image, TrackTrails, draw_banner, draw_tracks
from aliked_ros.io.messages.stamps import NS_PER_S
from aliked_ros.io.video_writer import VideoWriter
from aliked_ros.ros.collector import FrameResults
from aliked_ros.ros.player import Played

_FRAME_RATE_HZ = 30.0  # of a sequence whose stamps tell none
_MIN_RATE_HZ, _MAX_RATE_HZ = 1.0, 120.0


class DemoOutputs:
    """Records and draws frame after frame, as a context manager.

    Args:
        recording: the .mcap file to make.
        video: the .mp4 file to make, at the sequence's own speed.

    Raises:
        SourceError: a file cannot be written.
    """

    def __init__(self, recording: Path, video: Path) -> None:
        self._recorder = FeatureRecorder(recording)
        self._video_path = video
        self._video: VideoWriter | None = None
        self._first: tuple[int, Image] | None = None  # stamp and picture, until the second tells the frame rate
        self._trails = TrackTrails()
        self._epoch = 0

    def __enter__(self) -> DemoOutputs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._video is None and self._first is not None:
            self._start_video(_FRAME_RATE_HZ)
        if self._video is not None:
            self._video.__exit__(kind, error, traceback)
        self._recorder.close()

    def write(self, played: Played, results: FrameResults) -> None:
        """Adds a frame and what the tracker made of it."""
        for message in results.raw:
            # In the sequence's own time, so that a replay of the recording is not as slow as this machine.
            self._recorder.write_cdr(message.topic, message.type_name, message.data, played.stamp_ns)
        picture = self._draw(played, results)
        if self._video is not None:
            self._video.write(picture)
        elif self._first is None:
            self._first = (played.stamp_ns, picture)
        else:
            self._start_video(_frame_rate_hz(self._first[0], played.stamp_ns)).write(picture)

    def _start_video(self, frame_rate_hz: float) -> VideoWriter:
        assert self._first is not None
        self._video = VideoWriter(self._video_path, frame_rate_hz)
        self._video.write(self._first[1])
        return self._video

    def _draw(self, played: Played, results: FrameResults) -> Image:
        tracks, meta = results.tracks.tracks, results.tracks.meta
        if meta.epoch != self._epoch:
            self._trails.clear()
            self._epoch = meta.epoch
        picture = draw_tracks(played.frame.image, tracks, self._trails.update(tracks))
        num_matches = 0 if results.matches is None else len(results.matches.matches)
        text = (
            f"frame {meta.frame_seq}  {len(results.features.features)} features  {num_matches} matches  "
            f"{len(tracks)} tracks"
        )
        latency_ms = 1e3 * (results.arrived_at_s - played.published_at_s)
        network = f"{results.features.meta.model}  {latency_ms:.0f} ms from image to features"
        return draw_banner(draw_banner(picture, text), network, line=1)


def _frame_rate_hz(first_ns: int, second_ns: int) -> float:
    if second_ns <= first_ns:
        return _FRAME_RATE_HZ
    return min(max(NS_PER_S / (second_ns - first_ns), _MIN_RATE_HZ), _MAX_RATE_HZ)
