# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Reads a sequence a few items ahead, so that disk and decoder do not disturb the timing of a replay."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Generic, TypeVar

_T = TypeVar("_T")
_POLL_S = 0.1


class _End:
    """Follows the last item; carries the error that ended the sequence, if one did."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error


class ReadAhead(Generic[_T]):
    """Iterates in a thread of its own. Used as a context manager, once.

    An error comes out where it happened: after all the items before it.

    Args:
        items: what is iterated over.
        depth: how many items may wait.
    """

    def __init__(self, items: Iterable[_T], depth: int = 8) -> None:
        self._items = items
        self._queue: queue.Queue[_T | _End] = queue.Queue(depth)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, name="read ahead", daemon=True)

    def __enter__(self) -> ReadAhead[_T]:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def __iter__(self) -> Iterator[_T]:
        while not isinstance(item := self._queue.get(), _End):
            yield item
        if item.error is not None:
            raise item.error

    def _read(self) -> None:
        end = _End(None)
        try:
            for item in self._items:
                if not self._put(item):
                    return
        except Exception as error:  # noqa: BLE001  raised again by the iterator
            end = _End(error)
        self._put(end)

    def _put(self, item: _T | _End) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=_POLL_S)
            except queue.Full:
                continue
            return True
        return False
