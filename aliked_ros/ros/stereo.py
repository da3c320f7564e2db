# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Matches between images that several cameras took at the same moment."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rclpy.node import Node
from std_msgs.msg import Header

from aliked_msgs.msg import Matches
from aliked_ros.ros import qos
from aliked_ros.ros.conversions import matches_to_message
from aliked_ros.ros.frame_log import FrameLog
from aliked_ros.ros.log_files import StereoEntry
from aliked_ros.ros.publishing import ResultPublisher, is_wanted

if TYPE_CHECKING:
    from aliked_ros.features import Matches as FeatureMatches
    from aliked_ros.frontend.config import TrackingConfig, VerificationConfig
    from aliked_ros.frontend.frontend import FrameResult
    from aliked_ros.frontend.matchers import Matcher

Found = tuple[ResultPublisher, "FrameResult", Header]  # a camera's topics, what was found, the image's header


class StereoMatcher:
    """The topic ~/matches of a node with several cameras: the first camera's features matched to each other one's.

    Args:
        node: publishes.
        matcher: what matches, of the front-ends' too.
        config: what a match must be; may be set between two calls, like the next.
        verification: which geometry matches must agree with.
        log: gets the matches, too.
    """

    def __init__(
        self, node: Node, matcher: Matcher, config: TrackingConfig, verification: VerificationConfig, log: FrameLog
    ) -> None:
        self.config = config
        self.verification = verification
        self._unverified: set[str] = set()  # the cameras of which that was said
        self._matcher = matcher
        self._node = node
        self._log = log
        self._publisher = node.create_publisher(
            Matches, "~/matches", qos.results(), qos_overriding_options=qos.overridable()
        )

    def publish(self, found: Sequence[Found]) -> None:
        """Matches simultaneous images, by camera, while someone wants to know; does nothing with fewer than two."""
        if len(found) < 2 or not (is_wanted(self._publisher) or self._log.wants_messages):
            return
        topics, result, header = found[0]
        for pair in found[1:]:
            other_topics, other, other_header = pair
            matches = self._match(found[0], pair)
            meta, meta_ref = topics.meta(result, header), other_topics.meta(other, other_header)
            self._publisher.publish(
                matches_to_message(
                    matches,
                    meta,
                    frame_seq_ref=meta_ref.frame_seq,
                    stamp_ref_ns=meta_ref.stamp_ns,
                    source_id_ref=meta_ref.source_id,
                    header=header,
                )
            )
            self._log.offer(
                functools.partial(StereoEntry, time.time_ns(), self._publisher.topic_name, matches, meta, meta_ref)
            )

    def _match(self, found: Found, other: Found) -> FeatureMatches:
        from aliked_ros.frontend.verification import verify  # as late as the network

        (topics, result, _), (other_topics, other_result, _) = found, other
        matches = self._matcher.match(result.features, other_result.features, self.config)
        if self.verification.geometry == "essential" and (result.camera is None or other_result.camera is None):
            self._say_unverified(topics.source_id, other_topics.source_id)
            return matches
        self._unverified.discard(other_topics.source_id)
        return verify(matches, self.verification, result.camera, other_result.camera)

    def _say_unverified(self, name: str, other: str) -> None:
        """Says so once, and again when it has changed in between."""
        if other not in self._unverified:
            self._unverified.add(other)
            self._node.get_logger().warning(
                f"matches between {name} and {other} are not verified: geometry essential needs the calibration of both"
            )

    def close(self) -> None:
        """Ends the topic."""
        self._node.destroy_publisher(self._publisher)
