# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Generated messages and files, valid and broken, through everything of this project that reads them.

``python -m tools.fuzz``; ``make fuzz FUZZ="--seconds 600 --seed 7"``. The cases run in a process of their own. A find
is an exception that is no AlikedError, a wrong count, a crash, a hang, or memory that grows. Every case follows from
its seed and number alone, and each find comes with the command that repeats it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from aliked_ros.cli.options import add_config_options, config_from
from aliked_ros.errors import AlikedError
from tools.fuzz.campaign import Campaign
from tools.fuzz.config import FAMILIES, FuzzConfig
from tools.fuzz.report import as_dict, as_table, write_finds


def parse(arguments: Sequence[str] | None) -> tuple[FuzzConfig, Path]:
    """The command line as a configuration and the folder for results; exits on a wrong one, as argparse does."""
    parser = argparse.ArgumentParser(
        "python -m tools.fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config_options(parser, FuzzConfig)
    parser.add_argument(
        "--only", choices=FAMILIES, action="append", help="try this family only; may be given several times"
    )
    parser.add_argument(
        "--output", type=Path, default=Path("out"), help="folder for fuzz.json, fuzz.log and finds [out]"
    )
    args = parser.parse_args(arguments)
    left_out = set(FAMILIES) - set(args.only or FAMILIES)
    try:
        return config_from(FuzzConfig, args, **dict.fromkeys(left_out, 0)), args.output
    except AlikedError as error:
        parser.error(str(error))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a campaign, prints a table, writes the JSON file, and returns the exit code: 1 where something was found."""
    config, output = parse(arguments)
    output.mkdir(parents=True, exist_ok=True)
    try:
        findings = Campaign(config, output / "fuzz.log").run()
    except AlikedError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    (output / "fuzz.json").write_text(json.dumps(as_dict(config, findings), indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"{as_table(findings)}\n")
    for path in write_finds(config, findings, output / "fuzz_finds"):
        sys.stdout.write(f"{path}\n")
    sys.stdout.write(f"{output / 'fuzz.json'}\n")
    return 1 if findings.finds else 0


if __name__ == "__main__":
    raise SystemExit(main())
