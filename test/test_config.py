# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

from dataclasses import dataclass

import pytest

from aliked_ros.config import Config, option
from aliked_ros.errors import ConfigError
from aliked_ros.frontend.config import ExtractorConfig, TrackingConfig, VerificationConfig


@pytest.mark.parametrize("config", [ExtractorConfig, TrackingConfig, VerificationConfig])
def test_every_field_is_described_and_its_default_is_valid(config: type[ExtractorConfig]) -> None:
    assert config()
    for named in config.options():
        assert named.option.help, f"{named.name} says nothing"
    assert {named.name for named in config.options()} == set(config.__dataclass_fields__)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_keypoints": 0}, "max_keypoints must be at least 1, got 0"),
        ({"max_keypoints": 10.5}, "max_keypoints must be int, got 10.5"),
        ({"max_keypoints": True}, "max_keypoints must be int, got True"),
        ({"score_threshold": 1.5}, "score_threshold must be at most 1, got 1.5"),
        ({"score_threshold": float("nan")}, "score_threshold must be finite, got nan"),
        ({"model": "aliked-x"}, "model must be one of aliked-t16, aliked-n16, aliked-n16rot, aliked-n32"),
        ({"modle": "aliked-n16"}, "unknown ExtractorConfig option 'modle'"),
    ],
)
def test_bad_values_name_themselves(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ExtractorConfig.from_mapping(values)


def test_an_int_is_a_float() -> None:
    assert ExtractorConfig(score_threshold=0).score_threshold == 0


def test_replace_validates_again() -> None:
    with pytest.raises(ConfigError, match="max_gap"):
        TrackingConfig().replace(max_gap=-1)


def test_descriptions_teach() -> None:
    described = {named.name: named.option.describe() for named in TrackingConfig.options()}
    assert "unit: pixels" in described["gap_max_distance_px"]
    assert "range: [-1, 1]" in described["min_similarity"]
    geometry = VerificationConfig.options()[0]
    assert "one of none, fundamental, essential, homography" in geometry.option.describe()


@dataclass(frozen=True)
class Rig(Config):
    """Holds a list."""

    cameras: tuple[str, ...] = option((), "their names", fixed=True)


@pytest.mark.parametrize("value", ["left", ["left"], (1,), None])
def test_a_list_holds_strings_and_nothing_else(value: object) -> None:
    assert Rig(cameras=("left", "right")).cameras == ("left", "right")
    with pytest.raises(ConfigError, match="cameras must be a list of strings"):
        Rig(cameras=value)  # type: ignore[arg-type]
