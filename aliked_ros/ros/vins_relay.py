# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The node vins_relay: the tracker's tracks as VINS-Fusion's feature topic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from geometry_msgs.msg import Point32
from sensor_msgs.msg import ChannelFloat32, PointCloud
from std_msgs.msg import Bool

from aliked_msgs.msg import Tracks
from aliked_ros.errors import AlikedError
from aliked_ros.io.messages.message_fields import TracksMessage
from aliked_ros.io.messages.vins_fields import FeatureIds, oldest, vins_arrays, vins_message
from aliked_ros.ros import qos
from aliked_ros.ros.bridge_config import VINS_RELAY_GROUPS, VinsRelayConfig
from aliked_ros.ros.conversions import tracks_from_message
from aliked_ros.ros.parameters import NodeParameters
from aliked_ros.ros.process import one_line, run_callbacks
from aliked_ros.ros.rate import RateLimiter
from aliked_ros.ros.throttle import ThrottledLog
from aliked_ros.ros.usage import Usage
from aliked_ros.ros.watched_node import WatchedNode

SUMMARY = (
    "Passes a tracker's tracks on to VINS-Fusion: takes tracker/tracks, publishes feature_tracker/feature and "
    "vins_restart."
)
_QUEUE_SIZE = 100  # VINS wants every image's tracks, and this node is late only when the machine is


class VinsRelayNode(WatchedNode):
    """Takes ``tracker/tracks`` and publishes ``feature_tracker/feature``; io/messages/vins_fields.py has the layout.

    Args:
        options: of rclpy's Node, such as ``parameter_overrides``.

    Raises:
        ConfigError: a parameter is unknown or out of range.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("vins_relay", **options)
        self._settings = NodeParameters(self, VINS_RELAY_GROUPS)
        self._ids = FeatureIds()
        self._seen_ns: int | None = None
        self._rate = RateLimiter()
        self._log_refusal = ThrottledLog(self.get_logger().error)
        self._features, self._restart = (
            self.create_publisher(kind, topic, qos.results(), qos_overriding_options=qos.overridable())
            for kind, topic in ((PointCloud, "feature_tracker/feature"), (Bool, "vins_restart"))
        )
        queue = qos.every_image(_QUEUE_SIZE)
        self.create_subscription(
            Tracks, "tracker/tracks", self._on_tracks, queue, qos_overriding_options=qos.overridable()
        )
        self.watch_topics()

    def _on_tracks(self, message: Tracks) -> None:
        try:
            self._relay(tracks_from_message(message), message.header)
        except AlikedError as error:
            self._log_refusal(f"tracks not passed on: {one_line(error)}")

    def _relay(self, message: TracksMessage, header: Any) -> None:
        config = self._settings.get(VinsRelayConfig)
        tracks, meta = message.tracks, message.meta
        # Of every message, also of those that are not sent: a number must belong to one track.
        ids = self._ids.of(tracks, meta.epoch, meta.frame_seq)
        self._notice_time(meta.stamp_ns, config)
        if not self._rate.admits(meta.stamp_ns / 1e9, config.max_rate):
            return
        arrays = vins_arrays(tracks, ids, oldest(tracks, config.max_features))
        cloud = vins_message(PointCloud(header=header), Point32, ChannelFloat32, *arrays)
        self._features.publish(cloud)

    def _notice_time(self, stamp_ns: int, config: VinsRelayConfig) -> None:
        before_ns, self._seen_ns = self._seen_ns, stamp_ns
        if before_ns is None or stamp_ns >= before_ns:
            return
        self._rate = RateLimiter()  # of the time before
        jump_s = (before_ns - stamp_ns) / 1e9
        if config.restart:
            self._restart.publish(Bool(data=True))
        said = "VINS is told to start anew" if config.restart else "VINS is not told (restart:=false)"
        self.get_logger().warning(f"time jumped back by {jump_s:.3f} s; {said}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Relays until a signal ends it and returns the exit code."""
    return run_callbacks(VinsRelayNode, arguments, usage=Usage("vins_relay", SUMMARY, VINS_RELAY_GROUPS))


if __name__ == "__main__":
    raise SystemExit(main())
