# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What moves images between processes is told from the environment and from Fast DDS's profiles files."""

from __future__ import annotations

from pathlib import Path

import pytest

from aliked_ros.transport import Transport, examine_transport, profiles_variable

PROFILES = sorted((Path(__file__).resolve().parents[1] / "config/fastdds").glob("*.xml"))
VARIABLE = "FASTDDS_DEFAULT_PROFILES_FILE"


def profile(rtps: str, descriptors: str = "", *, default: str = "true") -> str:
    return (
        '<dds xmlns="http://www.eprosima.com"><profiles>'
        f"<transport_descriptors>{descriptors}</transport_descriptors>"
        f'<participant profile_name="mine" is_default_profile="{default}"><rtps>{rtps}</rtps></participant>'
        "</profiles></dds>"
    )


def descriptor(name: str, kind: str, more: str = "") -> str:
    return f"<transport_descriptor><transport_id>{name}</transport_id><type>{kind}</type>{more}</transport_descriptor>"


def chosen(*names: str) -> str:
    ids = "".join(f"<transport_id>{name}</transport_id>" for name in names)
    return f"<useBuiltinTransports>false</useBuiltinTransports><userTransports>{ids}</userTransports>"


def examine(directory: Path, **environment: str) -> Transport:
    transport = examine_transport(environment, directory)
    assert transport is not None
    assert bool(transport.remedy) == bool(transport.problem)
    assert "\n" not in transport.summary + transport.problem + transport.remedy
    return transport


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        ({}, "is not set"),
        ({"FASTDDS_BUILTIN_TRANSPORTS": "UDPv4"}, "is UDPv4"),
        ({"FASTDDS_BUILTIN_TRANSPORTS": "large_data"}, "is large_data"),
        ({"FASTDDS_BUILTIN_TRANSPORTS": "LARGE_DATAA"}, "is LARGE_DATAA"),
        ({"FASTDDS_BUILTIN_TRANSPORTS": "LARGE_DATA"}, ""),
        ({"FASTDDS_BUILTIN_TRANSPORTS": "LARGE_DATA?max_msg_size=1MB"}, ""),
        ({"FASTDDS_BUILTIN_TRANSPORTS": "LARGE_DATA", "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}, "LOCALHOST"),
        ({"FASTDDS_BUILTIN_TRANSPORTS": "LARGE_DATA", "ROS_LOCALHOST_ONLY": "1"}, "LOCALHOST"),
        ({"FASTDDS_BUILTIN_TRANSPORTS": "LARGE_DATA", "ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}, ""),
        ({"FASTDDS_BUILTIN_TRANSPORTS": "LARGE_DATA", "ROS_DISTRO": "jazzy"}, ""),
        ({"FASTDDS_BUILTIN_TRANSPORTS": "LARGE_DATA", "ROS_DISTRO": "humble"}, "knows no FASTDDS_BUILTIN_TRANSPORTS"),
        ({"RMW_IMPLEMENTATION": "rmw_fastrtps_dynamic_cpp"}, "is not set"),
    ],
)
def test_the_environment_alone(environment: dict[str, str], problem: str, tmp_path: Path) -> None:
    transport = examine(tmp_path, **environment)
    assert bool(transport.problem) == bool(problem)
    assert problem in transport.problem


def test_other_middleware_is_its_own_matter(tmp_path: Path) -> None:
    assert examine_transport({"RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"}, tmp_path) is None


SHM_OF_16_MB = descriptor("a", "SHM", "<segment_size>16777216</segment_size>")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (profile(chosen("a", "b"), SHM_OF_16_MB + descriptor("b", "UDPv4")), ""),
        (profile(chosen("a"), SHM_OF_16_MB).replace(' xmlns="http://www.eprosima.com"', ""), ""),
        (profile(chosen("a"), descriptor("a", "TCPv4")), ""),
        (profile(chosen("a"), descriptor("a", "SHM")), "a segment of 524288 bytes"),
        (profile(chosen("a"), descriptor("a", "SHM", "<segment_size>1000000</segment_size>")), "1000000 bytes"),
        (profile(chosen("b"), SHM_OF_16_MB + descriptor("b", "UDPv4")), "neither shared memory nor TCP"),
        (profile(chosen("misspelt"), SHM_OF_16_MB), "neither shared memory nor TCP"),
        (profile("<builtinTransports>LARGE_DATA</builtinTransports>"), ""),
        (profile("<builtinTransports>UDPv4</builtinTransports>"), "UDPv4"),
        (profile("<userTransports><transport_id>a</transport_id></userTransports>", SHM_OF_16_MB), "leaves it to that"),
        (profile("<name>nothing about transports</name>"), "leaves it to that"),
        (profile(chosen("a"), SHM_OF_16_MB, default="false"), "is_default_profile"),
        ("<dds><profiles>", "cannot read"),
    ],
)
def test_a_profiles_file(text: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.xml"
    path.write_text(text)
    transport = examine(tmp_path, FASTDDS_DEFAULT_PROFILES_FILE=str(path))
    assert bool(transport.problem) == bool(problem)
    assert problem in transport.problem
    assert str(path) in transport.summary


def test_how_large_a_message_may_be(tmp_path: Path) -> None:
    assert examine(tmp_path, FASTDDS_BUILTIN_TRANSPORTS="LARGE_DATA").largest_bytes == 8_500_000
    path = tmp_path / "mine.xml"
    path.write_text(profile(chosen("a", "b"), SHM_OF_16_MB + descriptor("b", "UDPv4")))
    assert examine(tmp_path, FASTDDS_DEFAULT_PROFILES_FILE=str(path)).largest_bytes == 16 * 1024 * 1024
    path.write_text(profile(chosen("a"), descriptor("a", "TCPv4")))
    assert examine(tmp_path, FASTDDS_DEFAULT_PROFILES_FILE=str(path)).largest_bytes is None


def test_a_profile_that_names_no_transport_leaves_it_to_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "mine.xml"
    path.write_text(profile("<name>nothing about transports</name>"))
    environment = {VARIABLE: str(path), "FASTDDS_BUILTIN_TRANSPORTS": "LARGE_DATA"}
    assert not examine(tmp_path, **environment).problem


def test_a_mode_in_a_profile_needs_a_release_that_knows_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.xml"
    path.write_text(profile("<builtinTransports>LARGE_DATA</builtinTransports>"))
    assert not examine(tmp_path, FASTRTPS_DEFAULT_PROFILES_FILE=str(path), ROS_DISTRO="jazzy").problem
    old = examine(tmp_path, FASTRTPS_DEFAULT_PROFILES_FILE=str(path), ROS_DISTRO="humble")
    assert "that of humble knows no" in old.problem
    assert "FASTRTPS_DEFAULT_PROFILES_FILE" in old.remedy


def test_a_profile_goes_before_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "mine.xml"
    path.write_text(profile(chosen("a"), descriptor("a", "UDPv4")))
    environment = {VARIABLE: str(path), "FASTDDS_BUILTIN_TRANSPORTS": "LARGE_DATA"}
    assert examine(tmp_path, **environment).problem


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    transport = examine(tmp_path, FASTDDS_DEFAULT_PROFILES_FILE=str(tmp_path / "absent.xml"))
    assert "cannot read" in transport.problem
    assert VARIABLE in transport.remedy


def test_the_file_with_the_default_name_in_the_directory(tmp_path: Path) -> None:
    (tmp_path / "DEFAULT_FASTDDS_PROFILES.xml").write_text(PROFILES[0].read_text())
    assert not examine(tmp_path).problem
    assert examine(tmp_path, SKIP_DEFAULT_XML_FILE="1").problem
    assert examine(tmp_path, ROS_DISTRO="jazzy").problem, "Fast DDS 2 looks for another name"


@pytest.mark.parametrize(
    ("distro", "variable"),
    [("humble", "FASTRTPS"), ("jazzy", "FASTRTPS"), ("kilted", "FASTDDS"), ("rolling", "FASTDDS"), ("", "FASTDDS")],
)
def test_each_release_has_its_own_variable(distro: str, variable: str, tmp_path: Path) -> None:
    names = {"FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"}
    ours = profiles_variable({"ROS_DISTRO": distro})
    (other,) = names - {ours}
    assert ours.startswith(variable)
    assert not examine(tmp_path, ROS_DISTRO=distro, **{ours: str(PROFILES[0])}).problem
    neglected = examine(tmp_path, ROS_DISTRO=distro, **{other: str(PROFILES[0])})
    assert f"{other} is not read" in neglected.problem


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_our_own_profiles_are_fit(path: Path, tmp_path: Path) -> None:
    assert not examine(tmp_path, FASTDDS_DEFAULT_PROFILES_FILE=str(path)).problem


def test_there_is_a_profile_for_each_case() -> None:
    assert [path.stem for path in PROFILES] == ["one_machine", "several_machines", "several_machines_tcp"]
