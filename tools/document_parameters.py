# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Writes docs/parameters.md from the configuration dataclasses: ``python -m tools.document_parameters``."""

from __future__ import annotations

from pathlib import Path

from aliked_ros.config import Config, NamedOption, full_name
from aliked_ros.ros.bridge_config import RTABMAP_RELAY_GROUPS, VINS_RELAY_GROUPS
from aliked_ros.ros.node_config import PLAYER_GROUPS, TRACKER_GROUPS, camera_groups
from aliked_ros.ros.odometry_config import OdometryConfig
from aliked_ros.ros.usage import shown_default
from aliked_ros.sim.config import SimulationConfig
from aliked_ros.slam.config import BACKEND_GROUPS

TARGET = Path(__file__).resolve().parents[1] / "docs" / "parameters.md"
Groups = tuple[tuple[str, type[Config]], ...]  # the prefix of each configuration's parameters
SECTIONS: tuple[tuple[str, Groups], ...] = (
    ("tracker", (*TRACKER_GROUPS, *camera_groups(()))),
    ("player", PLAYER_GROUPS),
    ("odometry, besides those of the reference backend below", (("", OdometryConfig),)),
    ("rtabmap_relay", RTABMAP_RELAY_GROUPS),
    ("vins_relay", VINS_RELAY_GROUPS),
    ("The reference backend (`aliked-ros slam --set GROUP.NAME=VALUE`)", BACKEND_GROUPS),
    ("Simulated sequences (`aliked-ros sim`, `slam`)", (("", SimulationConfig),)),
)
INTRODUCTION = """\
# Parameters

Made by `python -m tools.document_parameters` from the configuration classes, the only place where defaults are written;
`ros2 param describe` and each node's `--help` say the same. *Live* parameters may be set while the node runs;
the tracker's others, but for those that are fixed, while it is not configured. With several `cameras`, the parameters
of the tracker's last rows, from `calibration` on, hold for all of them, and exist for each below its name:
`left.calibration` goes before, and so do `left.rectified:=false` and an empty text, `left.mask:="''"`.
Matchers, cells and masks are explained in [matching.md](matching.md).
"""


def document() -> str:
    """The whole page, Markdown."""
    return "\n".join([INTRODUCTION, *(_section(title, configs) for title, configs in SECTIONS)])


def _section(title: str, groups: Groups) -> str:
    rows = [_row(prefix, named) for prefix, config in groups for named in config.options()]
    return "\n".join([f"## {title}", "", "| parameter | default | live | meaning |", "|---|---|---|---|", *rows, ""])


def _row(prefix: str, named: NamedOption) -> str:
    live = " yes " if named.option.live else " fixed " if named.option.fixed else " "
    return f"| `{full_name(prefix, named.name)}` | `{shown_default(named)}` |{live}| {named.option.describe()} |"


if __name__ == "__main__":
    TARGET.write_text(document(), encoding="utf-8")
