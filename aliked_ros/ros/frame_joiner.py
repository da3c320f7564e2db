# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Joins the messages that a tracker publishes about one image: each comes on a topic of its own, in any order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_CAPACITY = 8  # images whose messages may be incomplete at a time

Key = tuple[int, int]  # epoch and frame_seq, which rise together


class FrameJoiner:
    """Collects the parts of each image and gives images out in their order.

    An image is complete when all its parts are there. One that lacks only optional parts is given out when a later
    image has all required ones: nothing will come any more. One that lacks a required part by then is given up.
    A tracker that was started anew counts from 0 again; that is no late part, and begins another generation.

    Args:
        required: names of the parts without which an image is of no use.
        optional: names of parts that some images do not have.
    """

    def __init__(self, required: Sequence[str], optional: Sequence[str] = ()) -> None:
        self._required = frozenset(required)
        self._all = self._required | frozenset(optional)
        self._waiting: dict[Key, dict[str, Any]] = {}
        self._last: Key = (-1, -1)
        self.num_given_up = 0
        self.generation = 0  # how often the tracker has started anew

    def add(self, epoch: int, frame_seq: int, name: str, part: Any) -> list[dict[str, Any]]:
        """Adds a part; returns the parts of the images that are ready now, by their names, in the images' order.

        A part of an image that was given out or given up, or is older than that, is too late and ignored.
        """
        key = (epoch, frame_seq)
        if self._is_of_another_tracker(key):
            self.num_given_up += len(self._waiting)
            self._waiting.clear()
            self._last = (-1, -1)
            self.generation += 1
        if key <= self._last:
            return []
        found = self._waiting.setdefault(key, {})
        found[name] = part
        ready: list[dict[str, Any]] = []
        if self._required <= found.keys():
            ready = self._before(key)
        if found.keys() == self._all:
            ready.append(found)
            self._finish(key)
        while len(self._waiting) > _CAPACITY:
            oldest = min(self._waiting)
            self.num_given_up += 1
            self._finish(oldest)
        return ready

    def _is_of_another_tracker(self, key: Key) -> bool:
        """Whether this is so far back that it cannot be a late part: epochs and frames only rise."""
        epoch, frame_seq = key
        return epoch < self._last[0] or (epoch == self._last[0] and frame_seq < self._last[1] - _CAPACITY)

    def _before(self, key: Key) -> list[dict[str, Any]]:
        """The images before this one that have what is required; the others are given up."""
        ready = []
        for earlier in sorted(one for one in self._waiting if one < key):
            parts = self._waiting[earlier]
            if self._required <= parts.keys():
                ready.append(parts)
            else:
                self.num_given_up += 1
            self._finish(earlier)
        return ready

    def _finish(self, key: Key) -> None:
        del self._waiting[key]
        self._last = max(self._last, key)
