# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Matches between images that several cameras took at the same moment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rclpy.node import Node
from std_msgs.msg import Header

from aliked_msgs.msg import Matches
from aliked_ros.ros import qos
from aliked_ros.ros.conversions import matches_to_message
from aliked_ros.ros.publishing import ResultPublisher, is_wanted

if TYPE_CHECKING:
    from aliked_ros.frontend.frontend import FrameResult

Found = tuple[ResultPublisher, "FrameResult", Header]  # a camera's topics, what was found, the image's header


class StereoMatcher:
    """The topic ~/matches of a node with several cameras: the first camera's features matched to each other one's.

    Args:
        node: publishes.
        min_similarity: lowest descriptor cosine of a match; may be set between two calls.
    """

    def __init__(self, node: Node, min_similarity: float) -> None:
        self.min_similarity = min_similarity
        self._node = node
        self._publisher = node.create_publisher(
            Matches, "~/matches", qos.results(), qos_overriding_options=qos.overridable()
        )

    def publish(self, found: Sequence[Found]) -> None:
        """Matches simultaneous images, by camera, while someone subscribes; does nothing with fewer than two."""
        if len(found) < 2 or not is_wanted(self._publisher):
            return
        from aliked_ros.frontend.matching import mutual_nearest_neighbours  # after torch, which takes seconds

        topics, result, header = found[0]
        for other_topics, other, _ in found[1:]:
            matches = mutual_nearest_neighbours(result.features, other.features, self.min_similarity)
            self._publisher.publish(
                matches_to_message(
                    matches,
                    topics.meta(result, header),
                    frame_seq_ref=other.frame_seq,
                    stamp_ref_ns=other.stamp_ns,
                    source_id_ref=other_topics.source_id,
                    header=header,
                )
            )

    def close(self) -> None:
        """Ends the topic."""
        self._node.destroy_publisher(self._publisher)
