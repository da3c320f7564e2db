# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""One source of defaults: the YAML files under config/ against the configuration dataclasses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from aliked_ros.camera import TUM_CAMERAS
from aliked_ros.config import Config
from aliked_ros.errors import ConfigError
from aliked_ros.ros.node_config import (
    PLAYER_GROUPS,
    TRACKER_GROUPS,
    LogConfig,
    PlayerConfig,
    TrackerNodeConfig,
    camera_groups,
)

CONFIG = Path(__file__).resolve().parents[2] / "config"
FILES = ("tracker.yaml", "tum_fr1.yaml", "tum_fr2.yaml", "tum_fr3.yaml")
TRACKER = (*TRACKER_GROUPS, *camera_groups(()))
GROUPS = {"/**": TRACKER, "/**/tracker": TRACKER, "/**/player": PLAYER_GROUPS}
Groups = tuple[tuple[str, type[Config]], ...]


def flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat.update(flattened(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat


def sections(name: str) -> Iterator[tuple[Groups, dict[str, Any]]]:
    for node, section in yaml.safe_load((CONFIG / name).read_text()).items():
        yield GROUPS[node], flattened(section["ros__parameters"])


def defaults(groups: Groups) -> dict[str, Any]:
    return {f"{p}.{o.name}" if p else o.name: o.default for p, kind in groups for o in kind.options()}


def test_parameter_names_are_unique() -> None:
    for groups in (TRACKER, PLAYER_GROUPS):
        assert len(defaults(groups)) == sum(len(kind.options()) for _, kind in groups)


def test_every_file_is_checked() -> None:
    assert sorted(path.name for path in CONFIG.glob("*.yaml")) == sorted(FILES)


@pytest.mark.parametrize("name", FILES)
def test_files_name_parameters_and_values_that_exist(name: str) -> None:
    for groups, values in sections(name):
        known = defaults(groups)
        assert set(values) <= set(known)
        assert {n: type(v) for n, v in values.items()} == {n: type(known[n]) for n in values}, "ROS compares types"
        for prefix, kind in groups:
            own = {o.name: values[f"{prefix}.{o.name}" if prefix else o.name] for o in kind.options()
                   if (f"{prefix}.{o.name}" if prefix else o.name) in values}  # fmt: skip
            required = {"input": "somewhere"} if kind is PlayerConfig else {}
            kind.from_mapping({**required, **own})  # raises where a value is out of range


def test_the_generic_file_says_the_defaults() -> None:
    ((groups, values),) = sections("tracker.yaml")
    known = defaults(groups)
    assert values == {name: known[name] for name in values}


@pytest.mark.parametrize("name", sorted(TUM_CAMERAS))
def test_the_files_for_tum_name_their_kinect(name: str) -> None:
    values = {key: value for _, section in sections(f"tum_{name}.yaml") for key, value in section.items()}
    assert values["calibration"] == name
    assert values["process_every_frame"] is True


@pytest.mark.parametrize("source_id", ["", "x" * 65, "é" * 33])
def test_source_ids_fit_their_field(source_id: str) -> None:
    with pytest.raises(ConfigError, match="source_id"):
        TrackerNodeConfig(source_id=source_id)


@pytest.mark.parametrize("path", ["~no-such-user/run.csv", "~no-such-user/run.mcap"])
def test_a_log_in_nobodys_home_is_refused(path: str) -> None:
    with pytest.raises(ConfigError, match=r"log\.path: the home folder in '~no-such-user/run"):
        LogConfig(path)


def test_the_player_needs_an_input() -> None:
    with pytest.raises(ConfigError, match="input"):
        PlayerConfig()
