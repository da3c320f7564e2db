# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the tracker knows of itself: counters, the last image, rates and latencies. Safe for several threads."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aliked_ros.io.messages.status_fields import TrackerState, TrackerStatus
from aliked_ros.ros.phase import Phase
from aliked_ros.ros.stage_times import Distribution, StageTimes, distributions

if TYPE_CHECKING:
    from aliked_ros.frontend.frontend import FrameResult

_RATE_WINDOW = 30  # images that the momentary rate looks back on
_IDLE_AFTER_S = 2.0  # without an image


@dataclass(frozen=True)
class Counts:
    """What became of the images since the start."""

    received: int = 0
    processed: int = 0
    dropped: int = 0
    refused: int = 0

    @property
    def in_flight(self) -> int:
        """Images that wait or are under way."""
        return self.received - self.processed - self.dropped - self.refused


@dataclass(frozen=True)
class LastImage:
    """What was found in the last image processed, and how long it took."""

    frame_id: str
    epoch: int
    num_features: int
    num_tracks: int
    mean_track_age: float
    latency_ms: float
    publish_ms: float
    timings_ms: Mapping[str, float]  # wait, preprocess, inference, match

    @classmethod
    def of(
        cls,
        result: FrameResult,
        frame_id: str,
        *,
        wait_ms: float,
        convert_ms: float,
        latency_ms: float,
        publish_ms: float,
    ) -> LastImage:
        """From what the front-end made of it; converting the message is part of preprocessing."""
        ages, timings_ms = result.tracks.ages, {"wait": wait_ms, **result.timings_ms}
        timings_ms["preprocess"] += convert_ms
        return cls(
            frame_id=frame_id,
            epoch=result.epoch,
            num_features=len(result.features),
            num_tracks=len(result.tracks),
            mean_track_age=float(ages.mean()) if len(ages) else 0.0,
            latency_ms=latency_ms,
            publish_ms=publish_ms,
            timings_ms=timings_ms,
        )


@dataclass(frozen=True)
class Interval:
    """What happened since the interval before."""

    seconds: float
    counts: Counts  # of this interval alone
    stages: Mapping[str, Distribution]  # over the last images; empty before the first
    without_depth: int = 0  # images that were to have depth and had none
    without_partner: int = 0  # images that no other camera, though alive, had one of the same moment for


class Monitor:
    """Counts images and measures, and says how the tracker is doing.

    At any moment received = processed + dropped + refused + in flight.

    Args:
        clock: seconds, monotonic; for tests.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts = Counts()
        self._last: LastImage | None = None
        self._last_refusal = ""
        self._calibrations_refused = 0
        self._without_depth = 0
        self._without_partner = 0
        self._calibration_error = ""
        self._stage_times = StageTimes()
        self._processed_at_s: deque[float] = deque(maxlen=_RATE_WINDOW)
        self._interval_start = (clock(), self._counts, 0, 0)
        self._received_at_s: float | None = None
        self._active_at_s = clock()  # since when images are taken
        self._unanswered_since_s: float | None = None  # an image waits to be processed or refused, or was dropped
        self._depth_at_s = -math.inf
        self._phase = Phase.UNCONFIGURED
        self._failure = ""
        self._failed = False

    def enter(self, phase: Phase, failure: str = "") -> None:
        """The node has come to be this, by a failure where there is one; the rest follows from the images."""
        with self._lock:
            if phase is Phase.ACTIVE and self._phase is not Phase.ACTIVE:
                self._active_at_s = self._clock()
                self._unanswered_since_s = None
            if phase is Phase.LOADING:
                self._calibration_error = ""  # of topics and parameters that were
            self._phase, self._failure = phase, failure
            self._failed = False

    @property
    def phase(self) -> Phase:
        """What the node was last told to be."""
        with self._lock:
            return self._phase

    @property
    def failure(self) -> str:
        """Why the node came to be what it is; empty when it was told to."""
        with self._lock:
            return self._failure

    def received(self) -> None:
        """An image has come."""
        with self._lock:
            self._add(received=1)
            self._received_at_s = self._clock()
            if self._unanswered_since_s is None:
                self._unanswered_since_s = self._received_at_s

    def depth_received(self) -> None:
        """Depth has come."""
        with self._lock:
            self._depth_at_s = self._clock()

    def dropped(self, count: int) -> None:
        """Images gave way to newer ones."""
        with self._lock:
            self._add(dropped=count)

    def refused(self, reason: str, *, failed: bool = False) -> None:
        """An image could not be used, or (failed) the node could not deal with it."""
        with self._lock:
            self._add(refused=1)
            self._answered()
            self._last_refusal = reason
            self._failed = failed

    def processed(self, image: LastImage, *, lacks_depth: bool = False, lacks_partner: bool = False) -> None:
        """An image was processed and its results sent.

        Args:
            image: what was found in it.
            lacks_depth: it was to have depth, and had none.
            lacks_partner: it was alone, though another camera is alive.
        """
        with self._lock:
            self._add(processed=1)
            self._without_depth += lacks_depth
            self._without_partner += lacks_partner
            self._answered()
            self._last = image
            self._stage_times.add({**image.timings_ms, "publish": image.publish_ms, "latency": image.latency_ms})
            self._processed_at_s.append(self._clock())
            self._failed = False

    def calibration_refused(self, reason: str) -> None:
        """A camera_info could not be used."""
        with self._lock:
            self._calibrations_refused += 1
            self._calibration_error = reason

    def calibration_accepted(self) -> None:
        """A camera_info is in use."""
        with self._lock:
            self._calibration_error = ""

    @property
    def without_depth(self) -> int:
        """How many images were to have depth and had none."""
        with self._lock:
            return self._without_depth

    @property
    def without_partner(self) -> int:
        """How many images no other camera, though alive, had one of the same moment for."""
        with self._lock:
            return self._without_partner

    @property
    def rate_hz(self) -> float:
        """Images processed per second, lately; NaN before the second."""
        with self._lock:
            recent = [at_s for at_s in self._processed_at_s if self._clock() - at_s < _IDLE_AFTER_S]
        return (len(recent) - 1) / (recent[-1] - recent[0]) if len(recent) > 1 and recent[-1] > recent[0] else math.nan

    @property
    def calibrations_refused(self) -> int:
        """How many different camera_info messages could not be used."""
        with self._lock:
            return self._calibrations_refused

    @property
    def calibration_error(self) -> str:
        """Why the last camera_info could not be used; empty when it could, or none came."""
        with self._lock:
            return self._calibration_error

    @property
    def counts(self) -> Counts:
        """The counters, of one moment."""
        with self._lock:
            return self._counts

    @property
    def last(self) -> LastImage | None:
        """The last image processed; ``None`` before the first."""
        with self._lock:
            return self._last

    @property
    def last_refusal(self) -> str:
        """Why the last image that was refused was; empty when none was."""
        with self._lock:
            return self._last_refusal

    def seconds_without_image(self) -> float:
        """Time since the last image came, or since images are taken; 0 while they are not."""
        with self._lock:
            return self._seconds_since(-math.inf if self._received_at_s is None else self._received_at_s)

    def seconds_without_depth(self) -> float:
        """The same since the last depth came."""
        with self._lock:
            return self._seconds_since(self._depth_at_s)

    def seconds_without_answer(self) -> float:
        """For how long images have come of which none was processed or refused; 0 where there is none of these."""
        with self._lock:
            return 0.0 if self._unanswered_since_s is None else self._clock() - self._unanswered_since_s

    def _answered(self) -> None:
        self._unanswered_since_s = self._clock() if self._counts.in_flight > 0 else None

    def _seconds_since(self, at_s: float) -> float:
        return 0.0 if self._phase is not Phase.ACTIVE else self._clock() - max(at_s, self._active_at_s)

    def next_interval(self) -> Interval:
        """Ends an interval and begins the next; for a reporter that comes back regularly."""
        with self._lock:
            now, counts = self._clock(), self._counts
            start, before, depth_before, partner_before = self._interval_start
            depth, partner = self._without_depth, self._without_partner
            self._interval_start = (now, counts, depth, partner)
            times_ms = self._stage_times.copy()
        changes = {name: getattr(counts, name) - getattr(before, name) for name in Counts.__dataclass_fields__}
        return Interval(
            now - start, Counts(**changes), distributions(times_ms), depth - depth_before, partner - partner_before
        )

    def status(self, *, device: str, backend: str, precision: str, model: str) -> TrackerStatus:
        """The state, counters and last image, with what runs."""
        with self._lock:
            counts, last, state = self._counts, self._last, self._current_state()
        values = {} if last is None else _values_of(last)
        return TrackerStatus(
            state=state,
            device=device,
            backend=backend,
            precision=precision,
            model=model,
            received=counts.received,
            processed=counts.processed,
            dropped=counts.dropped,
            refused=counts.refused,
            **values,
        )

    def _add(self, received: int = 0, processed: int = 0, dropped: int = 0, refused: int = 0) -> None:
        counts = self._counts
        self._counts = Counts(
            counts.received + received,
            counts.processed + processed,
            counts.dropped + dropped,
            counts.refused + refused,
        )

    def _current_state(self) -> TrackerState:
        if self._failure:
            return TrackerState.ERROR
        if self._phase is not Phase.ACTIVE:
            return self._phase.state
        if self._failed:
            return TrackerState.ERROR
        recent = self._received_at_s is not None and self._clock() - self._received_at_s < _IDLE_AFTER_S
        return TrackerState.RUNNING if recent else TrackerState.IDLE


def _values_of(last: LastImage) -> dict[str, Any]:
    return {
        "num_features": last.num_features,
        "num_tracks": last.num_tracks,
        "mean_track_age": last.mean_track_age,
        "latency_ms": last.latency_ms,
        "preprocess_ms": last.timings_ms["preprocess"],
        "inference_ms": last.timings_ms["inference"],
        "match_ms": last.timings_ms["match"],
        "publish_ms": last.publish_ms,
    }
