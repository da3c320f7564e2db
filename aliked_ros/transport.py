# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""How Fast DDS will move images between processes, told from the environment and the profiles files it names.

Fast DDS's default segment of shared memory (512 kB) holds no colour image of 640×480: best-effort images are lost,
reliable ones take several times longer. The rules are those of rmw_fastrtps's ``create_participant`` and of Fast DDS's
``RTPSParticipantImpl`` and ``XMLProfileManager``.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

DEFAULT_MIDDLEWARE = "rmw_fastrtps_cpp"
_FAST_DDS_2 = ("humble", "iron", "jazzy")  # what came before calls its variable and its default file FASTRTPS
_WITHOUT_MODES = ("humble", "iron")  # their Fast DDS is older than 2.13, which brought FASTDDS_BUILTIN_TRANSPORTS
_LARGE_DATA = re.compile(r"(LARGE_DATA|P2P)(\?.*)?")  # modes that bring a segment of 8.5 MB, and their options
_LARGE_DATA_BYTES = 8_500_000
_DEFAULT_SEGMENT_BYTES = 512 * 1024
_SMALLEST_SEGMENT_BYTES = 4 * 1024 * 1024  # four colour images of 640×480
_SLOW = "images between processes are lost or slow"
_REMEDY = (
    "export FASTDDS_BUILTIN_TRANSPORTS=LARGE_DATA for every node and the camera's process, as env.sh does, "
    "or use a profile of config/fastdds"
)


@dataclass(frozen=True)
class Transport:
    """What moves images between processes."""

    summary: str
    problem: str = ""  # why it is unfit for images; empty where it is fit
    remedy: str = ""
    largest_bytes: int | None = None  # of a message that the shared memory has room for; None where nothing is known


def profiles_variable(environment: Mapping[str, str]) -> str:
    """The variable by which this ROS's Fast DDS finds a profiles file; version 3 does not read the old name."""
    prefix = "FASTRTPS" if environment.get("ROS_DISTRO") in _FAST_DDS_2 else "FASTDDS"
    return f"{prefix}_DEFAULT_PROFILES_FILE"


def has_transport_modes(environment: Mapping[str, str]) -> bool:
    """Whether this ROS's Fast DDS knows FASTDDS_BUILTIN_TRANSPORTS; one that does not says nothing."""
    return environment.get("ROS_DISTRO") not in _WITHOUT_MODES


def examine_transport(environment: Mapping[str, str], directory: Path) -> Transport | None:
    """What a node will use that is started with this environment in this directory; ``None`` without Fast DDS."""
    middleware = environment.get("RMW_IMPLEMENTATION", "") or DEFAULT_MIDDLEWARE
    if not middleware.startswith("rmw_fastrtps"):
        return None
    if environment.get("ROS_AUTOMATIC_DISCOVERY_RANGE") == "LOCALHOST" or environment.get("ROS_LOCALHOST_ONLY") == "1":
        return Transport(
            "rmw_fastrtps's own, of a discovery range of LOCALHOST",
            f"{_SLOW}: a discovery range of LOCALHOST overrides FASTDDS_BUILTIN_TRANSPORTS",
            "use ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET with a ROS_DOMAIN_ID of your own",
        )
    path = _profiles_file(environment, directory)
    if path is None:
        return _of_environment(environment, _neglected(environment))
    try:
        root = ElementTree.parse(path).getroot()  # noqa: S314  the user's own file, which Fast DDS will read, too
    except (OSError, ElementTree.ParseError) as error:
        problem = f"{_SLOW}: Fast DDS cannot read its profiles file {path}: {error}"
        return Transport(
            f"default, {path} is unreadable", problem, f"mend {path}, or unset {profiles_variable(environment)}"
        )
    rtps = _default_participant(root)
    if rtps is None:
        return _of_environment(
            environment, f"; {path} has no participant with is_default_profile, which a node would use"
        )
    return _of_profile(environment, path, root, rtps)


def _profiles_file(environment: Mapping[str, str], directory: Path) -> Path | None:
    """The profiles file that counts: the variable's, else the one with the default name where the node starts."""
    variable = profiles_variable(environment)
    if environment.get(variable):
        return Path(environment[variable])
    default = directory / f"DEFAULT_{variable.partition('_')[0]}_PROFILES.xml"
    return default if environment.get("SKIP_DEFAULT_XML_FILE") != "1" and default.is_file() else None


def _neglected(environment: Mapping[str, str]) -> str:
    """What to say of a profiles file that is named by a variable which this Fast DDS does not read."""
    ours = profiles_variable(environment)
    other = "FASTDDS_DEFAULT_PROFILES_FILE" if ours.startswith("FASTRTPS") else "FASTRTPS_DEFAULT_PROFILES_FILE"
    return f"; {other} is not read by this ROS's Fast DDS, {ours} is" if environment.get(other) else ""


def _of_environment(environment: Mapping[str, str], note: str = "") -> Transport:
    """What FASTDDS_BUILTIN_TRANSPORTS says, where no profile goes before it."""
    setting = environment.get("FASTDDS_BUILTIN_TRANSPORTS", "")
    summary = f"FASTDDS_BUILTIN_TRANSPORTS is {setting or 'not set'}{note}"
    if not has_transport_modes(environment):
        summary = f"Fast DDS's default; that of {environment['ROS_DISTRO']} knows no FASTDDS_BUILTIN_TRANSPORTS{note}"
        remedy = f"export {profiles_variable(environment)} with a profile of config/fastdds for every process"
        return Transport(summary, f"{_SLOW} over {summary}", remedy)
    if _LARGE_DATA.fullmatch(setting):
        return Transport(summary, largest_bytes=_LARGE_DATA_BYTES)
    return Transport(summary, f"{_SLOW} over Fast DDS's default transports: {summary}", _REMEDY)


def _of_profile(
    environment: Mapping[str, str], path: Path, root: ElementTree.Element, rtps: ElementTree.Element
) -> Transport:
    """What the default participant of a profiles file says."""
    builtin = _text(rtps, "builtinTransports")
    if builtin and has_transport_modes(environment):
        if _LARGE_DATA.fullmatch(builtin):
            return Transport(f"{builtin} of {path}", largest_bytes=_LARGE_DATA_BYTES)
        return Transport(f"{builtin} of {path}", f"{_SLOW}: {path} chooses the transports {builtin}", _REMEDY)
    if _text(rtps, "useBuiltinTransports").lower() not in ("false", "0"):
        return _of_environment(environment, f"; {path} leaves it to that")
    named = {_text(found, "transport_id"): found for found in _all(root, "transport_descriptor")}
    chosen = [
        (found.text or "").strip() for group in _all(rtps, "userTransports") for found in _all(group, "transport_id")
    ]
    descriptors = [named[name] for name in chosen if name in named]
    kinds = [_text(descriptor, "type") for descriptor in descriptors]
    summary = f"{' and '.join(kinds) or 'no transport'} of {path}"
    segments = [_segment_bytes(found) for found, kind in zip(descriptors, kinds, strict=True) if kind == "SHM"]
    if segments and max(segments) < _SMALLEST_SEGMENT_BYTES:
        problem = f"{_SLOW}: the shared memory of {path} has a segment of {max(segments)} bytes"
        return Transport(summary, problem, f"give it a segment_size of {_SMALLEST_SEGMENT_BYTES} or more")
    if not segments and not any(kind.startswith("TCP") for kind in kinds):
        problem = f"{_SLOW}: {path} has neither shared memory nor TCP"
        return Transport(summary, problem, "add shared memory, as in the profiles of config/fastdds")
    return Transport(summary, largest_bytes=max(segments, default=None))


def _default_participant(root: ElementTree.Element) -> ElementTree.Element | None:
    """The part of the default participant that matters here; ``None`` where no participant is the default."""
    for participant in _all(root, "participant"):
        if participant.get("is_default_profile", "").lower() in ("true", "1"):
            return next(_all(participant, "rtps"), ElementTree.Element("rtps"))
    return None


def _segment_bytes(descriptor: ElementTree.Element) -> int:
    text = _text(descriptor, "segment_size")
    return int(text) if text.isdecimal() else _DEFAULT_SEGMENT_BYTES


def _text(element: ElementTree.Element, name: str) -> str:
    """The text of the first element of this name; empty where there is none."""
    found = next(_all(element, name), None)
    return "" if found is None else (found.text or "").strip()


def _all(element: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    """Every element of this name below, with or without Fast DDS's namespace."""
    return (found for found in element.iter() if found.tag.rpartition("}")[2] == name)
