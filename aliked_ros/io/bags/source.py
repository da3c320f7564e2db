# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Bags as a source of frames: an image topic, joined with the calibration, depth and ground truth beside it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from aliked_ros.camera import Camera
from aliked_ros.errors import AlikedError, CalibrationError, SourceError
from aliked_ros.io.bags.join import Joined, TimeJoin
from aliked_ros.io.bags.reader import BagReader
from aliked_ros.io.bags.salvage import RawMessage
from aliked_ros.io.bags.streams import Streams, choose_streams, first_message
from aliked_ros.io.frames import Frame, FrameSource, Pose
from aliked_ros.io.messages.compressed import decode_compressed
from aliked_ros.io.messages.encodings import DepthArray, ImageArray, decode_depth, decode_image
from aliked_ros.io.messages.sensor_fields import (
    COMPRESSED_IMAGE_TYPE,
    camera_from_info,
    pose_from_message,
)
from aliked_ros.io.messages.stamps import NS_PER_S
from aliked_ros.io.sources.window import TimeWindow, seconds_text

# Messages may be recorded in another order than they were stamped in, but hardly by more than this.
_RECORDING_DELAY_NS = NS_PER_S

_logger = logging.getLogger(__name__)


class BagSource(FrameSource):
    """The images of one topic of a bag as frames.

    Reads rosbag 2 folders, ``.mcap`` and ``.db3`` files and ROS 1 bags. Depth and ground truth are joined to the
    image nearest in time within 0.02 s, by the stamps in their headers. An image without a stamp has the time it
    was recorded at. Of a bag that is cut off, all whole frames are delivered before the SourceError.

    Args:
        path: the bag.
        start_s: seconds after the first image from which frames are delivered.
        duration_s: seconds that are delivered; ``None`` goes to the end.
        camera: a calibration that replaces the bag's own.
        image_topic: the Image or CompressedImage topic; the only one with pictures unless given.
        depth_topic: an Image topic of 16UC1 or 32FC1; the only one unless given.
        pose_topic: a PoseStamped topic; the only one with ``ground_truth`` in its name unless given.

    Raises:
        SourceError: no such bag, nothing readable in it, or no clear choice of a topic; it lists the topics.
        ConfigError: a time is negative.
    """

    def __init__(
        self,
        path: Path,
        *,
        start_s: float = 0.0,
        duration_s: float | None = None,
        camera: Camera | None = None,
        image_topic: str | None = None,
        depth_topic: str | None = None,
        pose_topic: str | None = None,
    ) -> None:
        self.name = str(path)
        self._window = TimeWindow(start_s, duration_s)
        self._reader = BagReader(path)
        try:
            self._streams = choose_streams(
                self._reader, image_topic=image_topic, depth_topic=depth_topic, pose_topic=pose_topic
            )
            self._first_ns = self._stamp(first_message(self._reader, self._streams.image))
            length_ns = self._reader.end_ns - self._reader.start_ns
            if self._window.start_ns > length_ns:
                raise self._window.nothing_in(self.name, length_ns)
            self.camera = camera or self._read_camera()
        except BaseException:
            self._reader.close()
            raise
        is_whole = self._window == TimeWindow()
        self.num_frames = self._streams.num_images if is_whole else None

    @property
    def streams(self) -> Streams:
        """The topics that are read."""
        return self._streams

    def __iter__(self) -> Iterator[Frame]:
        delivered = 0
        try:
            for joined in self._joined():
                elapsed_ns = self._stamp(joined.image) - self._first_ns
                if self._window.ended(elapsed_ns):
                    break
                if self._window.begun(elapsed_ns):
                    yield self._frame(joined)
                    delivered += 1
        except SourceError as error:
            raise SourceError(f"{error} (frames delivered: {delivered})") from error
        if not delivered:
            raise self._window.nothing_in(self.name, self._reader.end_ns - self._reader.start_ns)

    def close(self) -> None:
        """Gives the bag back; safe to repeat."""
        self._reader.close()

    def _joined(self) -> Iterator[Joined]:
        """Images with what belongs to them; at a cut the images before it, then the SourceError."""
        start_ns = None
        if self._window.start_ns:
            start_ns = self._reader.start_ns + max(0, self._window.start_ns - _RECORDING_DELAY_NS)
        streams = self._streams
        join = TimeJoin(with_depth=streams.depth is not None, with_pose=streams.pose is not None)
        cut: SourceError | None = None
        messages = self._reader.messages(streams.joined_topics, start_ns)
        while True:
            try:
                message = next(messages, None)
            except SourceError as error:
                cut, message = error, None
            if message is None:
                break
            yield from self._add(join, message)
        yield from join.finish()
        if cut is not None:
            raise cut

    def _add(self, join: TimeJoin, message: RawMessage) -> Iterator[Joined]:
        stamp_ns = self._stamp(message)
        if message.topic == self._streams.image:
            join.add_image(stamp_ns, message)
        elif message.topic == self._streams.depth:
            join.add_depth(stamp_ns, message)
        else:
            join.add_pose(stamp_ns, message)
        yield from join.ready(message.log_time_ns)

    def _stamp(self, message: RawMessage) -> int:
        """The header's stamp, which is the first field of every message read here; the log's where it is zero."""
        return self._reader.header_stamp_ns(message) or message.log_time_ns

    def _frame(self, joined: Joined) -> Frame:
        message = joined.image
        try:
            image = self._image(message)
            depth_m = None if joined.depth is None else self._depth(joined.depth, image)
            pose = None if joined.pose is None else self._pose(joined.pose)
            return Frame(self._stamp(message), image, depth_m, pose)
        except SourceError:
            raise
        except AlikedError as error:
            seconds = seconds_text(message.log_time_ns)
            raise SourceError(f"{self.name}: {message.topic}, recorded at {seconds} s: {error}") from error

    def _image(self, message: RawMessage) -> ImageArray:
        decoded = self._reader.decode(message)
        if message.message_type == COMPRESSED_IMAGE_TYPE:
            return decode_compressed(decoded.data)
        return decode_image(decoded.encoding, decoded.height, decoded.width, decoded.step, decoded.data)

    def _depth(self, message: RawMessage, image: ImageArray) -> DepthArray | None:
        d = self._reader.decode(message)
        if (d.height, d.width) != image.shape[:2]:
            height, width = image.shape[:2]
            _logger.warning(
                "%s: depth of %d×%d pixels is not aligned with images of %d×%d and is left out",
                *(message.topic, d.width, d.height, width, height),
            )
            return None
        return decode_depth(d.encoding, d.height, d.width, d.step, bool(d.is_bigendian), d.data)

    def _pose(self, message: RawMessage) -> Pose:
        return pose_from_message(self._reader.decode(message))

    def _read_camera(self) -> Camera | None:
        """The first calibration; None where there is none, or none that can be used."""
        topic = self._streams.camera_info
        if topic is None:
            return None
        info = self._reader.decode(first_message(self._reader, topic))
        try:
            return camera_from_info(info)
        except CalibrationError as error:
            _logger.warning("%s: %s is not used: %s", self.name, topic, error)
            return None
