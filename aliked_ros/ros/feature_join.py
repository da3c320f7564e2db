# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Joins images, features and depth of the same moment, in whatever order they come."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, eq=False)
class JoinedFrame:
    """Messages that belong together."""

    image: Any
    features: Any
    depth: Any = None


class FeatureJoin:
    """Keeps images, features and depth until they are complete. For one thread.

    Features have their image's stamp, exactly; depth may differ by the slop. What is older than a complete frame will
    not be completed any more.

    Args:
        capacity: messages of each kind that may wait.
        depth_slop_ns: how far the stamps of image and depth may lie apart; ``None`` joins without depth.
        on_drop: is told how many features are given up.
    """

    def __init__(self, capacity: int, depth_slop_ns: int | None, on_drop: Callable[[int], None]) -> None:
        self._capacity = capacity
        self._slop_ns = depth_slop_ns
        self._on_drop = on_drop
        self._images: dict[int, Any] = {}
        self._features: dict[int, Any] = {}
        self._depths: deque[tuple[int, Any]] = deque(maxlen=capacity)

    def put_image(self, stamp_ns: int, message: Any) -> list[JoinedFrame]:
        """Adds an image; returns what is complete now, in the order of the stamps."""
        self._images[stamp_ns] = message
        self._bound(self._images)
        return self._complete()

    def put_features(self, stamp_ns: int, message: Any) -> list[JoinedFrame]:
        """Adds features; as above."""
        self._features[stamp_ns] = message
        self._on_drop(self._bound(self._features))
        return self._complete()

    def put_depth(self, stamp_ns: int, message: Any) -> list[JoinedFrame]:
        """Adds depth; as above."""
        self._depths.append((stamp_ns, message))
        return self._complete()

    def _bound(self, waiting: dict[int, Any]) -> int:
        """Gives up the oldest arrivals beyond the capacity; returns how many."""
        excess = max(0, len(waiting) - self._capacity)
        for stamp_ns in list(waiting)[:excess]:
            del waiting[stamp_ns]
        return excess

    def _complete(self) -> list[JoinedFrame]:
        complete = []
        for stamp_ns in sorted(self._features.keys() & self._images.keys()):
            depth = self._depth_of(stamp_ns)
            if depth is None and self._slop_ns is not None:
                continue
            complete.append(JoinedFrame(self._images.pop(stamp_ns), self._features.pop(stamp_ns), depth))
            self._forget_before(stamp_ns)
        return complete

    def _depth_of(self, stamp_ns: int) -> Any:
        if self._slop_ns is None or not self._depths:
            return None
        found_ns, message = min(self._depths, key=lambda item: abs(item[0] - stamp_ns))
        return message if abs(found_ns - stamp_ns) <= self._slop_ns else None

    def _forget_before(self, stamp_ns: int) -> None:
        for old in [old for old in self._images if old < stamp_ns]:
            del self._images[old]
        late = [old for old in self._features if old < stamp_ns]
        for old in late:
            del self._features[old]
        self._on_drop(len(late))
