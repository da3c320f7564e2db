# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""``aliked-ros pair``: the paper's image pair demo. The first image of a folder is matched with each other one."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aliked_ros.cli.demo_options import add_demo_options, extractor_config
from aliked_ros.cli.entry import add_verbosity, run_command
from aliked_ros.cli.options import config_from
from aliked_ros.cli.report import Measurements, number, table
from aliked_ros.errors import SourceError
from aliked_ros.frontend.config import TrackingConfig

if TYPE_CHECKING:
    from aliked_ros.cli.viewers import Viewer
    from aliked_ros.frontend.extractor import Extractor

SUMMARY = "match the first image of a folder with each of the others (the paper's pair demo)"
_HEADER = ("image", "features", "matches", "similarity", "frames/s")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand ``pair``."""
    configure(subparsers.add_parser("pair", help=SUMMARY, description=f"{SUMMARY[0].upper()}{SUMMARY[1:]}."))


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("input", type=Path, help="a folder of images")
    add_demo_options(parser, model="aliked-n16rot", min_similarity=0.75, output="out/pair")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Matches the images and shows or writes them."""
    from aliked_ros.cli.viewers import PictureViewer, WindowViewer
    from aliked_ros.io.sources.folder import list_images

    config = extractor_config(args)
    tracking = config_from(TrackingConfig, args)
    paths = list_images(args.input)
    if len(paths) < 2:
        raise SourceError(f"{args.input}: has one image only; put at least two there to match")
    viewer = PictureViewer(args.output) if args.no_display else WindowViewer("ALIKED pair", wait_always=True)
    # After what can be wrong with the input and the output: loading the network takes seconds.
    from aliked_ros.frontend.extractor import Extractor

    with viewer:
        rows = _match_all(Extractor.from_config(config), paths, tracking, viewer)
    print(table(rows, _HEADER))
    if args.no_display:
        print(f"pictures in {args.output}")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """The demo as a command of its own."""
    parser = argparse.ArgumentParser(prog="demo_pair", description=f"{SUMMARY[0].upper()}{SUMMARY[1:]}.")
    configure(parser)
    add_verbosity(parser)
    args = parser.parse_args(argv)
    return run_command(args.run, args)


def _match_all(
    extractor: Extractor, paths: Sequence[Path], tracking: TrackingConfig, viewer: Viewer
) -> list[tuple[str, ...]]:
    """A table row per image, the reference first."""
    from tqdm import tqdm

    from aliked_ros.frontend.matchers import create_matcher
    from aliked_ros.io.drawing import draw_banner, draw_matches
    from aliked_ros.io.images import read_image

    matcher = create_matcher(tracking.matcher, extractor)
    measured = Measurements()
    start = time.perf_counter()
    image_ref = read_image(paths[0])
    reference = extractor(image_ref)
    measured.add_frame(time.perf_counter() - start)
    rows: list[tuple[str, ...]] = [(paths[0].name, str(len(reference)), "-", "-", number(measured.last_rate_hz))]
    for path in (progress := tqdm(paths[1:], unit="pair", disable=None)):
        start = time.perf_counter()
        image = read_image(path)
        features = extractor(image)
        matches = matcher.match(features, reference, tracking)
        measured.add_frame(time.perf_counter() - start)
        similarity = number(float(matches.similarities.mean()), 3) if len(matches) else "-"
        rate = number(measured.last_rate_hz)
        rows.append((path.name, str(len(features)), str(len(matches)), similarity, rate))
        progress.set_postfix_str(f"{len(features)} features, {len(matches)} matches, {rate} frames/s")
        drawn = draw_matches(image, image_ref, matches, tracking.weakest_match)
        text = f"{len(reference)} / {len(features)} features   {len(matches)} matches   {rate} frames/s"
        if not viewer.show(draw_banner(drawn, text), f"{paths[0].stem}-{path.stem}", 0):
            break
    return rows


if __name__ == "__main__":
    sys.exit(main())
