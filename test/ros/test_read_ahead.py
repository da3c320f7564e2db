# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Reading ahead in a thread."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

import pytest

from aliked_ros.errors import SourceError
from aliked_ros.ros.read_ahead import ReadAhead


def test_everything_in_order() -> None:
    with ReadAhead(range(100), depth=3) as items:
        assert list(items) == list(range(100))


def test_an_error_comes_after_the_items_before_it() -> None:
    def broken() -> Iterator[int]:
        yield 1
        yield 2
        raise SourceError("cut off")

    taken: list[int] = []
    with ReadAhead(broken()) as items, pytest.raises(SourceError, match="cut off"):
        taken.extend(items)
    assert taken == [1, 2]


def test_leaving_early_ends_the_thread() -> None:
    with ReadAhead(itertools.count(), depth=2) as items:
        assert next(iter(items)) == 0
    assert not [thread for thread in threading.enumerate() if thread.name == "read ahead"]
