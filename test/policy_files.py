# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Reads the SROS 2 policies under config/security/ as sros2 does: what each lets its node do, by full names."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

DIRECTORY = Path(__file__).resolve().parents[1] / "config" / "security"
# The lists of a profile, what they hold and what may be allowed of it: policy.xsd of sros2, version 0.2.0.
LISTS = {
    "topics": ("topic", ("publish", "subscribe")),
    "services": ("service", ("reply", "request")),
    "actions": ("action", ("call", "execute")),
}


@dataclass(frozen=True)
class Policy:
    """What one node may do."""

    path: Path
    enclave: str
    node: str
    allowed: dict[str, set[str]]  # full names by publish, subscribe, reply and request


def policy_paths() -> list[Path]:
    return sorted(DIRECTORY.glob("*.xml"))


def read_policy(path: Path) -> Policy:
    """The policy of a file that has one enclave with one profile, as all of ours have."""
    (enclave,) = ElementTree.parse(path).getroot().findall("enclaves/enclave")
    (profile,) = enclave.findall("profiles/profile")
    allowed: dict[str, set[str]] = {verb: set() for _, verbs in LISTS.values() for verb in verbs}
    for entry in profile:
        for verb, qualifier in entry.attrib.items():
            if qualifier == "ALLOW":
                allowed[verb] |= {_full_name(item.text or "", profile) for item in entry}
    return Policy(path, enclave.attrib["path"], profile.attrib["node"], allowed)


def _full_name(name: str, profile: ElementTree.Element) -> str:
    namespace = profile.attrib["ns"].rstrip("/")
    if name.startswith("/"):
        return name
    if name.startswith("~/"):
        return f"{namespace}/{profile.attrib['node']}{name[1:]}"
    return f"{namespace}/{name}"
