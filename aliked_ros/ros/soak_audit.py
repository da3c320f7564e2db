# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What a consumer may rely on in the messages of one camera, checked over any number of them; knows no ROS."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from aliked_ros.io.messages.message_fields import TracksMessage
from aliked_ros.io.messages.status_fields import TrackerStatus

MAX_IN_FLIGHT = 8  # images of a camera that may wait, be under way, or be joined with others, at a time
_MAX_KEPT = 20


class Complaints:
    """Keeps the first complaints in words and counts the others."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[str] = []

    def add(self, text: str) -> None:
        """One more."""
        self.count += 1
        if len(self.first) < _MAX_KEPT:
            self.first.append(text)


class TrackAudit:
    """Follows the tracks of a camera from message to message.

    In an epoch an id first appears with age 1 and above every id before it; each time it is seen its age grows by one;
    it is given up once, in ``lost_ids``, at most ``max_gap`` images after it was last seen, and never comes back.
    ``frame_seq`` grows by one with each message. Its memory is that of the tracks that live.

    Args:
        max_gap: images that a track may be unseen, the tracker's ``tracking.max_gap``.
    """

    def __init__(self, max_gap: int) -> None:
        self._max_gap = max_gap
        self._ages: dict[int, int] = {}  # of the tracks that live
        self._last_seen: dict[int, int] = {}  # frame_seq
        self._highest_id = -1
        self._epoch: int | None = None
        self._frame_seq: int | None = None
        self.complaints = Complaints()
        self.num_frames = 0
        self.num_tracks = 0  # that ever began
        self.num_epochs = 0

    def add(self, message: TracksMessage, num_features: int) -> None:
        """Checks the next message, of an image with so many features."""
        meta, tracks = message.meta, message.tracks
        self.num_frames += 1
        if self._frame_seq is not None and meta.frame_seq != self._frame_seq + 1:
            self._complain(meta.frame_seq, f"follows frame {self._frame_seq}")
        self._frame_seq = meta.frame_seq
        self._follow_epoch(meta.frame_seq, meta.epoch)
        self._check_rows(meta.frame_seq, tracks.feature_indices.tolist(), num_features, tracks.ids.tolist())
        for identity, age in zip(tracks.ids.tolist(), tracks.ages.tolist(), strict=True):
            self._see(meta.frame_seq, identity, age)
        seen = set(tracks.ids.tolist())
        self._highest_id = max(self._highest_id, max(seen, default=-1))
        self._give_up(meta.frame_seq, tracks.lost_ids.tolist(), seen)
        self._look_for_vanished(meta.frame_seq)

    def _complain(self, frame_seq: int, text: str) -> None:
        self.complaints.add(f"frame {frame_seq}: {text}")

    def _follow_epoch(self, frame_seq: int, epoch: int) -> None:
        if epoch == self._epoch:
            return
        if self._epoch is not None and epoch < self._epoch:
            self._complain(frame_seq, f"epoch {epoch} after {self._epoch}")
        self._epoch = epoch
        self.num_epochs += 1
        self._ages.clear()
        self._last_seen.clear()
        self._highest_id = -1

    def _check_rows(self, frame_seq: int, rows: list[int], num_features: int, ids: list[int]) -> None:
        if len(set(ids)) != len(ids):
            self._complain(frame_seq, "an id appears twice")
        if len(set(rows)) != len(rows):
            self._complain(frame_seq, "two tracks are one feature")
        if max(rows, default=-1) >= num_features:
            self._complain(frame_seq, f"a track is feature {max(rows)} of {num_features}")

    def _see(self, frame_seq: int, identity: int, age: int) -> None:
        known = self._ages.get(identity)
        if known is None:
            self.num_tracks += 1
            if identity <= self._highest_id:
                self._complain(frame_seq, f"id {identity} came back after it was given up")
            elif age != 1:
                self._complain(frame_seq, f"id {identity} begins at age {age}")
        elif age != known + 1:
            self._complain(frame_seq, f"id {identity} has age {age} after {known}")
        self._ages[identity] = age
        self._last_seen[identity] = frame_seq

    def _give_up(self, frame_seq: int, lost: Iterable[int], seen: set[int]) -> None:
        for identity in lost:
            if identity in seen:
                self._complain(frame_seq, f"id {identity} is lost and seen at once")
            elif self._ages.pop(identity, None) is None:
                self._complain(frame_seq, f"id {identity} is lost, but did not live")
            self._last_seen.pop(identity, None)

    def _look_for_vanished(self, frame_seq: int) -> None:
        """Every track is either seen, or unseen for a while, or lost; the check walks over those that live."""
        overdue = [i for i, seen in self._last_seen.items() if frame_seq - seen > self._max_gap]
        for identity in overdue:
            self._complain(frame_seq, f"id {identity} vanished without being lost")
            del self._last_seen[identity], self._ages[identity]


class CounterAudit:
    """Follows the counters of a camera from status to status."""

    def __init__(self) -> None:
        self.last: TrackerStatus | None = None
        self.complaints = Complaints()
        self.highest_in_flight = 0

    def add(self, status: TrackerStatus) -> None:
        """Checks the next status."""
        before, self.last = self.last, status
        waiting = in_flight(status)
        self.highest_in_flight = max(self.highest_in_flight, waiting)
        if not 0 <= waiting <= MAX_IN_FLIGHT:
            self.complaints.add(f"{waiting} images in flight: {_counters(status)}")
        if before is not None and np.any(np.subtract(_counters(status), _counters(before)) < 0):
            self.complaints.add(f"a counter fell from {_counters(before)} to {_counters(status)}")


def in_flight(status: TrackerStatus) -> int:
    """Images that were received and of which nothing has become yet."""
    return status.received - status.processed - status.dropped - status.refused


def _counters(status: TrackerStatus) -> tuple[int, int, int, int]:
    """Received, processed, dropped, refused."""
    return status.received, status.processed, status.dropped, status.refused
