# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Reads bags from front to back without their index: those whose recording or copying was cut off.

Each reader yields every message that is whole and then raises :class:`CutOffError`, or ends quietly where nothing
is missing but the index. Formats: https://mcap.dev/spec, http://wiki.ros.org/Bags/Format/2.0, and the tables of
rosbag2_storage_sqlite3.
"""

from __future__ import annotations

import bz2
import sqlite3
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import lz4.frame
import zstandard

MCAP_MAGIC = b"\x89MCAP0\r\n"
SQLITE_MAGIC = b"SQLite format 3\0"
ROS1_MAGIC = b"#ROSBAG V2.0\n"


class RawMessage(NamedTuple):
    """A message as a bag holds it."""

    topic: str
    message_type: str  # such as sensor_msgs/msg/Image, also for ROS 1
    log_time_ns: int  # when it was recorded
    data: bytes


class CutOffError(Exception):
    """A bag ends in the middle; the text says where."""


def salvage(path: Path) -> Iterator[RawMessage]:
    """Every whole message of one storage file, in the order it was written.

    Raises:
        CutOffError: after the last whole message, where the file is cut off or damaged, or is no bag at all.
        OSError: the file cannot be read.
    """
    with path.open("rb") as stream:
        magic = stream.read(max(len(MCAP_MAGIC), len(SQLITE_MAGIC), len(ROS1_MAGIC)))
        if magic.startswith(SQLITE_MAGIC):
            yield from _salvage_sqlite(path)
            return
        size = path.stat().st_size
        if magic.startswith(MCAP_MAGIC):
            stream.seek(len(MCAP_MAGIC))
            yield from _McapScan().messages(stream, size)
        elif magic.startswith(ROS1_MAGIC):
            stream.seek(len(ROS1_MAGIC))
            yield from _Ros1Scan().messages(stream, size)
        elif magic:
            raise CutOffError("it is neither mcap, sqlite3 nor a ROS 1 bag")
        else:
            raise CutOffError("it is empty")


class _McapScan:
    """Schemas and channels met so far in an mcap file."""

    _FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _DATA_END = 0x02, 0x03, 0x04, 0x05, 0x06, 0x0F

    def __init__(self) -> None:
        self._schemas: dict[int, str] = {}
        self._channels: dict[int, tuple[str, str]] = {}

    def messages(self, stream: BinaryIO, size: int) -> Iterator[RawMessage]:
        """The messages between the magic and the data section's end."""
        while True:
            start = stream.tell()
            head = stream.read(9)
            if len(head) < 9:
                raise CutOffError(f"it ends at byte {size}, before its data section does")
            opcode, length = struct.unpack("<BQ", head)
            if opcode in (self._DATA_END, self._FOOTER):
                return
            payload = stream.read(min(length, size - stream.tell()))
            try:
                yield from self._record(opcode, payload)
            except (struct.error, KeyError, UnicodeDecodeError, ValueError) as error:
                raise CutOffError(f"the record at byte {start} is damaged or cut off ({error})") from error
            if len(payload) < length:
                raise CutOffError(f"it ends at byte {size}, inside the record at byte {start}")

    def _record(self, opcode: int, payload: bytes) -> Iterator[RawMessage]:
        if opcode == self._SCHEMA:
            (schema,) = struct.unpack_from("<H", payload)
            self._schemas[schema] = _text(payload, 2)[0]
        elif opcode == self._CHANNEL:
            channel, schema = struct.unpack_from("<HH", payload)
            self._channels[channel] = (_text(payload, 4)[0], self._schemas.get(schema, ""))
        elif opcode == self._MESSAGE:
            channel, _, log_time_ns, _ = struct.unpack_from("<HIQQ", payload)
            topic, message_type = self._channels[channel]
            yield RawMessage(topic, message_type, log_time_ns, payload[22:])
        elif opcode == self._CHUNK:
            yield from self._chunk(payload)

    def _chunk(self, payload: bytes) -> Iterator[RawMessage]:
        """The whole records of a chunk, whose end may be missing."""
        _, _, size, checksum = struct.unpack_from("<QQQI", payload)
        compression, offset = _text(payload, 28)
        records = _inflate(compression, payload[offset + 8 :])
        if len(records) >= size and checksum and zlib.crc32(records) != checksum:
            raise ValueError("its checksum is wrong")
        offset = 0
        while offset + 9 <= len(records):
            opcode, length = struct.unpack_from("<BQ", records, offset)
            offset += 9
            if offset + length > len(records):
                return
            yield from self._record(opcode, records[offset : offset + length])
            offset += length


class _Ros1Scan:
    """Connections met so far in a ROS 1 bag."""

    _MESSAGE, _BAG_HEADER, _CHUNK, _CONNECTION = 0x02, 0x03, 0x05, 0x07

    def __init__(self) -> None:
        self._connections: dict[bytes, tuple[str, str]] = {}

    def messages(self, stream: BinaryIO, size: int) -> Iterator[RawMessage]:
        """The messages between the magic and the index."""
        index_start = 0
        while not (index_start and stream.tell() >= index_start):
            start = stream.tell()
            try:
                header = _ros1_fields(stream.read(_ros1_length(stream)))
                length = _ros1_length(stream)
                data = stream.read(min(length, size - stream.tell()))
                if header["op"][0] == self._BAG_HEADER:
                    (index_start,) = struct.unpack("<Q", header["index_pos"])
                elif header["op"][0] == self._CHUNK:
                    yield from self._chunk(header["compression"].decode(), data)
            except (struct.error, KeyError, IndexError, UnicodeDecodeError, ValueError) as error:
                raise CutOffError(f"it ends or is damaged at byte {start} of {size}, without an index") from error
            if len(data) < length:
                raise CutOffError(f"it ends at byte {size}, inside the record at byte {start}")

    def _chunk(self, compression: str, data: bytes) -> Iterator[RawMessage]:
        records = _inflate(compression, data)
        offset = 0
        while offset + 4 <= len(records):
            (length,) = struct.unpack_from("<I", records, offset)
            body = offset + 4 + length
            if body + 4 > len(records):
                return
            (size,) = struct.unpack_from("<I", records, body)
            offset = body + 4 + size
            if offset > len(records):
                return
            header = _ros1_fields(records[body - length : body])
            content = records[body + 4 : offset]
            if header["op"][0] == self._CONNECTION:
                package, _, name = _ros1_fields(content)["type"].decode().partition("/")
                self._connections[header["conn"]] = (header["topic"].decode(), f"{package}/msg/{name}")
            elif header["op"][0] == self._MESSAGE:
                topic, message_type = self._connections[header["conn"]]
                sec, nanosec = struct.unpack("<II", header["time"])
                yield RawMessage(topic, message_type, sec * 1_000_000_000 + nanosec, content)


def _salvage_sqlite(path: Path) -> Iterator[RawMessage]:
    """Rows in the order they were written; a cut leaves the front of the table readable."""
    uri = f"{path.resolve().as_uri()}?mode=ro"
    try:
        connection = sqlite3.connect(uri, uri=True)
    except sqlite3.Error as error:
        raise CutOffError(f"sqlite cannot open it ({error})") from error
    try:
        # SQLite refuses a file shorter than its header says, except to those who repair it with this pragma.
        connection.execute("PRAGMA writable_schema = ON")
        topics = {row[0]: (row[1], row[2]) for row in connection.execute("SELECT id, name, type FROM topics")}
        rows = connection.execute("SELECT topic_id, timestamp, data FROM messages ORDER BY id")
        for topic, timestamp, data in rows:
            yield RawMessage(*topics[topic], timestamp, data)
    except (sqlite3.Error, KeyError, OverflowError) as error:
        raise CutOffError(f"the database is cut off or damaged ({error})") from error
    finally:
        connection.close()


def _inflate(compression: str, data: bytes) -> bytes:
    """What can be decompressed of data whose end may be missing; ValueError for an unknown or damaged stream."""
    try:
        if compression in ("", "none"):
            return data
        if compression == "zstd":
            return zstandard.ZstdDecompressor().decompressobj().decompress(data)
        if compression == "lz4":
            return bytes(lz4.frame.LZ4FrameDecompressor().decompress(data))
        if compression == "bz2":
            return bz2.BZ2Decompressor().decompress(data)
    except (zstandard.ZstdError, RuntimeError, OSError, EOFError) as error:
        raise ValueError(f"{compression} data are damaged") from error
    raise ValueError(f"compression {compression!r} is unknown")


def _text(payload: bytes, offset: int) -> tuple[str, int]:
    """A string of an mcap record and where it ends."""
    (length,) = struct.unpack_from("<I", payload, offset)
    end = offset + 4 + length
    if end > len(payload):
        raise ValueError("a string is longer than its record")
    return payload[offset + 4 : end].decode(), end


def _ros1_length(stream: BinaryIO) -> int:
    return int(struct.unpack("<I", stream.read(4))[0])


def _ros1_fields(header: bytes) -> dict[str, bytes]:
    """The name=value fields of a ROS 1 record header."""
    fields: dict[str, bytes] = {}
    offset = 0
    while offset < len(header):
        (length,) = struct.unpack_from("<I", header, offset)
        name, separator, value = header[offset + 4 : offset + 4 + length].partition(b"=")
        if not separator:
            raise ValueError("a header field has no name")
        fields[name.decode()] = value
        offset += 4 + length
    return fields
