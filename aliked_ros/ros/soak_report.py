# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What a long run came to, and whether it is what a robot can rely on; knows no ROS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from aliked_ros.ros.soak_audit import CounterAudit, TrackAudit, in_flight

_PERCENTILES = (50, 95, 99)
# How much slower the last third may be than the first: other programs take a share of a machine, and rarely the same
# one all the time, most of all at the slowest images. A queue that grows, or work that grows with what has been, adds
# up to far more over an hour.
_SLOWER_FACTOR = {"p50": 1.5, "p95": 2.0, "p99": 3.0}
_SLOWER_MS = {"p50": 5.0, "p95": 15.0, "p99": 50.0}
_MIN_BAD_IMAGES = 20  # of which at least one must have come through to be refused


@dataclass(frozen=True)
class Window:
    """A piece of the run."""

    end_s: float  # since the first image was sent
    rss_mb: float
    rate_hz: float  # of all cameras' images that were processed
    sent_hz: float
    latency_ms: dict[str, float]  # p50, p95, p99; empty where nothing was processed


@dataclass(frozen=True)
class CameraOutcome:
    """What became of one camera's images."""

    name: str
    published: int
    bad_published: int
    tracks: TrackAudit
    counters: CounterAudit


@dataclass(frozen=True)
class Check:
    """One thing that was asserted."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class Soak:
    """A whole run."""

    duration_s: float
    warm_up_s: float
    windows: Sequence[Window]
    cameras: Sequence[CameraOutcome]
    max_growth_percent: float
    about: dict[str, Any] = field(default_factory=dict)  # model, device, machine and the like

    @property
    def settled(self) -> list[Window]:
        """The windows after the warm-up."""
        return [window for window in self.windows if window.end_s > self.warm_up_s]


def latency_percentiles(latencies_ms: Sequence[float]) -> dict[str, float]:
    """p50, p95 and p99; empty without a value."""
    if not latencies_ms:
        return {}
    values = np.percentile(latencies_ms, _PERCENTILES)
    return {f"p{q}": float(value) for q, value in zip(_PERCENTILES, values, strict=True)}


def checks(soak: Soak) -> list[Check]:
    """Everything that is asserted of a run."""
    made = [_memory(soak), *_latencies(soak)]
    for camera in soak.cameras:
        made += [_ids(camera), _counters(camera), _totals(camera), _refusals(camera)]
    return made


def as_dict(soak: Soak) -> dict[str, Any]:
    """The report for programs."""
    made = checks(soak)
    statuses = [camera.counters.last for camera in soak.cameras if camera.counters.last is not None]
    rss_start_mb, rss_end_mb = _first_and_last(soak.settled, lambda window: window.rss_mb)
    return {
        **{name: sum(getattr(s, name) for s in statuses) for name in ("received", "processed", "dropped", "refused")},
        "published": sum(camera.published for camera in soak.cameras),
        "bad_published": sum(camera.bad_published for camera in soak.cameras),
        "rss_start_mb": rss_start_mb,
        "rss_end_mb": rss_end_mb,
        "rss_growth_percent": 100 * (rss_end_mb / rss_start_mb - 1),
        "latency_ms": {
            **_typical(soak.settled),
            "first_third": _typical(_thirds(soak.settled)[0]),
            "last_third": _typical(_thirds(soak.settled)[1]),
        },
        "duration_s": soak.duration_s,
        "warm_up_s": soak.warm_up_s,
        "tracks": sum(camera.tracks.num_tracks for camera in soak.cameras),
        "epochs": sum(camera.tracks.num_epochs for camera in soak.cameras),
        **soak.about,
        "passed": all(check.passed for check in made),
        "checks": [asdict(check) for check in made],
        "windows": [asdict(window) for window in soak.windows],
    }


def as_table(report: dict[str, Any]) -> str:
    """The report for a terminal."""
    latency = report["latency_ms"]
    lines = [
        f"{report['duration_s']:.0f} s: {report['published']} published, {report['received']} received, "
        f"{report['processed']} processed, {report['dropped']} dropped, {report['refused']} refused",
        f"memory {report['rss_start_mb']:.1f} to {report['rss_end_mb']:.1f} MB, {report['tracks']} tracks, latency "
        + ", ".join(f"{name} {latency[name]:.1f} ms" for name in ("p50", "p95", "p99") if name in latency),
    ]
    lines += [f"{'ok  ' if c['passed'] else 'FAIL'} {c['name']}: {c['detail']}" for c in report["checks"]]
    return "\n".join(lines)


def _memory(soak: Soak) -> Check:
    start_mb, end_mb = _first_and_last(soak.settled, lambda window: window.rss_mb)
    percent = 100 * (end_mb / start_mb - 1)
    detail = f"{start_mb:.1f} to {end_mb:.1f} MB after the warm-up, {percent:+.2f} % of {soak.max_growth_percent:g} %"
    return Check("memory is stable", percent < soak.max_growth_percent, detail)


def _latencies(soak: Soak) -> list[Check]:
    first, last = (_typical(windows) for windows in _thirds(soak.settled))
    if not first or not last:
        return [Check("latency is stable", False, "no image was processed in the first or the last third")]
    made = []
    for name in first:
        allowed = _SLOWER_FACTOR[name] * first[name] + _SLOWER_MS[name]
        detail = f"{first[name]:.1f} ms in the first third, {last[name]:.1f} in the last, {allowed:.1f} are allowed"
        made.append(Check(f"latency {name} is stable", last[name] <= allowed, detail))
    return made


def _ids(camera: CameraOutcome) -> Check:
    audit = camera.tracks
    detail = "; ".join(audit.complaints.first) or (
        f"{audit.num_tracks} tracks in {audit.num_frames} frames and {audit.num_epochs} epochs"
    )
    return Check(
        _named("no lost or duplicated ids", camera), not audit.complaints.count and audit.num_tracks > 0, detail
    )


def _counters(camera: CameraOutcome) -> Check:
    complaints, highest = camera.counters.complaints, camera.counters.highest_in_flight
    return Check(
        _named("counters never contradict each other", camera),
        not complaints.count,
        "; ".join(complaints.first) or f"at most {highest} images in flight",
    )


def _totals(camera: CameraOutcome) -> Check:
    status, frames = camera.counters.last, camera.tracks.num_frames
    if status is None:
        return Check(_named("counters add up", camera), False, "no status came")
    detail = (
        f"received {status.received} of {camera.published} = processed {status.processed} + dropped {status.dropped} + "
        f"refused {status.refused} + in flight {in_flight(status)}; {frames} frames came"
    )
    passed = in_flight(status) == 0 and 0 < status.processed == frames and status.received <= camera.published
    return Check(_named("counters add up", camera), passed, detail)


def _refusals(camera: CameraOutcome) -> Check:
    """A good image that is refused would make more refusals than bad images only if nearly all bad ones were lost."""
    refused, bad = 0 if camera.counters.last is None else camera.counters.last.refused, camera.bad_published
    passed = refused <= bad and (refused > 0 or bad < _MIN_BAD_IMAGES)
    return Check(_named("bad images are refused", camera), passed, f"{refused} refused of {bad} that were sent")


def _named(name: str, camera: CameraOutcome) -> str:
    return f"{camera.name}: {name}" if camera.name else name


def _typical(windows: Sequence[Window]) -> dict[str, float]:
    """The median of each percentile over the windows: a short disturbance does not decide."""
    measured = [window.latency_ms for window in windows if window.latency_ms]
    return {name: float(np.median([one[name] for one in measured])) for name in (measured[0] if measured else ())}


def _thirds(windows: Sequence[Window]) -> tuple[Sequence[Window], Sequence[Window]]:
    """The first and the last third."""
    third = max(1, len(windows) // 3)
    return windows[:third], windows[-third:]


def _first_and_last(windows: Sequence[Window], value: Callable[[Window], float]) -> tuple[float, float]:
    """The median over the first third and over the last."""
    first, last = (np.median([value(window) for window in part]) for part in _thirds(windows))
    return float(first), float(last)
