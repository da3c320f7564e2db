# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""A corner of the DDS network for a run that must not meet any other."""

from __future__ import annotations

import fcntl
import os
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aliked_ros.errors import DeviceError

_DOMAIN_IDS = range(1, 102)  # above, DDS's ports meet those Linux hands out (ROS 2, "The ROS_DOMAIN_ID")


@contextmanager
def private_domain() -> Iterator[dict[str, str]]:
    """Yields the environment of a run that is alone: a domain no other such run has, on this machine only.

    Raises:
        DeviceError: every domain is taken.
    """
    for domain_id in random.sample(_DOMAIN_IDS, len(_DOMAIN_IDS)):
        path = Path(tempfile.gettempdir()) / f"aliked_ros_{os.getuid()}_domain_{domain_id}.lock"
        with path.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield _environment(domain_id)
            return
    raise DeviceError(f"all {len(_DOMAIN_IDS)} ROS domains are taken by other runs on this machine; end one")


def _environment(domain_id: int) -> dict[str, str]:
    environment = {
        "ROS_DOMAIN_ID": str(domain_id),
        "FASTDDS_BUILTIN_TRANSPORTS": os.environ.get("FASTDDS_BUILTIN_TRANSPORTS", "LARGE_DATA"),
    }
    # Humble knows only the older of the two variables, and later releases warn about it.
    if os.environ.get("ROS_DISTRO") == "humble":
        return {**environment, "ROS_LOCALHOST_ONLY": "1"}
    return {**environment, "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
