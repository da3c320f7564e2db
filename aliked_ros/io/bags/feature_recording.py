# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Reads back the features and matches that were recorded, such as ``out/features.mcap``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from rosbags.serde import SerdeError

from aliked_ros.errors import MessageError, SourceError
from aliked_ros.io.bags.reader import BagReader
from aliked_ros.io.bags.salvage import RawMessage
from aliked_ros.io.messages.message_fields import (
    FeaturesMessage,
    MatchesMessage,
    features_from_fields,
    matches_from_fields,
)
from aliked_ros.io.messages.ros_types import FEATURES_TYPE, MATCHES_TYPE, deserialize, typestore
from aliked_ros.io.sources.window import seconds_text

_FEATURES, _MATCHES = "features", "matches"  # the last parts of the tracker's topics


class FeatureRecording:
    """The features of one camera in a bag, and the matches of consecutive images beside them.

    Args:
        path: an ``.mcap`` file or another bag.
        topic: of the features; the bag's only one unless given. Matches are looked for on the topic beside it.

    Raises:
        SourceError: no such bag, no features in it, or several topics and none chosen.
    """

    def __init__(self, path: Path, topic: str | None = None) -> None:
        self._reader = BagReader(path)
        try:
            self.topic = _choose(self._reader, topic)
        except BaseException:
            self._reader.close()
            raise
        self.num_images = next(t.count for t in self._reader.topics if t.name == self.topic)
        beside = self.topic.removesuffix(_FEATURES) + _MATCHES
        known = {t.name for t in self._reader.topics if t.message_type == MATCHES_TYPE}
        self._matches_topic = beside if beside in known else None

    def features(self) -> Iterator[FeaturesMessage]:
        """The features of image after image.

        Raises:
            SourceError: a message is damaged, or the bag is cut off, after the messages before that.
        """
        for message in self._reader.messages([self.topic]):
            yield self._decoded(message, features_from_fields)

    def matches(self) -> Iterator[MatchesMessage]:
        """The matches to the previous image, as recorded; nothing where none were recorded. Raises as above."""
        if self._matches_topic is not None:
            for message in self._reader.messages([self._matches_topic]):
                yield self._decoded(message, matches_from_fields)

    def close(self) -> None:
        """Gives the bag back; safe to repeat."""
        self._reader.close()

    def __enter__(self) -> FeatureRecording:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _decoded(self, message: RawMessage, from_fields: Any) -> Any:
        try:
            return from_fields(deserialize(message.data, message.message_type, typestore()))
        except (SerdeError, MessageError, UnicodeDecodeError, IndexError) as error:
            raise SourceError(
                f"{self._reader.path}: the message of {message.topic} at {seconds_text(message.log_time_ns)} s "
                f"is damaged or of another release of aliked_msgs: {error}"
            ) from error


def holds_features(path: Path) -> bool:
    """Whether a bag holds recorded features; SourceError where it cannot be read."""
    with BagReader(path) as reader:
        return any(topic.message_type == FEATURES_TYPE for topic in reader.topics)


def _choose(reader: BagReader, topic: str | None) -> str:
    found = [t.name for t in reader.topics if t.message_type == FEATURES_TYPE]
    if topic is not None and topic not in found:
        raise SourceError(f"{reader.path}: no features on {topic}; topics with features: {', '.join(found) or 'none'}")
    if topic is None and len(found) != 1:
        hint = "choose one with --features_topic" if found else "record them with `aliked-ros bag features`"
        raise SourceError(f"{reader.path}: topics with features: {', '.join(found) or 'none'}; {hint}")
    return topic or found[0]
