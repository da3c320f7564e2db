# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the log holds of an image, as a line of a table or as all messages published of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from aliked_ros.features import Matches
from aliked_ros.io.bags.feature_recorder import FeatureRecorder
from aliked_ros.io.csv_log import CsvLog
from aliked_ros.io.messages.descriptors import DescriptorDtype
from aliked_ros.io.messages.fields import Fields
from aliked_ros.io.messages.message_fields import FrameMeta, features_fields, matches_fields, tracks_fields
from aliked_ros.io.messages.ros_types import FEATURES_TYPE, MATCHES_TYPE, STATUS_TYPE, TRACKS_TYPE
from aliked_ros.io.messages.status_fields import TrackerStatus, status_fields
from aliked_ros.io.outputs import create_beside

if TYPE_CHECKING:
    from aliked_ros.frontend.frontend import FrameResult

_CHUNK_BYTES = 1 << 18  # what is lost at most when the node is killed
_COUNTERS = ("received", "processed", "dropped", "refused")
_DURATIONS = ("wait_ms", "preprocess_ms", "inference_ms", "match_ms", "publish_ms", "latency_ms")
COLUMNS = (
    *("source_id", "stamp_ns", "frame_seq", "epoch", *_COUNTERS, "dropped_since"),
    *("features", "matches", "inliers", "tracks", "lost", "mean_age", "keyframe_hint"),
    *_DURATIONS,
)
Message = tuple[str, str, Fields]  # topic, type, content


@dataclass(frozen=True, eq=False)
class FrameEntry:
    """What was found in an image, and how the node was doing; made in the thread that found it, read in the log's."""

    logged_at_ns: int  # since 1970
    topics: dict[str, str]  # full names of features, matches, tracks and status
    result: FrameResult
    meta: FrameMeta
    descriptor_dtype: DescriptorDtype
    status: TrackerStatus
    wait_ms: float

    def row(self) -> dict[str, Any]:
        """By :data:`COLUMNS`, but for ``dropped_since``; ``None`` where there is no such thing."""
        result, status, meta = self.result, self.status, self.meta
        matches = result.matches
        inliers = None if matches is None or matches.inliers is None else int(matches.inliers.sum())
        return {
            "source_id": meta.source_id,
            "stamp_ns": meta.stamp_ns,
            "frame_seq": meta.frame_seq,
            "epoch": meta.epoch,
            **{name: getattr(status, name) for name in _COUNTERS},
            "features": len(result.features),
            "matches": None if matches is None else len(matches),
            "inliers": inliers,
            "tracks": len(result.tracks),
            "lost": len(result.tracks.lost_ids),
            "mean_age": f"{status.mean_track_age:.3f}",
            "keyframe_hint": int(result.tracks.keyframe_hint),
            "wait_ms": f"{self.wait_ms:.3f}",
            **{name: f"{getattr(status, name):.3f}" for name in _DURATIONS[1:]},
        }

    def messages(self) -> Iterator[Message]:
        """The messages about this image."""
        result, meta, features = self.result, self.meta, self.result.features
        ids = result.tracks.ids_of_features(len(features))
        yield (
            self.topics["features"],
            FEATURES_TYPE,
            features_fields(
                features, meta, track_ids=ids, depth_m=result.depth_m, descriptor_dtype=self.descriptor_dtype
            ),
        )
        if result.matches is not None and result.frame_seq_ref is not None and result.stamp_ref_ns is not None:
            fields = matches_fields(
                result.matches, meta, frame_seq_ref=result.frame_seq_ref, stamp_ref_ns=result.stamp_ref_ns
            )
            yield self.topics["matches"], MATCHES_TYPE, fields
        size = {"image_width": features.image_width, "image_height": features.image_height}
        yield self.topics["tracks"], TRACKS_TYPE, tracks_fields(result.tracks, meta, **size)
        yield self.topics["status"], STATUS_TYPE, status_fields(self.status, self.logged_at_ns, meta.frame_id)


@dataclass(frozen=True, eq=False)
class StereoEntry:
    """Matches between two cameras' images of one moment."""

    logged_at_ns: int
    topic: str
    matches: Matches
    meta: FrameMeta
    meta_ref: FrameMeta

    def row(self) -> None:
        """They have no line of their own."""

    def messages(self) -> Iterator[Message]:
        """The one message."""
        ref = self.meta_ref
        fields = matches_fields(
            self.matches,
            self.meta,
            frame_seq_ref=ref.frame_seq,
            stamp_ref_ns=ref.stamp_ns,
            source_id_ref=ref.source_id,
        )
        yield self.topic, MATCHES_TYPE, fields


LogEntry = FrameEntry | StereoEntry


class LogFile(Protocol):
    """A file that entries are written to; every method raises SourceError when it cannot."""

    path: Path

    @property
    def unsafe(self) -> int:
        """Entries written last that would be lost with the process."""
        ...

    def write(self, entry: LogEntry) -> bool:
        """Appends an entry and returns whether the file has something of it."""
        ...

    def close(self) -> None:
        """Completes the file."""
        ...

    def abandon(self) -> None:
        """Gives up a file that cannot be written, with all that is whole in it."""
        ...


class CsvFile:
    """A line for each image."""

    unsafe = 0  # every line is with the operating system at once

    def __init__(self, path: Path) -> None:
        self.path = path
        self._log = CsvLog(path, COLUMNS)
        self._dropped: dict[str, int] = {}

    def write(self, entry: LogEntry) -> bool:
        """Appends an image's line; KeyError and the like cannot happen, SourceError can."""
        row = entry.row()
        if row is None:
            return False
        source, dropped = row["source_id"], row["dropped"]
        row["dropped_since"] = dropped - self._dropped.get(source, 0)
        self._log.write(row)
        self._dropped[source] = dropped
        return True

    def close(self) -> None:
        """There is nothing more to write."""
        self._log.close()

    def abandon(self) -> None:
        """The last line is whole already."""
        self._log.close()


class McapFile:
    """All messages of each image."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.unsafe = 0
        self._recorder = FeatureRecorder(path, chunk_bytes=_CHUNK_BYTES)

    def write(self, entry: LogEntry) -> bool:
        """Appends an entry's messages."""
        whole_bytes = self._recorder.whole_bytes
        for topic, message_type, fields in entry.messages():
            self._recorder.write_fields(topic, message_type, fields, entry.logged_at_ns)
        self.unsafe = self.unsafe + 1 if self._recorder.whole_bytes == whole_bytes else 0
        return True

    def close(self) -> None:
        """Writes the last chunk and the index."""
        self._recorder.close()
        self.unsafe = 0

    def abandon(self) -> None:
        """Complete chunks stay."""
        self._recorder.abandon()


def open_log_file(path: Path) -> LogFile:
    """A new file of this name, or with the next free number.

    Raises:
        SourceError: it cannot be written; nothing is left of the attempt.
    """
    made = create_beside(path)
    try:
        return McapFile(made) if made.suffix == ".mcap" else CsvFile(made)
    except BaseException:
        made.unlink(missing_ok=True)
        raise
