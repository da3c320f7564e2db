# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Tables and rates."""

from __future__ import annotations

import pytest

from aliked_ros.cli.report import Measurements, number, properties, table


def test_numbers_are_right_aligned_and_words_left() -> None:
    text = table([("a.png", "5", "-"), ("long.png", "1234", "0.5")], ("image", "features", "similarity"))
    assert text.splitlines() == [
        "image     features  similarity",
        "a.png            5           -",
        "long.png      1234         0.5",
    ]


def test_properties_are_aligned() -> None:
    assert properties({"a": "1", "long": "2"}) == "a     1\nlong  2"


def test_rates_are_of_whole_frames() -> None:
    measured = Measurements()
    assert measured.rate_hz == 0.0
    measured.add_frame(0.1)
    measured.add_frame(0.3)
    assert measured.num_frames == 2
    assert measured.rate_hz == pytest.approx(5.0)
    assert measured.last_rate_hz == pytest.approx(1 / 0.3)


def test_means_of_what_was_recorded() -> None:
    measured = Measurements()
    measured.add(features=10, matches=4)
    measured.add(features=20)
    assert (measured.mean("features"), measured.mean("matches"), measured.mean("none")) == (15.0, 4.0, None)
    assert (number(15.0), number(None), number(0.12345, 3)) == ("15.0", "-", "0.123")
