# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Hands images from the executor's thread to the one that owns the device, and never lets them pile up."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

_T = TypeVar("_T")
_ItemT = TypeVar("_ItemT", covariant=True)
_logger = logging.getLogger(__name__)


class Mailbox(Generic[_T]):
    """A bounded queue that drops its oldest item for a new one. Safe for several threads.

    With a capacity of one it holds just the newest item.
    """

    def __init__(self, capacity: int) -> None:
        self._items: deque[_T] = deque()
        self._capacity = capacity
        self._closed = False
        self._finishing = False
        self._changed = threading.Condition()

    def __len__(self) -> int:
        with self._changed:
            return len(self._items)

    def put(self, item: _T) -> int:
        """Adds an item and returns how many were dropped: older ones that had no room, or this one after closing."""
        with self._changed:
            if self._closed or self._finishing:
                return 1
            dropped = max(0, len(self._items) + 1 - self._capacity)
            for _ in range(dropped):
                self._items.popleft()
            self._items.append(item)
            self._changed.notify()
            return dropped

    def resize(self, capacity: int) -> int:
        """Has room for so many from now on; returns how many of the oldest were dropped."""
        with self._changed:
            self._capacity = capacity
            dropped = max(0, len(self._items) - capacity)
            for _ in range(dropped):
                self._items.popleft()
            return dropped

    def take(self) -> _T | None:
        """Waits for the oldest item and removes it; ``None`` once the mailbox is closed, or finished and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed or self._finishing)
            return None if self._closed or not self._items else self._items.popleft()

    def clear(self) -> int:
        """Drops what is waiting and returns how many that were."""
        with self._changed:
            dropped = len(self._items)
            self._items.clear()
            return dropped

    def finish(self) -> None:
        """Takes no more; what is waiting can still be taken."""
        with self._changed:
            self._finishing = True
            self._changed.notify_all()

    def close(self) -> int:
        """Ends every wait, now and later, and drops what is waiting; returns how many that were."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        return self.clear()


class Source(Protocol[_ItemT]):
    """Where a worker's items come from."""

    def take(self) -> _ItemT | None:
        """Waits for the next item and removes it; ``None`` once there will be no more."""
        ...


class Worker(Generic[_T]):
    """A thread that handles the items of a mailbox or the like one after another until it is closed.

    Args:
        name: of the thread.
        source: where the items come from.
        handle: what is done with each; it deals with its own errors.
    """

    def __init__(self, name: str, source: Source[_T], handle: Callable[[_T], None]) -> None:
        self._source = source
        self._handle = handle
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def join(self) -> None:
        """Waits until the item in hand is done; the source must have been closed."""
        self._thread.join()

    def _run(self) -> None:
        while (item := self._source.take()) is not None:
            try:
                self._handle(item)
            except Exception:  # noqa: PERF203  an item takes milliseconds
                # A thread that ends in silence would leave a node that takes images and does nothing.
                _logger.exception("%s: an item could not be handled", self._thread.name)
