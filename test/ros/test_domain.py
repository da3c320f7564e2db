# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Domains that no two runs share."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from xml.etree import ElementTree

import pytest

from aliked_ros.errors import DeviceError
from aliked_ros.ros.domain import private_domain


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name in ("ROS_DISTRO", "RMW_IMPLEMENTATION"):
        monkeypatch.delenv(name, raising=False)


def test_no_two_runs_share_a_domain_until_there_are_no_more() -> None:
    with ExitStack() as stack:
        ids = [int(stack.enter_context(private_domain())["ROS_DOMAIN_ID"]) for _ in range(101)]
        assert sorted(ids) == list(range(1, 102))
        with pytest.raises(DeviceError, match="all 101 ROS domains are taken"):
            stack.enter_context(private_domain())
    with private_domain() as environment:
        assert int(environment["ROS_DOMAIN_ID"]) in range(1, 102), "they are given back"


def test_it_stays_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    with private_domain() as environment:
        profile = Path(environment["FASTDDS_DEFAULT_PROFILES_FILE"])
        text = profile.read_text()
        assert environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "SYSTEM_DEFAULT", "LOCALHOST would override the profile"
    assert not profile.exists()
    names = {"d": "http://www.eprosima.com"}
    root = ElementTree.fromstring(text)
    assert [node.text for node in root.iterfind(".//d:interfaceWhiteList/d:address", names)] == ["127.0.0.1"]
    used = {node.text for node in root.iterfind(".//d:userTransports/d:transport_id", names)}
    assert used == {node.text for node in root.iterfind(".//d:transport_descriptor/d:transport_id", names)}
    (segment,) = root.iterfind(".//d:segment_size", names)
    assert int(segment.text or 0) > 2 * 1920 * 1080 * 3, "two large colour images"
    monkeypatch.setenv("ROS_DISTRO", "humble")
    with private_domain() as environment:
        assert "FASTRTPS_DEFAULT_PROFILES_FILE" in environment


def test_other_middleware_is_told_in_its_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RMW_IMPLEMENTATION", "rmw_cyclonedds_cpp")
    with private_domain() as environment:
        assert environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
