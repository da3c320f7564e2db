# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Several machines on one: network namespaces, each a host with one interface, joined by a virtual switch.

Nothing leads out of them: the switch has a namespace of its own, too, and no interface of this machine is touched.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from aliked_ros.errors import DeviceError

_ADDRESS = "192.0.2.{}/24"  # documentation's own addresses (RFC 5737), which no network has
_INTERFACE = "eth0"
_TIMEOUT_S = 20.0
# Hosts do not share memory; without a /dev/shm of its own a process would find the other hosts' segments.
_OWN_MEMORY = 'mount -t tmpfs tmpfs /dev/shm && exec "$@"'


@dataclass(frozen=True)
class Traffic:
    """What has passed a host's interface, bytes of Ethernet frames."""

    received: int
    sent: int

    def since(self, earlier: Traffic) -> Traffic:
        """What has passed since then."""
        return Traffic(self.received - earlier.received, self.sent - earlier.sent)


class NetworkLab:
    """Hosts that reach one another and nothing else, as a context manager; leaving removes all of it.

    Args:
        hosts: their names, up to 15 letters each, as those of interfaces.

    Raises:
        DeviceError: on entering, where the system does not allow it: it takes root, iproute2 and a kernel with network
            namespaces and virtual Ethernet.
    """

    def __init__(self, hosts: Sequence[str]) -> None:
        run = f"aliked-{os.getpid()}-{secrets.token_hex(3)}"
        self._namespaces = {name: f"{run}-{name}" for name in (*hosts, "switch")}
        self._hosts = tuple(hosts)

    def __enter__(self) -> NetworkLab:
        if shutil.which("ip") is None:
            raise DeviceError("a lab of network namespaces needs the command ip; install iproute2")
        if os.geteuid() != 0:
            raise DeviceError("a lab of network namespaces needs root; run this with sudo, or in a container as root")
        try:
            self._build()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._remove()

    def prefix(self, host: str) -> list[str]:
        """What to write before a command to run it on a host; the process keeps its id, so signals reach it."""
        return [*self._inside(host), "sh", "-c", _OWN_MEMORY, "sh"]

    def traffic(self, host: str) -> Traffic:
        """What has passed the host's interface since it was made."""
        directory = f"/sys/class/net/{_INTERFACE}/statistics"
        files = [f"{directory}/{name}" for name in ("rx_bytes", "tx_bytes")]
        received, sent = _run([*self._inside(host), "cat", *files]).split()
        return Traffic(int(received), int(sent))

    def _build(self) -> None:
        for namespace in self._namespaces.values():
            _run(["ip", "netns", "add", namespace])
        switch = self._namespaces["switch"]
        # Without snooping a switch passes multicast, by which participants find each other, to all.
        _run(_words(f"ip -n {switch} link add name switch type bridge mcast_snooping 0"))
        _run(_words(f"ip -n {switch} link set dev switch up"))
        for number, host in enumerate(self._hosts, 1):
            namespace = self._namespaces[host]
            _run(_words(f"ip -n {switch} link add name {host} type veth peer name {_INTERFACE} netns {namespace}"))
            _run(_words(f"ip -n {switch} link set dev {host} master switch up"))
            _run(_words(f"ip -n {namespace} address add {_ADDRESS.format(number)} dev {_INTERFACE}"))
            # Packets as a cable carries them, not the kernel's bundles, which have one header for many packets.
            _run(_words(f"ip -n {namespace} link set dev {_INTERFACE} gso_max_segs 1 up"))
            _run(_words(f"ip -n {namespace} link set dev lo up"))

    def _remove(self) -> None:
        for namespace in self._namespaces.values():
            if Path("/run/netns", namespace).exists():
                _run(["ip", "netns", "delete", namespace])  # the interfaces go with it

    def _inside(self, host: str) -> list[str]:
        return ["ip", "netns", "exec", self._namespaces[host]]


def _words(line: str) -> list[str]:
    return line.split()


def _run(command: Sequence[str]) -> str:
    """What a command prints; DeviceError when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    if done.returncode != 0:
        raise DeviceError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
    return done.stdout
