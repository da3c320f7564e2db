# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The SROS 2 policies parse, have the form that sros2 wants, and fit together."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from policy_files import LISTS, policy_paths, read_policy

NODES = ("tracker", "player", "backend", "odometry", "vins_relay", "rtabmap_relay")
each_policy = pytest.mark.parametrize("path", policy_paths(), ids=lambda path: path.name)


def test_every_node_has_a_policy_and_an_enclave_of_its_name() -> None:
    policies = [read_policy(path) for path in policy_paths()]
    assert sorted(policy.node for policy in policies) == sorted(NODES)
    for policy in policies:
        assert (policy.path.name, policy.enclave) == (f"{policy.node}.policy.xml", f"/{policy.node}")


@each_policy
def test_a_policy_has_the_form_of_the_schema(path: Path) -> None:
    root = ElementTree.parse(path).getroot()
    assert (root.tag, root.attrib) == ("policy", {"version": "0.2.0"})
    assert [child.tag for child in root] == ["enclaves"]
    for enclave in root[0]:
        assert (enclave.tag, set(enclave.attrib)) == ("enclave", {"path"})
        assert [child.tag for child in enclave] == ["profiles"]
        for profile in enclave[0]:
            assert (profile.tag, set(profile.attrib)) == ("profile", {"ns", "node"})
            for entry in profile:
                check_list(entry)


def check_list(entry: ElementTree.Element) -> None:
    item, verbs = LISTS[entry.tag]
    assert entry.attrib
    assert set(entry.attrib) <= set(verbs)
    assert set(entry.attrib.values()) <= {"ALLOW", "DENY"}
    assert len(entry) > 0
    for child in entry:
        assert (child.tag, child.attrib) == (item, {})
        assert child.text
        assert child.text == child.text.strip()


@each_policy
def test_nothing_is_allowed_wholesale(path: Path) -> None:
    for names in read_policy(path).allowed.values():
        assert not [name for name in names if set(name) & set("*?[")]


def test_the_backend_asks_for_nothing_that_the_tracker_does_not_offer() -> None:
    tracker, backend = (
        read_policy(next(path for path in policy_paths() if path.name.startswith(name))).allowed
        for name in ("tracker", "backend")
    )
    assert backend["subscribe"] - {"/clock"} <= tracker["publish"]
    assert backend["request"] <= tracker["reply"]


def test_sros2_makes_keys_and_permissions_of_them(tmp_path: Path) -> None:
    if importlib.util.find_spec("sros2") is None or shutil.which("ros2") is None:
        pytest.skip("ros2 security is not installed: it comes with an installed ROS 2, not with wheels")
    environment = {**os.environ, "ROS_DOMAIN_ID": "7"}
    keystore = str(tmp_path / "keys")
    for arguments in (["create_keystore", keystore], ["generate_artifacts", "-k", keystore, "-p", *policy_paths()]):
        subprocess.run(["ros2", "security", *arguments], check=True, timeout=120, env=environment)
    for path in policy_paths():
        policy = read_policy(path)
        text = (tmp_path / "keys" / "enclaves" / policy.node / "permissions.xml").read_text()
        assert f"<subject_name>CN={policy.enclave}</subject_name>" in text
        topics = {f"<topic>rt{name}</topic>" for verb in ("publish", "subscribe") for name in policy.allowed[verb]}
        topics |= {f"<topic>rr{name}Reply</topic>" for verb in ("reply", "request") for name in policy.allowed[verb]}
        assert {topic for topic in topics if topic not in text} == set()
        assert "<default>DENY</default>" in text
