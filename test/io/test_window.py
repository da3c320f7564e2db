# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Windows of a sequence, and stamps as decimal seconds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aliked_ros.errors import ConfigError
from aliked_ros.io.sources.window import TimeWindow, seconds_text, stamp_ns_of


def test_the_start_belongs_to_the_window_and_the_end_does_not() -> None:
    window = TimeWindow(1.0, 0.5)
    assert [window.contains(ms * 1_000_000) for ms in (999, 1000, 1499, 1500)] == [False, True, True, False]


def test_without_a_duration_it_goes_to_the_end() -> None:
    assert TimeWindow(2.0).contains(10**15)
    assert not TimeWindow(2.0).contains(10**9)


@pytest.mark.parametrize("values", [(-1.0, None), (float("nan"), None), (0.0, 0.0), (0.0, -1.0), (0.0, float("inf"))])
def test_impossible_windows_cannot_be_built(values: tuple[float, float | None]) -> None:
    with pytest.raises(ConfigError):
        TimeWindow(*values)


@given(st.integers(0, 2**62))
def test_stamps_survive_as_text(stamp_ns: int) -> None:
    assert stamp_ns_of(seconds_text(stamp_ns)) == stamp_ns


def test_microseconds_are_written_as_tum_writes_them() -> None:
    assert seconds_text(1311868169_163498000) == "1311868169.163498"
    assert stamp_ns_of("1311868169.163498") == 1311868169_163498000
    assert stamp_ns_of("1e3") == 10**12


@pytest.mark.parametrize("text", ["", "rgb", "nan", "inf", "1.2.3"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no number of seconds"):
        stamp_ns_of(text)
