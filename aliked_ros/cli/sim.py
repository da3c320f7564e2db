# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""``aliked-ros sim``: writes a simulated RGB-D sequence with exact ground truth."""

from __future__ import annotations

import argparse
from pathlib import Path

from aliked_ros.cli.options import add_config_options, config_from

SUMMARY = "write a simulated TUM RGB-D sequence with exact poses and depth"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand ``sim``."""
    from aliked_ros.sim.config import SimulationConfig

    parser = subparsers.add_parser("sim", help=SUMMARY, description=f"{SUMMARY[0].upper()}{SUMMARY[1:]}.")
    parser.add_argument("output", type=Path, help="the directory to make")
    parser.add_argument("--force", action="store_true", help="replace the directory where it exists")
    names = [named.name for named in SimulationConfig.options() if named.name != "baseline_m"]  # TUM's has one camera
    add_config_options(parser, SimulationConfig, names)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Renders and writes the sequence."""
    from tqdm import tqdm

    from aliked_ros.sim.config import SimulationConfig
    from aliked_ros.sim.simulation import write_sequence

    config = config_from(SimulationConfig, args)
    with tqdm(total=config.frames, unit="frame", disable=None) as progress:
        write_sequence(config, args.output, progress.update, force=args.force)
    print(f"{config.frames} frames of scene {config.scene} in {args.output}")
    return 0
