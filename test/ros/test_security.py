# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the nodes do in the graph is what their SROS 2 policies allow, nothing more and nothing less."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from node_harness import TIMEOUT_S, Station, parameter_arguments, run_node, running_tracker, wait_until
from player_harness import waiting_player
from policy_files import DIRECTORY, Policy, read_policy

from aliked_ros.ros.child import NodeProcess

pytestmark = pytest.mark.ros

# Each way to start a node adds names; together they must use all that the policy allows.
TRACKERS = ({"use_sim_time": True, "depth": True}, {"image_transport": "compressed"})
PLAYERS = ({"publish_compressed": True, "use_sim_time": True}, {"wait_for": "tracker/features"})
_QUIET_S = 1.0  # after which nothing more of a node is expected to be discovered


@pytest.fixture
def station() -> Iterator[Station]:
    station = Station("observer")
    yield station
    station.close()


def names_in_graph(station: Station, node: str) -> dict[str, set[str]]:
    """What a node does, by the verbs of a policy, once no more of it is discovered."""
    node_of_test = station.node
    queries = {
        "publish": node_of_test.get_publisher_names_and_types_by_node,
        "subscribe": node_of_test.get_subscriber_names_and_types_by_node,
        "reply": node_of_test.get_service_names_and_types_by_node,
        "request": node_of_test.get_client_names_and_types_by_node,
    }
    found: dict[str, set[str]] = {}
    deadline_s = changed_at_s = time.monotonic()
    deadline_s += TIMEOUT_S
    while not any(found.values()) or time.monotonic() - changed_at_s < _QUIET_S:
        assert time.monotonic() < deadline_s, f"{node} did not show up"
        known = (node, "/") in node_of_test.get_node_names_and_namespaces()
        now = {verb: {name for name, _ in query(node, "/")} for verb, query in queries.items()} if known else {}
        if now != found:
            found, changed_at_s = now, time.monotonic()
        time.sleep(0.05)
    return found


def assert_covers(policy: Policy, uses: list[dict[str, set[str]]]) -> None:
    for verb in ("publish", "subscribe", "reply", "request"):
        used = set[str]().union(*(use[verb] for use in uses))
        assert used == policy.allowed[verb], f"{policy.path} does not say what {policy.node} does ({verb})"


def test_the_tracker_does_what_its_policy_allows(station: Station, tmp_path: Path) -> None:
    uses = []
    for parameters in TRACKERS:
        with running_tracker(tmp_path, **parameters):
            uses.append(names_in_graph(station, "tracker"))
    assert_covers(read_policy(DIRECTORY / "tracker.policy.xml"), uses)


def documented_command(marker: str) -> str:
    """The command of docs/security.md that has these words."""
    text = (DIRECTORY.parents[1] / "docs" / "security.md").read_text(encoding="utf-8")
    (block,) = [block for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL) if marker in block]
    return block


def test_the_documented_policy_of_two_cameras_is_what_they_do(station: Station, tmp_path: Path) -> None:
    environment = {**os.environ, "share": str(DIRECTORY)}
    subprocess.run(["bash", "-ec", documented_command("stereo_tracker")], cwd=tmp_path, env=environment, check=True)
    uses = []
    for parameters in TRACKERS:
        arguments = parameter_arguments(model="aliked-t16", device="cpu", cameras="[left, right]", **parameters)
        with NodeProcess("aliked_ros.ros.tracker", arguments, tmp_path / "tracker.log"):
            wait_until(lambda: station.node.count_subscribers("/left/camera_info") > 0, "an active tracker")
            uses.append(names_in_graph(station, "tracker"))
    assert_covers(read_policy(tmp_path / "stereo_tracker.policy.xml"), uses)


def test_the_player_does_what_its_policy_allows(station: Station, tmp_path: Path) -> None:
    uses = []
    for parameters in PLAYERS:
        with waiting_player(tmp_path, **parameters):
            uses.append(names_in_graph(station, "player"))
    assert_covers(read_policy(DIRECTORY / "player.policy.xml"), uses)


def test_the_relay_to_vins_does_what_its_policy_allows(station: Station, tmp_path: Path) -> None:
    arguments = parameter_arguments(use_sim_time=True)
    with NodeProcess("aliked_ros.ros.vins_relay", arguments, tmp_path / "relay.log"):
        uses = [names_in_graph(station, "vins_relay")]
    assert_covers(read_policy(DIRECTORY / "vins_relay.policy.xml"), uses)


def test_the_odometry_does_what_its_policy_allows(station: Station, tmp_path: Path) -> None:
    pytest.importorskip("gtsam", reason="gtsam is not installed")
    arguments = parameter_arguments(sensor__mode="stereo", use_sim_time=True)
    with NodeProcess("aliked_ros.ros.odometry", arguments, tmp_path / "odometry.log"):
        uses = names_in_graph(station, "odometry")
    policy = read_policy(DIRECTORY / "odometry.policy.xml")
    if importlib.util.find_spec("tf2_ros") is None:
        uses["publish"] |= {"/tf"}
        uses["subscribe"] |= {"/tf", "/tf_static"}
    assert_covers(policy, [uses])


@pytest.mark.parametrize("node", ["tracker", "player"])
def test_without_keys_a_node_refuses_to_start_unprotected(node: str, tmp_path: Path) -> None:
    """Middleware with and without security says so in its own words; neither runs, neither shows a traceback."""
    security = {"ROS_SECURITY_ENABLE": "true", "ROS_SECURITY_STRATEGY": "Enforce"}
    keystore = {"ROS_SECURITY_KEYSTORE": str(tmp_path)}
    done = run_node(f"aliked_ros.ros.{node}", parameter_arguments(), **security, **keystore)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert "docs/security.md" in done.stderr
