# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What a replay came to, in numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aliked_ros.errors import AlikedError
from aliked_ros.io.messages.status_fields import TrackerStatus
from aliked_ros.ros.collector import FrameResults


class SummaryError(AlikedError):
    """A replay that came to an end and yet went wrong."""


@dataclass(frozen=True)
class Latency:
    """From a frame's publication to the arrival of its features in another process, milliseconds."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True)
class Summary:
    """Contents of summary.json."""

    sequence: str
    frames_published: int
    frames_received: int
    frames_processed: int
    frames_dropped: int
    frames_refused: int
    epochs: int
    features_mean: float
    matches_mean: float  # over the frames that have a previous one
    track_length_mean: float  # frames
    latency_ms: Latency
    extraction_ms: float  # median of what the tracker took from pixels to features; a part of the latency
    seconds: float
    model: str
    weights_sha256: str
    device: str
    backend: str
    precision: str
    rmw: str

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return dataclasses.asdict(self)

    def as_table(self) -> str:
        """For people."""
        latency = self.latency_ms
        rows = (
            ("frames", f"{self.frames_published} published, {self.frames_processed} processed"),
            ("features", f"{self.features_mean:.0f} per frame"),
            ("matches", f"{self.matches_mean:.0f} per frame"),
            ("tracks", f"{self.track_length_mean:.1f} frames long"),
            ("latency", f"{latency.p50:.0f} ms (95 %: {latency.p95:.0f} ms, 99 %: {latency.p99:.0f} ms)"),
            ("", f"{self.extraction_ms:.0f} ms of it are the network's"),
            ("network", f"{self.model} on {self.device}, {self.precision}, {self.backend}"),
        )
        return "\n".join(f"{name:<9} {value}" for name, value in rows)


class SummaryBuilder:
    """Gathers what a summary needs, one frame after another, in constant memory but for the track lengths."""

    def __init__(self) -> None:
        self._latencies_ms: list[float] = []
        self._num_features: list[int] = []
        self._num_matches: list[int] = []
        self._track_lengths: dict[tuple[int, int], int] = {}
        self._epochs: set[int] = set()
        self._weights_sha256 = ""

    @property
    def num_frames(self) -> int:
        """Frames added."""
        return len(self._latencies_ms)

    def add(self, results: FrameResults, published_at_s: float) -> None:
        """Adds a frame's results and when the frame was published."""
        self._latencies_ms.append(1e3 * (results.arrived_at_s - published_at_s))
        self._num_features.append(len(results.features.features))
        if results.matches is not None:
            self._num_matches.append(len(results.matches.matches))
        tracks, epoch = results.tracks.tracks, results.tracks.meta.epoch
        self._epochs.add(epoch)
        lengths = zip(tracks.ids.tolist(), tracks.ages.tolist(), strict=True)
        self._track_lengths.update({(epoch, identity): age for identity, age in lengths})
        self._weights_sha256 = results.features.meta.weights_sha256

    def build(
        self, sequence: str, status: TrackerStatus, extraction_ms: Sequence[float], seconds: float, rmw: str
    ) -> Summary:
        """The summary.

        Raises:
            SummaryError: no frame was published, a frame was lost, or nothing was found or matched.
        """
        published = self.num_frames
        if published == 0:
            raise SummaryError(f"{sequence}: nothing was published")
        p50, p95, p99 = (float(value) for value in np.percentile(self._latencies_ms, (50, 95, 99)))
        summary = Summary(
            sequence=sequence,
            frames_published=published,
            frames_received=status.received,
            frames_processed=status.processed,
            frames_dropped=status.dropped,
            frames_refused=status.refused,
            epochs=len(self._epochs),
            features_mean=_mean(self._num_features),
            matches_mean=_mean(self._num_matches),
            track_length_mean=_mean(list(self._track_lengths.values())),
            latency_ms=Latency(p50, p95, p99),
            extraction_ms=float(np.median(extraction_ms)),
            seconds=seconds,
            model=status.model,
            weights_sha256=self._weights_sha256,
            device=status.device,
            backend=status.backend,
            precision=status.precision,
            rmw=rmw,
        )
        _check(summary)
        return summary


def _check(summary: Summary) -> None:
    published = summary.frames_published
    if not published == summary.frames_received == summary.frames_processed:
        raise SummaryError(
            f"{published} frames were published, {summary.frames_received} received, {summary.frames_processed} "
            f"processed, {summary.frames_dropped} dropped and {summary.frames_refused} refused; all must be processed"
        )
    if summary.features_mean == 0:
        raise SummaryError(f"no features were found in {published} frames; is score_threshold too high?")
    if published > 1 and summary.matches_mean == 0:
        raise SummaryError(f"nothing was matched in {published} frames; are they of one scene?")


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0
