# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Images between threads: newest first, bounded, and never lost without being counted."""

from __future__ import annotations

import threading

import pytest

from aliked_ros.ros.mailbox import Mailbox, Worker


def test_one_place_keeps_the_newest() -> None:
    mailbox: Mailbox[int] = Mailbox(1)
    assert [mailbox.put(item) for item in (1, 2, 3)] == [0, 1, 1]
    assert mailbox.take() == 3
    assert len(mailbox) == 0


def test_more_places_keep_the_order_and_drop_the_oldest() -> None:
    mailbox: Mailbox[int] = Mailbox(3)
    assert sum(mailbox.put(item) for item in range(5)) == 2
    assert [mailbox.take() for _ in range(3)] == [2, 3, 4]


def test_a_smaller_one_drops_the_oldest() -> None:
    mailbox: Mailbox[int] = Mailbox(3)
    for item in (1, 2, 3):
        mailbox.put(item)
    assert mailbox.resize(2) == 1
    assert mailbox.put(4) == 1
    assert mailbox.resize(4) == 0
    assert mailbox.put(5) == 0
    assert [mailbox.take() for _ in range(3)] == [3, 4, 5]


def test_closing_ends_a_wait_and_drops_what_is_left() -> None:
    mailbox: Mailbox[int] = Mailbox(2)
    taken: list[int | None] = []
    waiting = threading.Thread(target=lambda: taken.append(mailbox.take()))
    waiting.start()
    assert mailbox.close() == 0
    waiting.join(10)
    assert taken == [None]
    assert mailbox.put(1) == 1, "what comes after closing is dropped at once"
    assert mailbox.take() is None


def test_clearing_counts() -> None:
    mailbox: Mailbox[int] = Mailbox(5)
    for item in range(4):
        mailbox.put(item)
    assert mailbox.clear() == 4
    assert len(mailbox) == 0


@pytest.mark.parametrize("capacity", [1, 4, 1000])
def test_nothing_is_lost_between_threads(capacity: int) -> None:
    mailbox: Mailbox[int] = Mailbox(capacity)
    handled: list[int] = []
    last = threading.Event()

    def handle(item: int) -> None:
        handled.append(item)
        if item == 999:
            last.set()

    worker = Worker("test", mailbox, handle)
    worker.start()
    dropped = sum(mailbox.put(item) for item in range(1000))
    assert last.wait(10), "the newest item is always handled"
    dropped += mailbox.close()
    worker.join()
    assert len(handled) + dropped == 1000
    assert handled == sorted(set(handled)), "in order, each once"
