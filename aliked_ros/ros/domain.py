# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""A corner of the DDS network for a run that must not meet any other, with room for images."""

from __future__ import annotations

import fcntl
import os
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aliked_ros.errors import DeviceError
from aliked_ros.transport import profiles_variable

_DOMAIN_IDS = range(1, 102)  # above, DDS's ports meet those Linux hands out (ROS 2, "The ROS_DOMAIN_ID")

_LARGE_DATA = {"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET", "FASTDDS_BUILTIN_TRANSPORTS": "LARGE_DATA"}
# ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST makes rmw_fastrtps set up transports of its own, with a shared-memory segment
# that an image overflows, and FASTDDS_BUILTIN_TRANSPORTS is ignored then: of best-effort images nearly all are lost.
# This profile stays on the machine, too, and has a segment for several images. Discovery is as LOCALHOST's.
_FAST_DDS_PROFILE = """\
<?xml version="1.0" encoding="UTF-8" ?>
<dds xmlns="http://www.eprosima.com">
  <profiles>
    <transport_descriptors>
      <transport_descriptor>
        <transport_id>shared_memory</transport_id>
        <type>SHM</type>
        <segment_size>16777216</segment_size>
      </transport_descriptor>
      <transport_descriptor>
        <transport_id>loopback</transport_id>
        <type>UDPv4</type>
        <maxInitialPeersRange>32</maxInitialPeersRange>
        <interfaceWhiteList>
          <address>127.0.0.1</address>
        </interfaceWhiteList>
      </transport_descriptor>
    </transport_descriptors>
    <participant profile_name="this_machine" is_default_profile="true">
      <rtps>
        <builtin>
          <initialPeersList>
            <locator><udpv4><address>127.0.0.1</address></udpv4></locator>
          </initialPeersList>
        </builtin>
        <useBuiltinTransports>false</useBuiltinTransports>
        <userTransports>
          <transport_id>shared_memory</transport_id>
          <transport_id>loopback</transport_id>
        </userTransports>
      </rtps>
    </participant>
  </profiles>
</dds>
"""


@contextmanager
def private_domain(*, large_data: bool = False) -> Iterator[dict[str, str]]:
    """Yields the environment of a run that is alone: a domain no other such run has, on this machine only.

    Args:
        large_data: takes the transport that the launch files set instead, which other machines can find.

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
            with tempfile.TemporaryDirectory(prefix="aliked_ros_") as folder:
                transport = _LARGE_DATA if large_data else _transport(Path(folder) / "fastdds.xml")
                yield {"ROS_DOMAIN_ID": str(domain_id), **transport}
            return
    raise DeviceError(f"all {len(_DOMAIN_IDS)} ROS domains are taken by other runs on this machine; end one")


def _transport(profile: Path) -> dict[str, str]:
    """The variables that keep a run on this machine; writes the profile they name."""
    if not os.environ.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp").startswith("rmw_fastrtps"):
        return {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    profile.write_text(_FAST_DDS_PROFILE, encoding="utf-8")
    return {"ROS_AUTOMATIC_DISCOVERY_RANGE": "SYSTEM_DEFAULT", profiles_variable(os.environ): str(profile)}
