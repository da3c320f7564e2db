# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Records features, matches and tracks into one .mcap file that explains itself.

The file carries the definition of every message type it holds, so that Foxglove, PlotJuggler, mcap's own tools
and ``ros2 bag`` read it without aliked_msgs being installed. Messages go in as the CDR bytes that a raw
subscription delivers, or as field values, which are serialised without ROS.
"""

from __future__ import annotations

import io
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from mcap.exceptions import McapError
from mcap.well_known import MessageEncoding, Profile, SchemaEncoding
from mcap.writer import CompressionType, Writer

from aliked_ros.errors import MessageError, SourceError
from aliked_ros.io.messages.fields import Fields
from aliked_ros.io.messages.ros_types import schema_text, serialize, type_hash

_LIBRARY = "aliked_ros"
_CHUNK_BYTES = 1 << 20  # what is lost at most when the recording process is killed
_CDR_HEADER_BYTES = 4
# Offered QoS as rosbag 2 writes it up to metadata version 8, read by all releases: keep last 10, reliable, volatile.
_OFFERED_QOS = """\
- history: 1
  depth: 10
  reliability: 1
  durability: 2
  deadline: {sec: 0, nsec: 0}
  lifespan: {sec: 0, nsec: 0}
  liveliness: 1
  liveliness_lease_duration: {sec: 0, nsec: 0}
  avoid_ros_namespace_conventions: false"""


class FeatureRecorder:
    """A new .mcap file that messages are appended to.

    Complete chunks reach the file as they fill: of a recording that is interrupted all but the last chunk can be
    read by ``mcap recover`` and by :class:`~aliked_ros.io.bags.source.BagSource`'s reader. :meth:`close` writes the
    index. Not for several threads at once.

    Args:
        path: the file to make; one that exists is replaced.
        chunk_bytes: size of a chunk before compression.

    Raises:
        SourceError: the file cannot be written.
    """

    def __init__(self, path: Path, *, chunk_bytes: int = _CHUNK_BYTES) -> None:
        self._path = path
        self._channels: dict[tuple[str, str], int] = {}
        self._schemas: dict[str, int] = {}
        self._counts: dict[int, int] = {}
        self._written = 0
        try:
            self._stream: io.BufferedWriter | None = path.open("wb")
            self._writer = Writer(self._stream, chunk_size=chunk_bytes, compression=CompressionType.ZSTD)
            self._writer.start(profile=Profile.ROS2, library=_LIBRARY)
            self._push_out(self._stream)
        except OSError as error:
            raise SourceError(f"{path}: cannot be written ({error.strerror}); choose another file") from error

    def write_cdr(
        self,
        topic: str,
        message_type: str,
        data: bytes | memoryview,
        log_time_ns: int,
        publish_time_ns: int | None = None,
    ) -> None:
        """Appends a serialised message as it is, such as a raw subscription delivers it.

        Args:
            topic: its topic.
            message_type: such as ``aliked_msgs/msg/Features``.
            data: CDR bytes with their encapsulation header.
            log_time_ns: when it was received, nanoseconds.
            publish_time_ns: when it was published; when it was received unless given.

        Raises:
            MessageError: unknown type, no CDR data, or a negative time.
            SourceError: the file is closed or cannot be written.
        """
        published_ns = log_time_ns if publish_time_ns is None else publish_time_ns
        if len(data) < _CDR_HEADER_BYTES or data[0] != 0 or data[1] not in (0, 1):
            raise MessageError(f"{topic}: {len(data)} bytes starting with {bytes(data[:4])!r} are no CDR message")
        if min(log_time_ns, published_ns) < 0:
            raise MessageError(f"{topic}: times in a recording cannot be negative, got {log_time_ns} ns")
        stream = self._open_stream()
        channel = self._channel(topic, message_type)
        try:
            self._writer.add_message(channel, log_time_ns, bytes(data), published_ns, sequence=self._counts[channel])
            self._push_out(stream)
        except (OSError, McapError) as error:
            raise SourceError(f"{self._path}: cannot be written ({error})") from error
        self._counts[channel] += 1

    def write_fields(self, topic: str, message_type: str, fields: Fields, log_time_ns: int) -> None:
        """Appends a message given by its fields, see io/messages/message_fields.py; raises as :meth:`write_cdr`."""
        self.write_cdr(topic, message_type, serialize(fields, message_type), log_time_ns)

    @property
    def whole_bytes(self) -> int:
        """Size of what has reached the file: complete chunks, which survive whatever happens to this process."""
        return self._written

    @property
    def counts(self) -> dict[str, int]:
        """Messages written, by topic."""
        totals: dict[str, int] = {}
        for (topic, _), channel in self._channels.items():
            totals[topic] = totals.get(topic, 0) + self._counts[channel]
        return totals

    def abandon(self) -> None:
        """Ends a recording that can't be written any more: complete chunks stay, without an index; safe to repeat."""
        stream, self._stream = self._stream, None
        if stream is None:
            return
        with suppress(OSError, ValueError):  # what can't be cut is read up to where it is damaged
            os.truncate(self._path, self._written)
        with suppress(OSError):
            stream.raw.close()  # not the buffer, whose rest would be written where there is room again

    def close(self) -> None:
        """Writes the last chunk and the index, or raises SourceError and leaves what was whole; safe to repeat."""
        stream = self._stream
        if stream is None:
            return
        try:
            self._writer.finish()  # type: ignore[no-untyped-call]
            stream.close()
        except (OSError, McapError) as error:
            self.abandon()
            raise SourceError(f"{self._path}: the recording cannot be completed ({error})") from error
        self._stream = None

    def __enter__(self) -> FeatureRecorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _open_stream(self) -> io.BufferedWriter:
        if self._stream is None:
            raise SourceError(f"{self._path}: the recording was closed; start another")
        return self._stream

    def _channel(self, topic: str, message_type: str) -> int:
        key = (topic, message_type)
        if key not in self._channels:
            if message_type not in self._schemas:
                text = schema_text(message_type).encode()
                self._schemas[message_type] = self._writer.register_schema(message_type, SchemaEncoding.ROS2, text)
            self._channels[key] = self._writer.register_channel(
                topic,
                MessageEncoding.CDR,
                self._schemas[message_type],
                {"offered_qos_profiles": _OFFERED_QOS, "topic_type_hash": type_hash(message_type)},
            )
            self._counts[self._channels[key]] = 0
        return self._channels[key]

    def _push_out(self, stream: io.BufferedWriter) -> None:
        """Leaves a complete chunk with the operating system, where the end of this process cannot hurt it."""
        position = stream.tell()
        if position != self._written:
            stream.flush()
            self._written = position
