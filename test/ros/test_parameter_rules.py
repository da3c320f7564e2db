# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What holds of every parameter: it is explained, it has a unit, and it has bounds."""

from __future__ import annotations

import pytest

from aliked_ros.config import NamedOption
from aliked_ros.ros.node_config import PLAYER_GROUPS, TRACKER_GROUPS, camera_groups

GROUPS = (*TRACKER_GROUPS, *camera_groups(()), *PLAYER_GROUPS)
OPTIONS = {f"{kind.__name__}.{named.name}": named for prefix, kind in GROUPS for named in kind.options()}
NUMBERS = {name: named for name, named in OPTIONS.items() if named.type in (int, float)}
MULTIPLES = {"PlayerConfig.rate"}  # of something that is 1


@pytest.mark.parametrize("name", OPTIONS)
def test_it_is_explained_in_one_sentence(name: str) -> None:
    text = OPTIONS[name].option.help
    assert len(text) > 10
    assert "\n" not in text
    assert not text.endswith(".")


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_has_bounds(name: str) -> None:
    named: NamedOption = NUMBERS[name]
    assert named.option.minimum is not None
    assert named.option.maximum is not None
    assert named.option.minimum <= named.default <= named.option.maximum


@pytest.mark.parametrize("name", [name for name, named in NUMBERS.items() if named.type is float])
def test_a_quantity_has_a_unit_unless_it_is_a_share_or_a_cosine(name: str) -> None:
    option = NUMBERS[name].option
    is_ratio = (
        option.minimum is not None and option.minimum >= -1 and option.maximum is not None and option.maximum <= 1
    )
    assert option.unit or is_ratio or name in MULTIPLES
