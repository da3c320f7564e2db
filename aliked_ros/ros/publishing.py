# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Publishes what the front-end found in an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy
from std_msgs.msg import Header

from aliked_msgs.msg import Features, Matches, Tracks
from aliked_ros.io.messages.descriptors import DescriptorDtype
from aliked_ros.io.messages.message_fields import Coords, FrameMeta
from aliked_ros.ros import qos
from aliked_ros.ros.conversions import features_to_message, matches_to_message, tracks_to_message

if TYPE_CHECKING:
    from aliked_ros.engine.base import EngineInfo
    from aliked_ros.frontend.frontend import FrameResult


class ResultPublisher:
    """The topics ~/features, ~/matches and ~/tracks of one camera. A message nobody subscribes to is not made.

    Args:
        node: publishes.
        source_id: name of the camera in the messages.
        info: what made the features.
        prefix: of the topics, such as ``~/left``.
        coords: what the pixels are coordinates of.
    """

    def __init__(
        self, node: Node, source_id: str, info: EngineInfo, prefix: str = "~", coords: Coords = Coords.RAW
    ) -> None:
        self._node = node
        self._source_id = source_id
        self._info = info
        self._coords = coords
        self._features, self._matches, self._tracks = (
            node.create_publisher(kind, f"{prefix}/{topic}", qos.results(), qos_overriding_options=qos.overridable())
            for kind, topic in ((Features, "features"), (Matches, "matches"), (Tracks, "tracks"))
        )

    @property
    def source_id(self) -> str:
        """Name of the camera in the messages."""
        return self._source_id

    @property
    def topics(self) -> dict[str, str]:
        """The full names of features, matches and tracks."""
        publishers = {"features": self._features, "matches": self._matches, "tracks": self._tracks}
        return {name: publisher.topic_name for name, publisher in publishers.items()}

    def close(self) -> None:
        """Ends the topics."""
        for publisher in (self._features, self._matches, self._tracks):
            self._node.destroy_publisher(publisher)

    def publish(self, result: FrameResult, header: Header, descriptor_dtype: DescriptorDtype) -> None:
        """Publishes the features, then the matches where there is a previous image, then the tracks.

        Args:
            result: what was found.
            header: the image's, passed on verbatim.
            descriptor_dtype: how the descriptors are sent.

        Raises:
            MessageError: the header's stamp does not fit into a message.
        """
        meta = self.meta(result, header)
        if is_wanted(self._features):
            ids = result.tracks.ids_of_features(len(result.features))
            self._features.publish(
                features_to_message(
                    result.features,
                    meta,
                    header=header,
                    track_ids=ids,
                    depth_m=result.depth_m,
                    descriptor_dtype=descriptor_dtype,
                )
            )
        self._publish_matches(result, meta, header)
        if is_wanted(self._tracks):
            width, height = result.features.image_width, result.features.image_height
            self._tracks.publish(
                tracks_to_message(result.tracks, meta, image_width=width, image_height=height, header=header)
            )

    def _publish_matches(self, result: FrameResult, meta: FrameMeta, header: Header) -> None:
        seq_ref, stamp_ref_ns = result.frame_seq_ref, result.stamp_ref_ns
        if result.matches is None or seq_ref is None or stamp_ref_ns is None or not is_wanted(self._matches):
            return
        self._matches.publish(
            matches_to_message(result.matches, meta, frame_seq_ref=seq_ref, stamp_ref_ns=stamp_ref_ns, header=header)
        )

    def meta(self, result: FrameResult, header: Header) -> FrameMeta:
        """What every message about this image says of it."""
        return FrameMeta(
            stamp_ns=result.stamp_ns,
            frame_id=header.frame_id,
            frame_seq=result.frame_seq,
            epoch=result.epoch,
            source_id=self._source_id,
            model=self._info.model,
            weights_sha256=self._info.weights_sha256,
            coords=self._coords,
        )


def is_wanted(publisher: Any) -> bool:
    """Whether someone subscribes, or may do so later and is to get what was sent before."""
    is_kept = publisher.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL  # by qos_overrides
    return bool(is_kept or publisher.get_subscription_count() > 0)
