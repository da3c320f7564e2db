# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""``aliked-ros bench``: times this project beside its peers, in one run on the same frames."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aliked_ros.cli.options import add_option

if TYPE_CHECKING:
    from aliked_ros.bench.report import Report

SUMMARY = "time this project beside kornia's ALIKED, XFeat, SIFT and ORB"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand ``bench``."""
    from aliked_ros.bench.config import KEYPOINTS, PARTS, PEERS, PRECISIONS, SIZES, BenchConfig
    from aliked_ros.frontend.config import MODEL_NAMES

    text = f"{SUMMARY[0].upper()}{SUMMARY[1:]}, each in turn on the same frames, and print a table."
    parser = subparsers.add_parser("bench", help=SUMMARY, description=text)
    sizes = ", ".join(f"{width}x{height}" for width, height in SIZES)
    _add_repeatable(parser, "model", f"model to measure, of {', '.join(MODEL_NAMES)} [all]")
    _add_repeatable(parser, "precision", f"of {', '.join(PRECISIONS)} [all]")
    _add_repeatable(parser, "size", f"WIDTHxHEIGHT that frames are resized to; the table has 640x480 [{sizes}]")
    _add_repeatable(parser, "keypoints", f"limit; the table has 1000 [{', '.join(map(str, KEYPOINTS))}]", type=int)
    _add_repeatable(parser, "only", f"part to measure, of {', '.join(PARTS)} [all]")
    parser.add_argument("--peers", help=f"which of {','.join(PEERS)}; none for this project alone [all]")
    parser.add_argument("--threads", type=int, default=BenchConfig.threads, help=f"of each [{BenchConfig.threads}]")
    parser.add_argument("--rounds", type=int, default=BenchConfig.rounds, help=f"per frame [{BenchConfig.rounds}]")
    parser.add_argument(
        "--frames", default="", help="a folder, TUM directory, bag or video [freiburg2_desk, simulated]"
    )
    parser.add_argument("--profile", action="store_true", help="print where a frame's time goes, and nothing else")
    add_option(parser, "json", type=Path, metavar="FILE", help="write everything that was measured")
    add_option(parser, "plot", type=Path, metavar="FILE", help="draw a PNG")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measures, prints the tables, and writes what was asked for."""
    from aliked_ros.bench.frames import load_frames
    from aliked_ros.bench.plot import draw, require_matplotlib
    from aliked_ros.bench.run import Benchmark
    from aliked_ros.cli.bench_machine import describe_machine
    from aliked_ros.cli.bench_tables import as_text
    from aliked_ros.io.outputs import written_whole

    config = config_of(args)
    if args.plot:
        require_matplotlib()
    source, images = load_frames(args.frames)
    machine = describe_machine()
    report = _measure(Benchmark, config, images)
    print(as_text(report, machine, source))
    if args.json:
        with written_whole(args.json, force=True) as path:
            content = {"machine": machine, "frames_source": source, **report.as_dict()}
            path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    if args.plot:
        with written_whole(args.plot, force=True) as path:
            draw(report, _title(machine, report, source), path)
    return 0


def config_of(args: argparse.Namespace) -> Any:
    """The configuration that the arguments say; ConfigError for a value that cannot be."""
    from aliked_ros.bench.config import BenchConfig, parse_size

    given = {
        "models": _tuple(args.model),
        "precisions": _tuple(args.precision),
        "sizes": _tuple([parse_size(text) for text in args.size or ()]),
        "keypoints": _tuple(args.keypoints),
        "parts": ("profile",) if args.profile else _tuple(args.only),
        "peers": None if args.peers is None else _names(args.peers),
    }
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    return BenchConfig(threads=args.threads, rounds=args.rounds, **chosen)


def _measure(benchmark: Any, config: Any, images: Sequence[Any]) -> Report:
    from tqdm import tqdm

    with tqdm(total=len(config.parts), unit="part", disable=None) as progress:

        def notify(text: str) -> None:
            progress.set_postfix_str(text)
            progress.update(int(text in config.parts))

        report: Report = benchmark(config, images, notify).run()
    return report


def _title(machine: dict[str, Any], report: Report, source: str) -> str:
    cpu = f"{machine['cpu']} ({machine['instruction_set']})"
    return f"{cpu}, {report.settings['threads']} threads; {source}; {machine['date']}"


def _add_repeatable(parser: argparse.ArgumentParser, name: str, text: str, **settings: Any) -> None:
    parser.add_argument(f"--{name}", action="append", help=f"{text}; may be repeated", **settings)


def _tuple(values: Sequence[Any] | None) -> tuple[Any, ...] | None:
    return tuple(values) if values else None


def _names(text: str) -> tuple[str, ...]:
    return () if text == "none" else tuple(name.strip() for name in text.split(",") if name.strip())
