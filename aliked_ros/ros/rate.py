# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Takes less often what comes too often: at most so many a second over time, evenly, however the two rates relate."""

from __future__ import annotations

from dataclasses import dataclass, replace

_TOLERANCE = 0.1  # of the period: cameras jitter


@dataclass(frozen=True)
class Schedule:
    """When the next is due. One that comes late does not put off those after it, so that the rate is met exactly."""

    period_s: float
    due_s: float

    @classmethod
    def begin(cls, at_s: float, max_rate_hz: float) -> Schedule:
        """After the first, which came at this time."""
        return cls(1 / max_rate_hz, at_s + 1 / max_rate_hz)

    def admits(self, at_s: float) -> bool:
        """Whether what comes at this time is due, or early by no more than a tenth of the period."""
        return at_s >= self.due_s - _TOLERANCE * self.period_s

    def after(self, at_s: float) -> Schedule:
        """What holds once something was taken at this time; a pause is not made up for."""
        is_on_time = at_s - self.due_s <= self.period_s
        return replace(self, due_s=(self.due_s if is_on_time else at_s) + self.period_s)


class RateLimiter:
    """Says of what comes one after another which to take."""

    def __init__(self) -> None:
        self._max_rate_hz = 0.0
        self._schedule: Schedule | None = None

    def admits(self, at_s: float, max_rate_hz: float) -> bool:
        """Whether to take what comes at this time; a rate of 0 takes all, another rate begins anew."""
        if max_rate_hz != self._max_rate_hz:
            self._max_rate_hz, self._schedule = max_rate_hz, None
        if max_rate_hz <= 0:
            return True
        if self._schedule is None:
            self._schedule = Schedule.begin(at_s, max_rate_hz)
            return True
        if not self._schedule.admits(at_s):
            return False
        self._schedule = self._schedule.after(at_s)
        return True


class RateGate:
    """Says which images of several cameras to take: of each camera at a rate, and simultaneous ones together.

    A camera has a schedule of its own until one of its images is taken together with another camera's; from then on
    they share one, and are decided on together while they stay in step.
    """

    def __init__(self) -> None:
        self._max_rate_hz = 0.0
        self._taken: dict[int, _Moment] = {}  # of each camera's last image that was taken
        self._refused_ns: dict[int, int] = {}  # stamp of each camera's last image that was not

    def admits(self, camera: int, stamp_ns: int, now: float, max_rate_hz: float, slop_ns: int) -> bool:
        """Whether to take this image, which came now; stamps of one moment lie at most ``slop_ns`` apart."""
        if max_rate_hz != self._max_rate_hz:
            self._max_rate_hz = max_rate_hz
            self._taken.clear()
            self._refused_ns.clear()
        if max_rate_hz <= 0:
            return True
        for moment in self._taken.values():
            if camera not in moment.cameras and abs(stamp_ns - moment.stamp_ns) <= slop_ns:
                moment.cameras.add(camera)
                self._taken[camera] = moment
                return True
        last = self._taken.get(camera)
        if last is not None and not (last.schedule.admits(now) and self._is_free(camera, stamp_ns, now, slop_ns)):
            self._refused_ns[camera] = stamp_ns
            return False
        schedule = Schedule.begin(now, max_rate_hz) if last is None else last.schedule.after(now)
        self._taken[camera] = _Moment(stamp_ns, schedule, {camera})
        return True

    def _is_free(self, camera: int, stamp_ns: int, now: float, slop_ns: int) -> bool:
        """Whether no camera in step was just refused an image of the moment for being a hair earlier than this one."""
        last = self._taken[camera]
        return now >= last.schedule.due_s or not any(
            self._taken.get(other) is last and abs(stamp_ns - refused_ns) <= slop_ns
            for other, refused_ns in self._refused_ns.items()
            if other != camera
        )


@dataclass(eq=False)
class _Moment:
    """A moment of which images were taken."""

    stamp_ns: int  # of the first of them
    schedule: Schedule  # of what comes next
    cameras: set[int]
