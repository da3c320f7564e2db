# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The picture for people: tracks coloured by age, drawn only while someone looks, and never by the tracker's thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rclpy.node import Node
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from aliked_ros.io.drawing import TrackTrails, draw_caption, draw_tracks
from aliked_ros.io.messages.encodings import ImageArray
from aliked_ros.ros import qos
from aliked_ros.ros.image_conversions import image_message
from aliked_ros.ros.mailbox import Mailbox, Worker

if TYPE_CHECKING:
    from aliked_ros.frontend.frontend import FrameResult


@dataclass(frozen=True, eq=False)
class _Picture:
    image: ImageArray
    result: FrameResult
    header: Header
    caption: Sequence[str]


class DebugView:
    """The topic ~/debug_image, drawn by a thread of its own that skips images it has no time for.

    Args:
        node: publishes.
        trail_length: positions of a track that are shown.
        prefix: of the topic, such as ``~/left``.
    """

    def __init__(self, node: Node, trail_length: int, prefix: str = "~") -> None:
        self._node = node
        self._publisher = node.create_publisher(
            Image, f"{prefix}/debug_image", qos.results(), qos_overriding_options=qos.overridable()
        )
        self._trail_length = trail_length
        self._trails = TrackTrails(trail_length)
        self._epoch = 0
        self._mailbox: Mailbox[_Picture] = Mailbox(1)
        self._worker = Worker("debug view", self._mailbox, self._draw)
        self._worker.start()

    @property
    def is_watched(self) -> bool:
        """Whether someone subscribes."""
        return bool(self._publisher.get_subscription_count() > 0)

    def offer(
        self, image: ImageArray, result: FrameResult, header: Header, caption: Callable[[], Sequence[str]]
    ) -> None:
        """Shows an image, what was found in it, and more text, if someone is looking; returns at once."""
        if self.is_watched:
            self._mailbox.put(_Picture(image, result, header, caption()))

    def use(self, trail_length: int) -> None:
        """Shows so many positions of a track from now on."""
        if trail_length != self._trail_length:
            self._trail_length = trail_length
            self._trails = TrackTrails(trail_length)

    def close(self) -> None:
        """Ends the thread and the topic."""
        self._mailbox.close()
        self._worker.join()
        self._node.destroy_publisher(self._publisher)

    def _draw(self, picture: _Picture) -> None:
        result, trails = picture.result, self._trails
        if result.epoch != self._epoch:
            trails.clear()
            self._epoch = result.epoch
        canvas = draw_tracks(picture.image, result.tracks, trails.update(result.tracks))
        found = (f"frame {result.frame_seq}", f"{len(result.features)} features", f"{len(result.tracks)} tracks")
        message = image_message(
            draw_caption(canvas, (*found, *picture.caption)), result.stamp_ns, picture.header.frame_id
        )
        message.header = picture.header
        self._publisher.publish(message)
