# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""``aliked-ros seq``: the paper's sequence demo. Tracks features and shows them beside the score map."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from aliked_ros.cli.demo_options import add_demo_options, extractor_config
from aliked_ros.cli.entry import add_verbosity, run_command
from aliked_ros.cli.options import add_option, config_from
from aliked_ros.cli.report import Measurements, number, properties
from aliked_ros.frontend.config import TrackingConfig

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aliked_ros.cli.viewers import Viewer
    from aliked_ros.frontend.frontend import FrameResult, Frontend
    from aliked_ros.io.drawing import TrackTrails
    from aliked_ros.io.frames import Frame, FrameSource

SUMMARY = "track features through a sequence (the paper's sequence demo)"
VIDEO_NAME = "tracks.mp4"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand ``seq``."""
    configure(subparsers.add_parser("seq", help=SUMMARY, description=f"{SUMMARY[0].upper()}{SUMMARY[1:]}."))


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("input", help="a folder of images, a video, a TUM directory, a bag, or camera0")
    add_demo_options(parser, model="aliked-n32", min_similarity=TrackingConfig.min_similarity, output="out/seq")
    add_option(parser, "start_s", type=float, default=0.0, metavar="S", help="seconds to skip [0]")
    add_option(parser, "duration_s", type=float, default=None, metavar="S", help="seconds to track [to the end]")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Tracks the sequence and shows or writes it."""
    from aliked_ros.cli.viewers import VideoViewer, WindowViewer
    from aliked_ros.io.sources.opening import open_source

    config = extractor_config(args)
    tracking = config_from(TrackingConfig, args)
    video = args.output / VIDEO_NAME
    with open_source(args.input, start_s=args.start_s, duration_s=args.duration_s) as source:
        viewer = VideoViewer(video) if args.no_display else WindowViewer("ALIKED seq", wait_always=False)
        # After what can be wrong with the input and the output: loading the network takes seconds.
        from aliked_ros.frontend.extractor import Extractor
        from aliked_ros.frontend.frontend import Frontend

        frontend = Frontend(Extractor.from_config(config), tracking, camera=source.camera)
        measured = Measurements()
        try:
            with viewer:
                _track_all(source, frontend, viewer, measured)
        finally:  # what was tracked until an error is still worth knowing
            if measured.num_frames:
                print(_summary(frontend, measured))
    if args.no_display:
        print(f"video: {video}")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """The demo as a command of its own."""
    parser = argparse.ArgumentParser(prog="demo_seq", description=f"{SUMMARY[0].upper()}{SUMMARY[1:]}.")
    configure(parser)
    add_verbosity(parser)
    args = parser.parse_args(argv)
    return run_command(args.run, args)


def _track_all(source: FrameSource, frontend: Frontend, viewer: Viewer, measured: Measurements) -> None:
    from tqdm import tqdm

    from aliked_ros.io.drawing import TrackTrails

    trails, epoch = TrackTrails(), 0
    with tqdm(total=source.num_frames, unit="frame", disable=None) as progress:
        for frame, result in _results(source, frontend, measured):
            if result.epoch != epoch:
                trails.clear()
                epoch = result.epoch
            text = _count(result, measured)
            progress.set_postfix_str(text)
            progress.update()
            drawn = _draw(frame.image, result, frontend, trails, text)
            if not viewer.show(drawn, f"{result.frame_seq:06d}", result.stamp_ns):
                return


def _results(source: FrameSource, frontend: Frontend, measured: Measurements) -> Iterator[tuple[Frame, FrameResult]]:
    frames = iter(source)
    while True:
        start = time.perf_counter()
        frame = next(frames, None)
        if frame is None:
            return
        result = frontend(frame.image, frame.stamp_ns)
        measured.add_frame(time.perf_counter() - start)
        yield frame, result


def _count(result: FrameResult, measured: Measurements) -> str:
    """Records a frame's counts and says them."""
    measured.add(features=len(result.features), **result.timings_ms)
    if len(result.tracks):
        measured.add(track_length=float(result.tracks.ages.mean()))
    text = f"{len(result.features)} features"
    if result.matches is not None:
        measured.add(matches=len(result.matches))
        text += f", {len(result.matches)} matches"
    return f"{text}, {measured.rate_hz:.1f} frames/s"


def _draw(
    image: NDArray[np.uint8], result: FrameResult, frontend: Frontend, trails: TrackTrails, text: str
) -> NDArray[np.uint8]:
    from aliked_ros.io.drawing import draw_banner, draw_score_map, draw_tracks, side_by_side

    tracks = draw_tracks(image, result.tracks, trails.update(result.tracks))
    score_map = draw_score_map(image, frontend.extractor.score_map(image))
    return side_by_side(draw_banner(tracks, text), draw_banner(score_map, "score map"))


def _summary(frontend: Frontend, measured: Measurements) -> str:
    info = frontend.extractor.info
    stages = ("preprocess", "inference", "match")
    times = ", ".join(f"{stage} {number(measured.mean(stage))}" for stage in stages)
    return properties(
        {
            "model": f"{info.model} on {info.device} ({info.backend}, {info.precision})",
            "frames": str(measured.num_frames),
            "features, mean": number(measured.mean("features")),
            "matches, mean": number(measured.mean("matches")),
            "track length, mean": f"{number(measured.mean('track_length'))} frames",
            "frame rate": f"{measured.rate_hz:.2f} frames/s, whole: read, extract, match, track",
            "time in ms, mean": times,
        }
    )


if __name__ == "__main__":
    sys.exit(main())
