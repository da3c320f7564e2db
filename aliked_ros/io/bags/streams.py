# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Which topics of a bag belong to one camera."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from aliked_ros.errors import SourceError
from aliked_ros.io.bags.reader import BagReader, BagTopic
from aliked_ros.io.bags.salvage import RawMessage
from aliked_ros.io.bags.topics import COMPRESSED_SUFFIX
from aliked_ros.io.messages.encodings import is_deep, is_depth
from aliked_ros.io.messages.sensor_fields import CAMERA_INFO_TYPE, COMPRESSED_IMAGE_TYPE, IMAGE_TYPE, POSE_TYPE

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Streams:
    """The topics of one camera."""

    image: str
    num_images: int
    camera_info: str | None = None
    depth: str | None = None
    pose: str | None = None

    @property
    def joined_topics(self) -> tuple[str, ...]:
        """Those whose messages are joined frame by frame."""
        return tuple(topic for topic in (self.image, self.depth, self.pose) if topic is not None)


def choose_streams(
    reader: BagReader, *, image_topic: str | None, depth_topic: str | None, pose_topic: str | None
) -> Streams:
    """The topics that were asked for, and those that are the only ones of their kind.

    Raises:
        SourceError: a topic that was asked for is not there or of another type, or there is no single image
            topic; the message lists the bag's topics.
    """
    topics = [topic for topic in reader.topics if topic.count]
    image = _image_topic(reader, topics, image_topic)
    base = image.name.removesuffix(COMPRESSED_SUFFIX)
    info = base.rpartition("/")[0] + "/camera_info"
    has_info = any((topic.name, topic.message_type) == (info, CAMERA_INFO_TYPE) for topic in topics)
    return Streams(
        image.name,
        image.count,
        info if has_info else None,
        _depth_topic(reader, topics, depth_topic),
        _pose_topic(reader, topics, pose_topic),
    )


def first_message(reader: BagReader, topic: str) -> RawMessage:
    """The first message of a topic; SourceError when none is whole."""
    for message in reader.messages([topic]):
        return message
    raise SourceError(f"{reader.path}: topic {topic} has no message")


def list_topics(topics: Sequence[BagTopic]) -> str:
    """The topics in words, for errors."""
    if not topics:
        return "it holds no messages at all"
    return "it has " + ", ".join(f"{topic.name} ({topic.message_type}, {topic.count})" for topic in topics)


def _image_topic(reader: BagReader, topics: Sequence[BagTopic], wanted: str | None) -> BagTopic:
    if wanted is not None:
        return _named(reader, topics, wanted, (IMAGE_TYPE, COMPRESSED_IMAGE_TYPE))
    pictures = [topic for topic in topics if _has_pictures(reader, topic)]
    names = {topic.name for topic in pictures}
    # A compressed copy of a raw topic holds the same pictures, less exactly.
    distinct = [
        topic
        for topic in pictures
        if topic.message_type == IMAGE_TYPE or topic.name.removesuffix(COMPRESSED_SUFFIX) not in names - {topic.name}
    ]
    if len(distinct) == 1:
        return distinct[0]
    found = "no topic with colour or grey images" if not distinct else "several topics with images"
    remedy = "" if not distinct else "; choose one with image_topic"
    raise SourceError(f"{reader.path}: {found}; {list_topics(topics)}{remedy}")


def _has_pictures(reader: BagReader, topic: BagTopic) -> bool:
    if topic.message_type == COMPRESSED_IMAGE_TYPE:
        return "compressedDepth" not in reader.decode(first_message(reader, topic.name)).format
    if topic.message_type != IMAGE_TYPE:
        return False
    return not is_deep(reader.decode(first_message(reader, topic.name)).encoding)


def _depth_topic(reader: BagReader, topics: Sequence[BagTopic], wanted: str | None) -> str | None:
    if wanted is not None:
        return _named(reader, topics, wanted, (IMAGE_TYPE,)).name
    images = [topic.name for topic in topics if topic.message_type == IMAGE_TYPE]
    found = [name for name in images if is_depth(reader.decode(first_message(reader, name)).encoding)]
    return _only(reader, found, "depth")


def _pose_topic(reader: BagReader, topics: Sequence[BagTopic], wanted: str | None) -> str | None:
    if wanted is not None:
        return _named(reader, topics, wanted, (POSE_TYPE,)).name
    poses = [topic.name for topic in topics if topic.message_type == POSE_TYPE]
    return _only(reader, [name for name in poses if "groundtruth" in name.replace("_", "").lower()], "ground truth")


def _only(reader: BagReader, names: Sequence[str], kind: str) -> str | None:
    if len(names) > 1:
        _logger.warning("%s: several %s topics, none is used: %s", reader.path, kind, ", ".join(names))
    return names[0] if len(names) == 1 else None


def _named(reader: BagReader, topics: Sequence[BagTopic], name: str, types: tuple[str, ...]) -> BagTopic:
    for topic in topics:
        if topic.name == name and topic.message_type in types:
            return topic
    raise SourceError(f"{reader.path}: no messages of {' or '.join(types)} on {name}; {list_topics(topics)}")
