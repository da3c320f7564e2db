# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Reads the messages of rosbag 2 (mcap, sqlite3) and ROS 1 bags, whole or cut off, without ROS."""

from __future__ import annotations

import functools
import logging
import struct
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from rosbags.interfaces import ConnectionExtRosbag2
from rosbags.rosbag1 import Reader as Reader1
from rosbags.rosbag2 import Reader as Reader2
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from aliked_ros.errors import SourceError
from aliked_ros.io.bags.salvage import CutOffError, RawMessage, salvage
from aliked_ros.io.messages.ros_types import deserialize, standard_typestore
from aliked_ros.io.messages.stamps import NS_PER_S
from aliked_ros.io.sources.window import seconds_text

_BAG_SUFFIXES = (".mcap", ".db3", ".bag", ".active")  # rosbag record calls a bag .bag.active until it is closed

_STORAGE_SUFFIXES = (".mcap", ".db3")
_METADATA = "metadata.yaml"
_STAMPED_BYTES = 12
_T = TypeVar("_T")
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BagTopic:
    """One topic of a bag; a topic recorded with two types is listed twice."""

    name: str
    message_type: str
    count: int


class BagReader:
    """The messages of a bag in the order in which they were recorded.

    A bag without a readable index is read from front to back: what is whole is delivered, then a SourceError
    says where it is cut off.

    Args:
        path: a rosbag 2 folder, an ``.mcap`` or ``.db3`` file, or a ROS 1 bag.

    Raises:
        SourceError: there is nothing there, or nothing that can be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files = _storage_files(path)
        self._reader: Reader1 | Reader2 | None = None
        self.is_ros1 = path.is_file() and path.suffix.lower() not in _STORAGE_SUFFIXES
        self.is_indexed = True  # False where the bag was cut off
        try:
            self._reader = _open_indexed(path, is_ros1=self.is_ros1)
        # rosbags raises whatever its parsers stumble over in damaged files. Reading without the index then
        # shows what is left, or why there is nothing.
        except Exception as error:  # noqa: BLE001
            _logger.warning("%s: no usable index (%s); the bag is read from front to back", path, error)
            self.is_indexed = False
        self.topics, self.start_ns, self.end_ns = self._survey()

    def messages(self, topics: Collection[str], start_ns: int | None = None) -> Iterator[RawMessage]:
        """The messages of some topics, recorded at or after ``start_ns``.

        Raises:
            SourceError: where the bag is cut off or damaged, after the messages before that.
        """
        count, last_ns = 0, None
        source = self._indexed(self._reader, topics, start_ns) if self._reader else self._scan()
        try:
            for message in source:
                if message.topic in topics and (start_ns is None or message.log_time_ns >= start_ns):
                    yield message
                    count, last_ns = count + 1, message.log_time_ns
        except CutOffError as error:
            reached = "" if last_ns is None else f", the last recorded at {seconds_text(last_ns)} s"
            raise SourceError(
                f"{self.path}: the bag is cut off or damaged: {error}; {count} messages could be read{reached}; "
                "copy or record it again"
            ) from error

    def decode(self, message: RawMessage) -> Any:
        """The message as an object with its fields as attributes; standard types only.

        Raises:
            SourceError: the bytes are no such message.
        """
        try:
            if self.is_ros1:
                return _ros1_typestore().deserialize_ros1(message.data, message.message_type)
            return deserialize(message.data, message.message_type, standard_typestore())
        except (SerdeError, KeyError, UnicodeDecodeError, IndexError) as error:
            raise SourceError(
                f"{self.path}: the message of {message.topic} at {seconds_text(message.log_time_ns)} s "
                f"is damaged: {error}"
            ) from error

    def header_stamp_ns(self, message: RawMessage) -> int:
        """The stamp of a message that starts with a header, without decoding the rest.

        Raises:
            SourceError: the message is shorter than that.
        """
        if len(message.data) < _STAMPED_BYTES:
            raise SourceError(f"{self.path}: a message of {message.topic} has {len(message.data)} bytes only")
        # Before it stands the sequence number in ROS 1, and in ROS 2 the encapsulation with the byte order.
        order = "<" if self.is_ros1 or message.data[1] & 1 else ">"
        sec, nanosec = struct.unpack_from(order + ("II" if self.is_ros1 else "iI"), message.data, 4)
        return int(sec) * NS_PER_S + int(nanosec)

    def close(self) -> None:
        """Gives the files back; safe to repeat, and nothing can be read afterwards."""
        reader, self._reader = self._reader, None
        self._files = []
        if reader is not None:
            reader.close()

    def __enter__(self) -> BagReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _indexed(
        self, reader: Reader1 | Reader2, topics: Collection[str], start_ns: int | None
    ) -> Iterator[RawMessage]:
        connections = [connection for connection in reader.connections if connection.topic in topics]
        if not connections:
            return
        found = _guarded(reader.messages(connections=connections, start=start_ns))
        for connection, log_time_ns, data in found:
            yield RawMessage(connection.topic, connection.msgtype, log_time_ns, data)

    def _scan(self) -> Iterator[RawMessage]:
        for path in self._files:
            yield from _salvaged(path)

    def _survey(self) -> tuple[tuple[BagTopic, ...], int, int]:
        """The topics with their numbers of messages, and the times of the first and the last message."""
        if self._reader is not None:
            counts: Counter[tuple[str, str]] = Counter()
            for connection in self._reader.connections:
                counts[connection.topic, connection.msgtype] += connection.msgcount
            times = (self._reader.start_time, self._reader.end_time - 1) if sum(counts.values()) else (0, 0)
            return _topics(counts), *times
        return self._survey_by_scan()

    def _survey_by_scan(self) -> tuple[tuple[BagTopic, ...], int, int]:
        counts: Counter[tuple[str, str]] = Counter()
        times: list[int] = []
        try:
            for message in self._scan():
                counts[message.topic, message.message_type] += 1
                times = [min([*times, message.log_time_ns]), max([*times, message.log_time_ns])]
        except CutOffError as error:
            if not counts:
                raise SourceError(f"{self.path}: nothing can be read of this bag: {error}") from error
        start_ns, end_ns = times or (0, 0)
        return _topics(counts), start_ns, end_ns


def _salvaged(path: Path) -> Iterator[RawMessage]:
    try:
        yield from salvage(path)
    except OSError as error:
        raise CutOffError(f"{path.name} cannot be read ({error.strerror})") from error
    except CutOffError as error:
        raise CutOffError(f"{path.name}: {error}") from error


def _storage_files(path: Path) -> list[Path]:
    if not path.exists():
        raise SourceError(f"{path}: no such bag; give a rosbag 2 folder, or a .mcap, .db3 or .bag file")
    if path.is_dir():
        files = sorted((f for f in path.iterdir() if f.suffix in _STORAGE_SUFFIXES), key=_split_number)
        # With file compression there are only .zstd files, which the metadata name.
        if not files and not (path / _METADATA).is_file():
            raise SourceError(f"{path}: no bag; a rosbag 2 folder holds .mcap or .db3 files")
        return files
    if path.suffix.lower() not in _BAG_SUFFIXES:
        raise SourceError(f"{path}: not the name of a bag; those end in {', '.join(_BAG_SUFFIXES)}")
    return [path]


def _split_number(path: Path) -> tuple[int, str]:
    """rosbag 2 appends _0, _1, ... to the files of a split bag; _10 comes after _9."""
    number = path.stem.rpartition("_")[2]
    return (int(number) if number.isdecimal() else 0, path.name)


def _open_indexed(path: Path, *, is_ros1: bool) -> Reader1 | Reader2:
    if is_ros1:
        reader1 = Reader1(path)
        reader1.open()
        return reader1
    reader2 = Reader2(path)
    reader2.open()
    for connection in reader2.connections:
        extension = connection.ext
        if isinstance(extension, ConnectionExtRosbag2) and extension.serialization_format != "cdr":
            _logger.warning("%s: %s is not CDR and cannot be read", path, connection.topic)
    return reader2


def _guarded(items: Iterable[_T]) -> Iterator[_T]:
    """The items, with every failure of the parser below as CutOffError."""
    iterator = iter(items)
    while True:
        try:
            item = next(iterator)
        except StopIteration:
            return
        except Exception as error:
            raise CutOffError(f"{type(error).__name__}: {error}") from error
        yield item


def _topics(counts: Counter[tuple[str, str]]) -> tuple[BagTopic, ...]:
    return tuple(BagTopic(*key, count) for key, count in sorted(counts.items()))


@functools.cache
def _ros1_typestore() -> Typestore:
    return get_typestore(Stores.ROS1_NOETIC)
