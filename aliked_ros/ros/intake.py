# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Which images are processed next: the newest of the camera that has waited longest, or all in order; those of one
moment together; each with its depth.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from aliked_ros.ros.overload import Flow
from aliked_ros.ros.rate import RateGate

_LIVE_S = 1.0  # a camera that was silent for longer is not waited for
_EARLY_DEPTHS = 5  # depth images that may come before their image does


@dataclass(frozen=True)
class IntakeSettings:
    """How images are chosen."""

    in_order: bool = False  # every image in its order; otherwise the newest, and older ones are dropped
    capacity: int = 1  # images of a camera that may wait
    sync_slop_ns: int = 0  # stamps of simultaneous images lie no farther apart
    sync_timeout_s: float = 0.0  # longest wait for the other cameras' images of a moment
    depth: bool = False  # images are joined with depth
    depth_slop_ns: int = 0
    depth_timeout_s: float = 0.0
    max_rate_hz: float = 0.0  # of each camera; 0 takes all


@dataclass(frozen=True, eq=False)
class Arrival:
    """An image that came."""

    camera: int
    message: Any
    stamp_ns: int
    received_at_s: float
    depth: Any = None  # message of the same moment
    is_unpaired: bool = False  # another camera is alive and had no image of the moment


class Intake:
    """Where the images of all cameras wait for the thread that processes them. Safe for several threads.

    Args:
        num_cameras: cameras are numbered from 0.
        settings: how images are chosen.
        on_drop: is told the camera of each image that is given up, and how many; must return at once.
        clock: seconds, monotonic; for tests.
    """

    def __init__(
        self,
        num_cameras: int,
        settings: IntakeSettings,
        on_drop: Callable[[int, int], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._on_drop = on_drop
        self._clock = clock
        self._changed = threading.Condition()
        self._closed = False
        self._woken = False
        self._is_idle = False  # the thread waits, because no image can be processed yet
        self._queues: list[deque[Arrival]] = [deque() for _ in range(num_cameras)]
        self._last: list[tuple[int, float] | None] = [None] * num_cameras  # stamp and arrival of the newest image
        self._depths = [_DepthBuffer() for _ in range(num_cameras)]
        self._num_turns = 0
        self._turns = [0] * num_cameras  # when each camera had its last one
        self._waiting_since_s: list[float | None] = [None] * num_cameras  # for the next: its first image's arrival
        self._gate = RateGate()
        self._flow = Flow()

    @property
    def flow(self) -> Flow:
        """How many images came, were admitted, and gave way to newer ones."""
        with self._changed:
            return self._flow

    def use(self, settings: IntakeSettings) -> None:
        """Other settings from the next image on."""
        with self._changed:
            self._settings = settings

    def put(self, camera: int, message: Any, stamp_ns: int) -> None:
        """Adds an image; where there is no room the camera's oldest is dropped, or processed if nothing else is."""
        with self._changed:
            now, settings = self._clock(), self._settings
            self._count(received=1)
            if self._closed or not self._gate.admits(
                camera, stamp_ns, now, settings.max_rate_hz, settings.sync_slop_ns
            ):
                self._on_drop(camera, 1)
                return
            self._count(admitted=1)
            waiting = self._queues[camera]
            self._last[camera] = (stamp_ns, now)
            waiting.append(Arrival(camera, message, stamp_ns, now))
            if self._waiting_since_s[camera] is None:
                self._waiting_since_s[camera] = now
            if not self._is_idle:
                while len(waiting) > settings.capacity:
                    waiting.popleft()
                    self._supersede(camera)
            elif len(waiting) > settings.capacity:
                # Else, at a high rate, every image would be pushed out before its wait for what is missing ends.
                self._is_idle = False
            self._changed.notify()

    def put_depth(self, camera: int, message: Any, stamp_ns: int) -> None:
        """Adds the depth of a moment."""
        with self._changed:
            if not self._closed:
                self._depths[camera].put(message, stamp_ns, self._clock(), self._settings)
            self._changed.notify()

    def take(self) -> list[Arrival] | None:
        """Waits for the images to process next, at most one of each camera; ``None`` once the intake is closed.

        After :meth:`wake` there may be none.
        """
        with self._changed:
            while not self._closed:
                batch, wait_s = self._choose(self._clock())
                if batch or self._woken:
                    self._woken = False
                    return batch
                self._changed.wait(wait_s)
            return None

    def wake(self) -> None:
        """Ends a wait although no image may have come: there is something else to do."""
        with self._changed:
            self._woken = True
            self._changed.notify()

    def clear(self) -> None:
        """Drops what is waiting, and forgets what has been."""
        with self._changed:
            self._drop_all()

    def close(self) -> None:
        """Ends every wait, now and later, and drops what is waiting."""
        with self._changed:
            self._closed = True
            self._drop_all()
            self._changed.notify_all()

    def _drop_all(self) -> None:
        for camera, waiting in enumerate(self._queues):
            if waiting:
                self._on_drop(camera, len(waiting))
                waiting.clear()
        self._last = [None] * len(self._queues)
        self._waiting_since_s = [None] * len(self._queues)
        self._depths = [_DepthBuffer() for _ in self._queues]

    def _choose(self, now: float) -> tuple[list[Arrival], float | None]:
        """The images to process now, or none and how long to wait at most until there may be some."""
        batch, wait_s = self._find(now)
        self._is_idle = not batch
        return batch, wait_s

    def _find(self, now: float) -> tuple[list[Arrival], float | None]:
        waits_s: list[float] = []
        for pivot, waited_before_s in self._candidates():
            group = self._simultaneous(pivot)
            remaining_s = self._remaining_wait_s(pivot, group, now) - waited_before_s
            if remaining_s <= 0:
                return self._finish(group, now), None
            waits_s.append(remaining_s)
        return [], min(waits_s, default=None)

    def _candidates(self) -> Iterator[tuple[Arrival, float]]:
        """The images that may be next, the best first, and how long before each its camera began to wait, seconds.

        By turns: a camera whose stamps are behind has nothing that is newer than the others' images. Of one camera the
        newest image that need not wait is the best; and when its turn has come for as long as an image may wait, the
        oldest, however often newer ones have taken the place of those before.
        """
        if self._settings.in_order:
            heads = [waiting[0] for waiting in self._queues if waiting]
            yield from ((head, 0.0) for head in sorted(heads, key=lambda a: a.stamp_ns)[:1])
            return
        cameras = [camera for camera, waiting in enumerate(self._queues) if waiting]
        for camera in sorted(cameras, key=lambda c: (self._turns[c], -max(a.stamp_ns for a in self._queues[c]))):
            waiting, since_s = self._queues[camera], self._waiting_since_s[camera]
            yield from ((arrival, 0.0) for arrival in sorted(waiting, key=lambda a: a.stamp_ns, reverse=True))
            if since_s is not None:
                yield waiting[0], waiting[0].received_at_s - since_s

    def _simultaneous(self, pivot: Arrival) -> list[Arrival]:
        """The image itself and the nearest in time of each other camera, by camera."""
        group = [pivot]
        for camera, waiting in enumerate(self._queues):
            choice = list(waiting)[:1] if self._settings.in_order else list(waiting)
            if camera == pivot.camera or not choice:
                continue
            nearest = min(choice, key=lambda a: abs(a.stamp_ns - pivot.stamp_ns))
            if abs(nearest.stamp_ns - pivot.stamp_ns) <= self._settings.sync_slop_ns:
                group.append(nearest)
        return sorted(group, key=lambda a: a.camera)

    def _remaining_wait_s(self, pivot: Arrival, group: list[Arrival], now: float) -> float:
        """How long what is missing of these images may still be waited for; 0 or less when nothing is."""
        if any(self._is_pushed_out(arrival) for arrival in group):
            return 0.0
        waits = [0.0]
        present = {arrival.camera for arrival in group}
        for camera, last in enumerate(self._last):
            if camera in present or last is None or now - last[1] > _LIVE_S:
                continue
            if last[0] <= pivot.stamp_ns + self._settings.sync_slop_ns:  # else it has gone past this moment
                waits.append(pivot.received_at_s + self._settings.sync_timeout_s - now)
        if self._settings.depth:
            waits += [self._depths[a.camera].remaining_wait_s(a, now, self._settings) for a in group]
        return max(waits)

    def _is_pushed_out(self, arrival: Arrival) -> bool:
        """Whether there is no more room for the image, and it must be processed now if ever."""
        waiting = self._queues[arrival.camera]
        return waiting[0] is arrival and len(waiting) > self._settings.capacity

    def _finish(self, group: list[Arrival], now: float) -> list[Arrival]:
        """Removes the images of a moment, and says of each whether it lacks another camera's."""
        present = {arrival.camera for arrival in group}
        self._num_turns += 1
        for camera in present:
            self._turns[camera] = self._num_turns
        lacking = any(
            last is not None and now - last[1] <= _LIVE_S and camera not in present
            for camera, last in enumerate(self._last)
        )
        popped = [self._pop(arrival) for arrival in group]
        return [replace(arrival, is_unpaired=True) for arrival in popped] if lacking else popped

    def _pop(self, chosen: Arrival) -> Arrival:
        """Removes an image from its queue, and drops those before it."""
        waiting = self._queues[chosen.camera]
        while (arrival := waiting.popleft()) is not chosen:
            self._supersede(arrival.camera)
        self._waiting_since_s[chosen.camera] = waiting[0].received_at_s if waiting else None
        if not self._settings.depth:
            return chosen
        return replace(chosen, depth=self._depths[chosen.camera].nearest(chosen.stamp_ns, self._settings))

    def _supersede(self, camera: int) -> None:
        self._count(superseded=1)
        self._on_drop(camera, 1)

    def _count(self, received: int = 0, admitted: int = 0, superseded: int = 0) -> None:
        flow = self._flow
        self._flow = replace(
            flow,
            received=flow.received + received,
            admitted=flow.admitted + admitted,
            superseded=flow.superseded + superseded,
        )


class _DepthBuffer:
    """The last depth images of a camera: as many as images may wait for theirs, and some that come before theirs."""

    def __init__(self) -> None:
        self._items: deque[tuple[int, Any]] = deque()
        self._received_at_s: float | None = None

    def put(self, message: Any, stamp_ns: int, now: float, settings: IntakeSettings) -> None:
        self._items.append((stamp_ns, message))
        while len(self._items) > settings.capacity + _EARLY_DEPTHS:
            self._items.popleft()
        self._received_at_s = now

    def nearest(self, stamp_ns: int, settings: IntakeSettings) -> Any:
        """The depth of this moment, or ``None``."""
        if not self._items:
            return None
        found_ns, message = min(self._items, key=lambda item: abs(item[0] - stamp_ns))
        return message if abs(found_ns - stamp_ns) <= settings.depth_slop_ns else None

    def remaining_wait_s(self, arrival: Arrival, now: float, settings: IntakeSettings) -> float:
        """How long the depth of an image may still be waited for; 0 or less when it is there or will not come."""
        silent = self._received_at_s is not None and now - self._received_at_s > _LIVE_S
        past = bool(self._items) and self._items[-1][0] > arrival.stamp_ns + settings.depth_slop_ns
        if silent or past or self.nearest(arrival.stamp_ns, settings) is not None:
            return 0.0
        return arrival.received_at_s + settings.depth_timeout_s - now
