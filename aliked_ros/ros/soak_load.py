# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""More images than a tracker manages, some of them bad."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from builtin_interfaces.msg import Time
from sensor_msgs.msg import Image

from aliked_ros.engine.base import Image as ImageArray
from aliked_ros.ros.image_conversions import image_message

_MOST_FASTER = 1.5  # from one second to the next
_MIN_RATE_HZ = 5.0


class Governor:
    """The rate at which images are sent: more than was processed in the last second, by a factor.

    A tracker that keeps up gets more and more of them; one that doesn't has always one waiting, and drops the rest.

    Args:
        overload: images sent for each that is dealt with.
        max_rate_hz: never more.
    """

    def __init__(self, overload: float, max_rate_hz: float) -> None:
        self._overload = overload
        self._max_rate_hz = max_rate_hz
        self.rate_hz = min(30.0, max_rate_hz)

    def adapt(self, done_hz: float) -> None:
        """So many were dealt with in the last second."""
        wanted = min(self._overload * done_hz, _MOST_FASTER * self.rate_hz, self._max_rate_hz)
        self.rate_hz = max(_MIN_RATE_HZ, wanted)


class Reel:
    """Frames to and fro, for ever, so that neighbours are always neighbours in time, and a bad one now and then.

    Args:
        frames: (H, W, 3) uint8 RGB.
        frame_id: of the messages.
        bad_share: of the images.
        seed: another one makes other images bad.
    """

    def __init__(self, frames: Sequence[ImageArray], frame_id: str, bad_share: float, seed: int = 0) -> None:
        messages = [image_message(frame, 0, frame_id) for frame in frames]
        self._messages = [*messages, *messages[-2:0:-1]]
        self._bad = [_broken(change, frames[0], frame_id) for change in _BAD]
        self._bad_share = bad_share
        self._rng = random.Random(seed)  # noqa: S311  no secret
        self._position = 0

    def next(self) -> tuple[Image, bool]:
        """The next image, and whether it is bad. The message is used again: it must have been sent by then."""
        if self._rng.random() < self._bad_share:
            return self._rng.choice(self._bad), True
        self._position = (self._position + 1) % len(self._messages)
        return self._messages[self._position], False


def _broken(change: Callable[[Image], None], frame: ImageArray, frame_id: str) -> Image:
    message = image_message(frame, 0, frame_id)
    change(message)
    return message


def _cut_off(message: Image) -> None:
    message.data = message.data[: len(message.data) // 2]


def _of_an_unknown_encoding(message: Image) -> None:
    message.encoding = "made_up"


def _of_an_impossible_step(message: Image) -> None:
    message.step = 1


def _of_an_absurd_size(message: Image) -> None:
    message.width = message.height = 2**32 - 1


def _of_no_time(message: Image) -> None:
    message.header.stamp = Time(sec=0, nanosec=4_000_000_000)


_BAD = (_cut_off, _of_an_unknown_encoding, _of_an_impossible_step, _of_an_absurd_size, _of_no_time)
