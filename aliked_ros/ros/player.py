# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The player node: a recorded sequence, video or camera as ROS topics."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from geometry_msgs.msg import PoseStamped
from rclpy.duration import Duration
from rclpy.qos import ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from aliked_msgs.msg import Features
from aliked_ros.errors import AlikedError
from aliked_ros.io.calibration import camera_named
from aliked_ros.io.frames import Frame, FrameSource
from aliked_ros.io.sources.opening import open_source
from aliked_ros.ros import qos
from aliked_ros.ros.conversions import ns_from_time, time_from_ns
from aliked_ros.ros.image_conversions import (
    compressed_image_message,
    depth_message,
    image_message,
    info_from_camera,
    pose_message,
)
from aliked_ros.ros.node_config import PLAYER_GROUPS, PlayerConfig
from aliked_ros.ros.parameters import NodeParameters
from aliked_ros.ros.process import SpinThread, run
from aliked_ros.ros.read_ahead import ReadAhead
from aliked_ros.ros.schedule import Schedule
from aliked_ros.ros.signals import exit_in_time
from aliked_ros.ros.usage import Usage
from aliked_ros.ros.watched_node import WatchedNode, user_name

SUMMARY = (
    "Plays a recorded sequence, a bag, a video or a camera: publishes image, camera_info, depth, ground_truth and "
    "/clock, and ends where it ends. The parameter input must be given."
)
_POLL_S = 0.05
_SETTLE_S = 0.3
_REPORT_PERIOD_S = 5.0
_PATIENCE_S = 2.0  # before it is said what is waited for
_ACKNOWLEDGEMENT_TIMEOUT_S = 4.0  # Fast DDS asks its readers every 3 s


class PlaybackError(AlikedError):
    """Whom the player waits for does not come."""


@dataclass(frozen=True, eq=False)
class Played:
    """A frame that was just published."""

    frame: Frame
    stamp_ns: int  # as published
    published_at_s: float  # time.monotonic, just before the image went out


class PlayerNode(WatchedNode):
    """Publishes the frames of a source as image, camera_info, depth and ground_truth, and their time as /clock.

    Args:
        options: of rclpy's Node, such as ``parameter_overrides``.

    Raises:
        ConfigError: a parameter is unknown or out of range.
        SourceError: the source or the calibration cannot be read.
        CalibrationError: the calibration is impossible.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("player", **options)
        self._config = NodeParameters(self, PLAYER_GROUPS).get(PlayerConfig)
        self._source = _open(self._config)
        self._features_stamp_ns: int | None = None
        self._features_came = threading.Condition()
        self._image = self._publisher(Image, "image")
        # Remapping applies to the base name, as with image_transport.
        compressed = f"{self.resolve_topic_name('image')}/compressed"
        self._compressed = self._publisher(CompressedImage, compressed) if self._config.publish_compressed else None
        self._camera_info = self._publisher(CameraInfo, "camera_info")
        self._depth = self._publisher(Image, "depth")
        self._ground_truth = self._publisher(PoseStamped, "ground_truth")
        self._clock_topic = None if self._config.restamp else self._publisher(Clock, "/clock")
        if self._config.wait_for:
            self.create_subscription(
                Features,
                self._config.wait_for,
                self._on_features,
                qos.results(),
                qos_overriding_options=qos.overridable(),
            )
        self.watch_topics()

    @property
    def num_frames(self) -> int | None:
        """How many frames one pass has; ``None`` where nobody can tell."""
        return self._source.num_frames

    @property
    def of_how_many(self) -> str:
        """What follows the number of frames played; there is no end where the source loops, or is a camera."""
        total = self.num_frames
        return f" of {total} frames" if total and not self._config.loop else " frames"

    def play(self, stop: threading.Event) -> Iterator[Played]:
        """Publishes frame after frame when they are due, and yields each just after it went out.

        The caller's executor must be spinning. Ends with the source, unless it loops, and when ``stop`` is set.

        Raises:
            SourceError: the source is damaged; the frames before the damage have been played.
            PlaybackError: subscribers or features did not come in time.
        """
        self._wait_for_company(stop)
        while True:
            schedule = Schedule(self._config.rate)
            with self._frames() as frames:
                for frame in frames:
                    schedule.wait(frame.stamp_ns, stop)
                    if stop.is_set():
                        return
                    played = self._publish(frame)
                    yield played
                    self._wait_for_features(played.stamp_ns, stop)
            if not self._config.loop:
                if not self._config.wait_for:
                    # What a reliable subscriber missed can be sent again only while this process lives.
                    self._wait_for_acknowledgements(stop)
                return

    def _wait_for_acknowledgements(self, stop: threading.Event) -> None:
        """Briefly at a time: signals are handled in between only."""
        deadline_s = time.monotonic() + _ACKNOWLEDGEMENT_TIMEOUT_S
        while not stop.is_set() and time.monotonic() < deadline_s:
            if self._image.wait_for_all_acked(Duration(seconds=_POLL_S)):
                return

    def close(self) -> None:
        """Gives back the source and leaves the graph."""
        self._source.close()
        self.destroy_node()

    def _frames(self) -> AbstractContextManager[Iterable[Frame]]:
        """The source's frames; in lock step none is decoded while the tracker works on the one before."""
        return ReadAhead(self._source) if self._config.rate > 0 else nullcontext(self._source)

    def _publisher(self, kind: Any, topic: str) -> Any:
        return self.create_publisher(kind, topic, qos.replayed(), qos_overriding_options=qos.overridable())

    def _publish(self, frame: Frame) -> Played:
        """Publishes everything about a frame, the image last: who has it has the rest."""
        config = self._config
        stamp_ns = self.get_clock().now().nanoseconds if config.restamp else frame.stamp_ns
        frame_id, camera, pose = config.frame_id, self._source.camera, frame.pose_world_from_camera
        if self._clock_topic is not None:
            self._clock_topic.publish(Clock(clock=time_from_ns(stamp_ns)))
        if camera is not None:
            self._camera_info.publish(info_from_camera(camera, stamp_ns, frame_id))
        if pose is not None:
            self._ground_truth.publish(pose_message(pose, stamp_ns, config.world_frame_id))
        if frame.depth_m is not None:
            self._depth.publish(depth_message(frame.depth_m, stamp_ns, frame_id))
        if self._compressed is not None:
            self._compressed.publish(compressed_image_message(frame.image, stamp_ns, frame_id))
        message = image_message(frame.image, stamp_ns, frame_id)
        self._features_stamp_ns = None  # a loop plays the same stamps again
        published_at_s = time.monotonic()
        self._image.publish(message)
        return Played(frame, stamp_ns, published_at_s)

    def _wait_for_company(self, stop: threading.Event) -> None:
        config = self._config
        wanted = config.wait_for_subscribers
        self._wait(lambda: self._num_subscribers() >= wanted, f"{wanted} subscriber(s) of the images", stop)
        if config.wait_for:
            reliable = "a reliable subscriber of the images (the tracker is one with process_every_frame:=true)"
            self._wait(self._has_reliable_subscriber, reliable, stop)
            self._wait(lambda: self.count_publishers(config.wait_for) > 0, f"a publisher of {config.wait_for}", stop)
            if config.wait_for_reader:
                reader = self._full_name(config.wait_for_reader)
                self._wait(lambda: reader in self._readers(), f"{reader} to read {config.wait_for}", stop)
        if wanted or config.wait_for:
            # That we know the others does not mean that they know us yet, and DDS does not tell.
            stop.wait(_SETTLE_S)

    def _has_reliable_subscriber(self) -> bool:
        """In lock step an image that is lost on its way would be waited for in vain."""
        infos = self.get_subscriptions_info_by_topic(self._image.topic_name)
        matched = self._image.get_subscription_count() > 0
        return matched and any(info.qos_profile.reliability == ReliabilityPolicy.RELIABLE for info in infos)

    def _full_name(self, node: str) -> str:
        return node if node.startswith("/") else f"{self.get_namespace().rstrip('/')}/{node}"

    def _readers(self) -> set[str]:
        """Who subscribes to the features that are waited for, besides this node."""
        return {user_name(info) for info in self.get_subscriptions_info_by_topic(self._config.wait_for)}

    def _num_subscribers(self) -> int:
        compressed = 0 if self._compressed is None else self._compressed.get_subscription_count()
        return int(self._image.get_subscription_count()) + int(compressed)

    def _wait(self, condition: Callable[[], bool], what: str, stop: threading.Event) -> None:
        started_at_s, is_told = time.monotonic(), False
        while not condition() and not stop.wait(_POLL_S):
            waited_s = time.monotonic() - started_at_s
            if waited_s > _PATIENCE_S and not is_told:
                is_told = True
                self.get_logger().info(f"waiting for {what}, {self._config.timeout:g} s at most")
            if waited_s > self._config.timeout:
                raise PlaybackError(
                    f"waited {self._config.timeout:g} s in vain for {what}; "
                    "does the other node run, and do the topics' names agree?"
                )

    def _wait_for_features(self, stamp_ns: int, stop: threading.Event) -> None:
        """Lock step: the features of a frame come before the next frame goes out."""
        if not self._config.wait_for:
            return
        deadline_s = time.monotonic() + self._config.timeout
        with self._features_came:
            while self._features_stamp_ns != stamp_ns and not stop.is_set():
                if time.monotonic() > deadline_s:
                    raise PlaybackError(
                        f"no features with stamp {stamp_ns} ns on {self._config.wait_for} within "
                        f"{self._config.timeout:g} s; the tracker's log says what became of the image"
                    )
                self._features_came.wait(_POLL_S)  # briefly: a signal sets `stop`, but wakes nobody here

    def _on_features(self, message: Features) -> None:
        with self._features_came:
            self._features_stamp_ns = ns_from_time(message.header.stamp)
            self._features_came.notify_all()


def _open(config: PlayerConfig) -> FrameSource:
    return open_source(
        config.input,
        start_s=config.start,
        duration_s=config.duration or None,
        camera=camera_named(config.calibration) if config.calibration else None,
        image_topic=config.image_topic or None,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Plays a source to its end or until a signal and returns the exit code."""
    return run(_main, arguments, Usage("player", SUMMARY, PLAYER_GROUPS))


def _main(stop: threading.Event) -> int:
    node = PlayerNode()
    log, count = node.get_logger(), 0
    spin = SpinThread([node], stop)
    with exit_in_time(stop, lambda: int(spin.has_failed), node.destroy_node):
        try:
            with spin:
                for count, _ in enumerate(node.play(stop), 1):
                    log.info(f"played {count}{node.of_how_many}", throttle_duration_sec=_REPORT_PERIOD_S)
                stop.set()  # leaving the graph has its time limit, too: it was seen to hang over TCP
        finally:
            log.info(f"played {count} frames")
            node.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
