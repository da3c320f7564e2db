# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""ROS 2 message types without ROS: the definitions of aliked_msgs, their schema text, and serialisation."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.interfaces import Nodetype
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from aliked_ros.errors import MessageError, SourceError
from aliked_ros.io.messages.fields import Fields

PACKAGE = "aliked_msgs"
FEATURES_TYPE = "aliked_msgs/msg/Features"
MATCHES_TYPE = "aliked_msgs/msg/Matches"
TRACKS_TYPE = "aliked_msgs/msg/Tracks"
STATUS_TYPE = "aliked_msgs/msg/TrackerStatus"

_SEPARATOR = "=" * 80 + "\n"


def definition_folders() -> tuple[Path, ...]:
    """Where aliked_msgs' definitions are looked for, in this order.

    The installed package comes first, because what a running node publishes is what was built there; then the
    source tree, then the copy that aliked_ros installs for those who have no ROS.
    """
    prefixes = [Path(prefix) for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if prefix]
    return (
        *(prefix / "share" / PACKAGE / "msg" for prefix in prefixes),
        Path(__file__).resolve().parents[3] / PACKAGE / "msg",
        *(prefix / "share" / "aliked_ros" / PACKAGE for prefix in (*prefixes, Path(sys.prefix))),
    )


@functools.cache
def _read_definitions(folders: tuple[Path, ...]) -> Mapping[str, str]:
    for folder in folders:
        files = sorted(folder.glob("*.msg"))
        if files:
            return {f"{PACKAGE}/msg/{file.stem}": file.read_text(encoding="utf-8") for file in files}
    looked = ", ".join(map(str, folders))
    raise SourceError(
        f"the definitions of {PACKAGE} are in none of {looked}; build it with colcon and source its set-up file"
    )


def message_definitions() -> Mapping[str, str]:
    """The text of each of aliked_msgs' messages, by type name such as ``aliked_msgs/msg/Features``.

    Raises:
        SourceError: no definitions were found.
    """
    return _read_definitions(definition_folders())


@functools.cache
def _typestore(folders: tuple[Path, ...]) -> Typestore:
    # Humble's standard messages: the oldest release supported; the ones used here have not changed since.
    store = get_typestore(Stores.ROS2_HUMBLE)
    types: dict[str, Any] = {}
    for name, text in _read_definitions(folders).items():
        types.update(get_types_from_msg(text, name))
    store.register(types)
    return store


def typestore() -> Typestore:
    """The standard messages and aliked_msgs, for rosbags.

    Raises:
        SourceError: the definitions of aliked_msgs were not found.
    """
    return _typestore(definition_folders())


@functools.cache
def standard_typestore() -> Typestore:
    """The standard messages of ROS 2 alone."""
    return get_typestore(Stores.ROS2_HUMBLE)


def schema_text(message_type: str) -> str:
    """The definition of a type followed by those of all types inside it, in the form mcap calls ``ros2msg``.

    Raises:
        MessageError: the type is unknown.
    """
    store = typestore()
    if message_type not in store.fielddefs:
        raise MessageError(f"unknown message type {message_type!r}; known are ROS's standard messages and {PACKAGE}")
    full, _ = store.generate_msgdef(message_type, ros_version=2)
    own, *inside = full.split(_SEPARATOR)
    # The original text keeps the comments, which are the documentation of the fields.
    original = message_definitions().get(message_type, own)
    return _SEPARATOR.join([original if original.endswith("\n") else original + "\n", *inside])


def type_hash(message_type: str) -> str:
    """The type's RIHS01 hash (REP 2016), as rosbag 2 stores it."""
    return typestore().hash_rihs01(message_type)


def serialize(fields: Fields, message_type: str, store: Typestore | None = None) -> memoryview:
    """CDR bytes, little endian, of a message given by the values of its fields.

    Args:
        fields: every field of the message; nested messages as dictionaries, sequences as arrays.
        message_type: such as ``sensor_msgs/msg/Image``.
        store: the message types; those of :func:`typestore` unless given.

    Raises:
        MessageError: a field is missing, unknown, or an array of another type.
    """
    used = typestore() if store is None else store
    return used.serialize_cdr(build(fields, message_type, used), message_type, little_endian=True)


def build(fields: Fields, message_type: str, store: Typestore) -> Any:
    """The rosbags message with these fields; raises what :func:`serialize` raises."""
    definitions = dict(store.fielddefs[message_type][1])
    if set(definitions) != set(fields):
        missing, unknown = sorted(set(definitions) - set(fields)), sorted(set(fields) - set(definitions))
        raise MessageError(f"{message_type}: missing fields {missing}, unknown fields {unknown}")
    values = {name: _value(f"{message_type}.{name}", value, definitions[name], store) for name, value in fields.items()}
    return store.types[message_type](**values)


def _value(name: str, value: Any, description: Any, store: Typestore) -> Any:
    kind, detail = description
    if kind == Nodetype.NAME:
        return build(value, detail, store)
    if kind in (Nodetype.ARRAY, Nodetype.SEQUENCE):
        element = detail[0][1][0]
        if not isinstance(value, np.ndarray) or value.dtype != np.dtype(element):
            found = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
            raise MessageError(f"{name} must be an array of {element}, got {found}")
    return value


def deserialize(data: bytes | memoryview, message_type: str, store: Typestore) -> Any:
    """The message in CDR bytes.

    Raises:
        SerdeError: the bytes are no such message.
    """
    try:
        return store.deserialize_cdr(data, message_type)
    except SerdeError:
        # rclpy.serialization appends up to four unused bytes, which rosbags takes for a mismatch; scripts
        # write bags that way. What is subscribed to, or recorded by rosbag 2, ends where the message ends.
        return store.deserialize_cdr(data[:-4], message_type)
