# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""``aliked-ros bag``: sequences to rosbag 2 and back, features to mcap, and what is in a bag."""

from __future__ import annotations

import argparse
import itertools
import statistics
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from aliked_ros.cli import bag_features
from aliked_ros.cli.bag_options import add_bag_command, add_force, add_input
from aliked_ros.cli.options import add_option
from aliked_ros.cli.report import properties, table
from aliked_ros.errors import ConfigError

if TYPE_CHECKING:
    from aliked_ros.io.frames import Frame, FrameSource

SUMMARY = "sequences to rosbag 2 and back, features to mcap"

_DEFAULT_RATE_HZ = 30.0  # of a video of one frame
_RATE_FRAMES = 30  # enough to tell a camera's rate


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand ``bag`` with its own subcommands."""
    parser = subparsers.add_parser("bag", help=SUMMARY, description=f"{SUMMARY[0].upper()}{SUMMARY[1:]}.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="bag_command", required=True)
    _add_create(commands)
    _add_export(commands)
    bag_features.add_parser(commands)
    info = add_bag_command(commands, "info", "say what is in a bag", run_info)
    info.add_argument("bag", type=Path, help="a rosbag 2 folder, a .mcap or .db3 file, or a ROS 1 .bag")


def _add_create(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_bag_command(
        commands, "create", "write a sequence as a rosbag 2 that `ros2 bag play` plays, from Humble on", run_create
    )
    add_input(parser)
    parser.add_argument("output", type=Path, help="the folder to make")
    add_option(parser, "storage", choices=("mcap", "sqlite3"), default="mcap", help="storage format [mcap]")
    add_option(
        parser,
        "compressed",
        nargs="?",
        choices=("jpeg", "png"),
        const="jpeg",
        default=None,
        help="write compressed images; png loses nothing [raw images; jpeg where no kind is given]",
    )
    add_force(parser)


def _add_export(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_bag_command(commands, "export", "write a bag as a TUM directory or a video", run_export)
    add_input(parser)
    parser.add_argument("output", type=Path, help="the directory to make, or a video whose name ends in .mp4")
    add_force(parser)


def run_create(args: argparse.Namespace) -> int:
    """Writes the bag, whole or not at all."""
    from aliked_ros.io.bags.writer import BagWriter
    from aliked_ros.io.outputs import written_whole

    if args.output.suffix in (".mcap", ".db3"):
        raise ConfigError(f"{args.output}: a rosbag 2 is a folder; give its name without {args.output.suffix}")
    options = {"storage": args.storage, "compression": args.compressed}
    with (
        _opened(args) as source,
        written_whole(args.output, force=args.force) as partial,
        BagWriter(partial, source.camera, **options) as writer,
    ):
        count = _write_all(_with_progress(source), writer.write)
    print(f"{count} frames in {args.output}")
    return 0


def run_export(args: argparse.Namespace) -> int:
    """Writes the directory or the video, whole or not at all."""
    from aliked_ros.io.outputs import written_whole
    from aliked_ros.io.tum_writer import TumWriter

    with _opened(args) as source, written_whole(args.output, force=args.force) as partial:
        frames = _with_progress(source)
        if args.output.suffix.lower() == ".mp4":
            count = _write_video(frames, partial)
        else:
            with TumWriter(partial, source.camera) as writer:
                count = _write_all(frames, writer.write)
    print(f"{count} frames in {args.output}")
    return 0


def run_info(args: argparse.Namespace) -> int:
    """Prints the topics of a bag and the time it covers; 1 where the bag is cut off, else 0."""
    from aliked_ros.io.bags.reader import BagReader
    from aliked_ros.io.sources.window import NS_PER_S, seconds_text

    with BagReader(args.bag) as reader:
        state = "whole" if reader.is_indexed else "no index: cut off, or never closed by its recorder"
        print(
            properties(
                {
                    "bag": str(args.bag),
                    "state": state,
                    "start": f"{seconds_text(reader.start_ns)} s",
                    "duration": f"{(reader.end_ns - reader.start_ns) / NS_PER_S:.3f} s",
                    "messages": str(sum(topic.count for topic in reader.topics)),
                }
            )
        )
        rows = [(topic.name, topic.message_type, str(topic.count)) for topic in reader.topics]
        if rows:
            print(table(rows, ("topic", "type", "messages")))
        return 0 if reader.is_indexed else 1


@contextmanager
def _opened(args: argparse.Namespace) -> Iterator[FrameSource]:
    from aliked_ros.io.sources.opening import open_source

    options = {"start_s": args.start_s, "duration_s": args.duration_s, "image_topic": args.image_topic}
    with open_source(args.input, **options) as source:
        yield source


def _with_progress(source: FrameSource) -> Iterator[Frame]:
    from tqdm import tqdm

    yield from tqdm(source, total=source.num_frames, unit="frame", disable=None)


def _write_all(frames: Iterable[Frame], write: Callable[[Frame], None]) -> int:
    count = 0
    for frame in frames:
        write(frame)
        count += 1
    return count


def _write_video(frames: Iterator[Frame], path: Path) -> int:
    from aliked_ros.io.video_writer import VideoWriter

    # A video has one rate, which the first frames tell.
    first = list(itertools.islice(frames, _RATE_FRAMES))
    with VideoWriter(path, _frame_rate_hz([frame.stamp_ns for frame in first])) as writer:
        return _write_all(itertools.chain(first, frames), lambda frame: writer.write(frame.image))


def _frame_rate_hz(stamps_ns: list[int]) -> float:
    intervals = [later - earlier for earlier, later in itertools.pairwise(stamps_ns) if later > earlier]
    return 1e9 / statistics.median(intervals) if intervals else _DEFAULT_RATE_HZ
