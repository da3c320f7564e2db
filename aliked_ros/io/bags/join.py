# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Joins the depth and the pose that belong to each image while a bag is read, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from aliked_ros.io.bags.salvage import RawMessage
from aliked_ros.io.messages.stamps import NS_PER_S

MAX_DIFFERENCE_NS = NS_PER_S // 50  # 0.02 s, as the TUM RGB-D benchmark joins colour and depth
# What belongs together is recorded within this time: an image is held back until the bag's clock is so far ahead.
HOLD_NS = NS_PER_S // 4


class Joined(NamedTuple):
    """One image with the messages nearest in time."""

    image: RawMessage
    depth: RawMessage | None
    pose: RawMessage | None


class _Stamped(NamedTuple):
    stamp_ns: int
    message: RawMessage


class TimeJoin:
    """Collects messages in the order of recording and gives images back when their partners must have come.

    A depth image or pose is joined to the image that is nearest to it, if they are less than 0.02 s apart;
    nothing is used twice.
    """

    def __init__(self, *, with_depth: bool, with_pose: bool) -> None:
        self._waits = with_depth or with_pose
        self._images: deque[_Stamped] = deque()
        self._passed: deque[int] = deque(maxlen=2)  # stamps of the images given back last
        self._depths: list[_Stamped] = []
        self._poses: list[_Stamped] = []

    def add_image(self, stamp_ns: int, message: RawMessage) -> None:
        """Takes an image."""
        self._images.append(_Stamped(stamp_ns, message))

    def add_depth(self, stamp_ns: int, message: RawMessage) -> None:
        """Takes a depth image."""
        self._depths.append(_Stamped(stamp_ns, message))

    def add_pose(self, stamp_ns: int, message: RawMessage) -> None:
        """Takes a pose."""
        self._poses.append(_Stamped(stamp_ns, message))

    def ready(self, now_ns: int) -> Iterator[Joined]:
        """The images that nothing more can be joined to, when the bag's clock is at ``now_ns``."""
        while self._images and (not self._waits or now_ns - self._images[0].message.log_time_ns > HOLD_NS):
            yield self._take()

    def finish(self) -> Iterator[Joined]:
        """The images left at the end of the bag."""
        while self._images:
            yield self._take()

    def _take(self) -> Joined:
        image = self._images.popleft()
        others_ns = [*self._passed, *(other.stamp_ns for other in self._images)]
        self._passed.append(image.stamp_ns)
        depth = _take_nearest(self._depths, image.stamp_ns, others_ns)
        pose = _take_nearest(self._poses, image.stamp_ns, others_ns)
        return Joined(image.message, depth, pose)


def _take_nearest(partners: list[_Stamped], stamp_ns: int, others_ns: Sequence[int]) -> RawMessage | None:
    """The partner nearest to the image, unless it is nearer to another; forgets it and what is out of reach."""
    # Beyond one second ahead lies what was recorded before the clock jumped back.
    partners[:] = [p for p in partners if -MAX_DIFFERENCE_NS < p.stamp_ns - stamp_ns < NS_PER_S]
    for partner in sorted(partners, key=lambda p: abs(p.stamp_ns - stamp_ns)):
        distance = abs(partner.stamp_ns - stamp_ns)
        if distance >= MAX_DIFFERENCE_NS:
            return None
        if all(distance <= abs(partner.stamp_ns - other_ns) for other_ns in others_ns):
            partners.remove(partner)
            return partner.message
    return None
