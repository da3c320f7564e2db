# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""``aliked-ros export``: features and matches for COLMAP and for Hierarchical-Localization (hloc)."""

from __future__ import annotations

import argparse
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aliked_ros.cli.bag_options import add_bag_command, add_force, add_input
from aliked_ros.cli.export_images import ExportImage, ExportImages, SelectionConfig, opened_images
from aliked_ros.cli.options import add_config_options, add_option, config_from
from aliked_ros.errors import ConfigError, SourceError
from aliked_ros.frontend.config import ExtractorConfig, MatchGraphConfig, VerificationConfig

if TYPE_CHECKING:
    from aliked_ros.features import Matches
    from aliked_ros.frontend.match_graph import PairMatches
    from aliked_ros.io.bags.feature_recording import FeatureRecording
    from aliked_ros.io.export.writer import MatchWriter

SUMMARY = "features and matches for COLMAP and for hloc"

_COLMAP_EXAMPLES = """\
examples:
  aliked-ros export colmap rgbd_dataset_freiburg2_desk desk.db --stride 5
  colmap mapper --database_path desk.db --image_path rgbd_dataset_freiburg2_desk/rgb --output_path sparse
  aliked-ros export colmap run7.mcap run7.db --images run7 --pairs loops      # a bag: its images go to run7/
  aliked-ros export colmap out/features.mcap out.db --calibration camera.yaml # what a tracker found

Intrinsics are those of the sequence or of --calibration, with their distortion; without either the mapper estimates
them, and matches are verified by a fundamental matrix instead of an essential one. All matches are written, and a
two-view geometry for each pair that was verified. An image is named after its stamp, as in TUM's sequences."""
_HLOC_EXAMPLES = """\
examples:
  aliked-ros export hloc rgbd_dataset_freiburg2_desk desk --stride 5
  aliked-ros export hloc out/features.mcap out/hloc --pairs exhaustive

The folder holds features.h5, matches.h5 and pairs.txt, which hloc's reconstruction, triangulation and localize_sfm take
as they are. Needs h5py (pip install h5py)."""

_logger = logging.getLogger(__name__)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand ``export`` with its own subcommands."""
    parser = subparsers.add_parser("export", help=SUMMARY, description=f"{SUMMARY[0].upper()}{SUMMARY[1:]}.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="export_command", required=True)
    colmap = add_bag_command(
        commands, "colmap", "write a COLMAP database that its mapper reconstructs from", run_colmap
    )
    _add_common(colmap, "the database to make, such as desk.db", _COLMAP_EXAMPLES)
    add_config_options(colmap, VerificationConfig, ("max_error_px", "min_inliers", "max_iterations"))
    hloc = add_bag_command(commands, "hloc", "write the HDF5 files that hloc's steps take", run_hloc)
    _add_common(hloc, "the folder to make", _HLOC_EXAMPLES)
    hloc.add_argument("--half", action="store_true", help="store float16, as hloc does by default [float32]")


def _add_common(parser: argparse.ArgumentParser, output: str, examples: str) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = examples
    add_input(parser)
    parser.add_argument("output", type=Path, help=output)
    add_option(parser, "images", type=Path, default=None, metavar="DIR", help="also write the images there, as PNG")
    add_config_options(parser, SelectionConfig)
    add_config_options(parser, MatchGraphConfig, ("pairs", "window", "loop_candidates", "min_similarity"))
    add_option(
        parser,
        "recorded_matches",
        action="store_true",
        help="of a recording of features: match by the tracks it holds, or its matches where it has no tracks",
    )
    add_config_options(parser, ExtractorConfig)
    add_force(parser)


def run_colmap(args: argparse.Namespace) -> int:
    """Writes the database, whole or not at all."""
    from aliked_ros.io.export.colmap import ColmapDatabase

    with _outputs(args) as (images, output), ColmapDatabase(output, images.camera) as database:
        geometry = "fundamental" if images.camera is None else "essential"
        counts = _export(args, images, database, config_from(VerificationConfig, args, geometry=geometry))
    print(f"{_summary(counts)}, {counts['verified']} pairs verified in {args.output}")
    if not counts["verified"]:
        _logger.warning("no pair was verified, so the mapper has nothing to begin with; see --help for the options")
    return 0


def run_hloc(args: argparse.Namespace) -> int:
    """Writes the files, whole or not at all."""
    from aliked_ros.io.export.hloc import HlocWriter

    with _outputs(args) as (images, output), HlocWriter(output, half=args.half) as writer:
        counts = _export(args, images, writer, None)
    print(f"{_summary(counts)} in {args.output}")
    return 0


@contextmanager
def _outputs(args: argparse.Namespace) -> Iterator[tuple[ExportImages, Path]]:
    """The images and where to write; what exists is found out before the work."""
    from aliked_ros.io.outputs import written_whole

    if args.images is not None and args.images.is_dir() and any(args.images.iterdir()):
        raise SourceError(f"{args.images} is not empty; choose another folder for the images")
    with written_whole(args.output, force=args.force) as partial, opened_images(args) as images:
        if args.images is not None and images.recording is not None:
            raise ConfigError(f"{args.input} is a recording of features without images; leave --images out")
        yield images, partial


class _Export:
    """Passes images and the matches of their pairs on to a writer, and counts them."""

    def __init__(self, writer: MatchWriter) -> None:
        self._writer = writer
        self._names: list[str] = []
        self._indices: dict[int, int] = {}  # by frame_seq
        self.counts: Counter[str] = Counter()

    def add_image(self, image: ExportImage, directory: Path | None) -> None:
        """Writes an image's features, and its pixels where a directory is given."""
        from aliked_ros.io.export.writer import image_name
        from aliked_ros.io.folders import make_output_folder
        from aliked_ros.io.images import write_image

        name = image_name(image.stamp_ns)
        self._writer.add_image(name, image.features)
        self._indices[image.frame_seq] = len(self._names)
        self._names.append(name)
        self.counts.update(images=1, keypoints=len(image.features))
        if directory is not None and image.pixels is not None:
            write_image(make_output_folder(directory) / name, image.pixels)

    def add_pairs(self, pairs: Iterable[PairMatches]) -> None:
        """Writes the matches of pairs of images that were added before."""
        for pair in pairs:
            matches = pair.matches
            self._writer.add_pair(self._names[pair.index], self._names[pair.index_ref], matches)
            self.counts.update(pairs=len(matches) > 0, matches=len(matches), verified=matches.model is not None)

    def add_recorded(self, recording: FeatureRecording, verified: Callable[[Matches], Matches]) -> None:
        """Writes the matches to previous images that a recording holds."""
        from aliked_ros.frontend.match_graph import PairMatches

        for message in recording.matches():
            index = self._indices.get(message.meta.frame_seq)
            index_ref = self._indices.get(message.frame_seq_ref)
            if index is not None and index_ref is not None:
                matches = message.matches if message.matches.model is not None else verified(message.matches)
                self.add_pairs([PairMatches(index, index_ref, matches)])


def _export(
    args: argparse.Namespace, images: ExportImages, writer: MatchWriter, verification: VerificationConfig | None
) -> Counter[str]:
    """Writes everything and returns the numbers of images, keypoints, pairs, matches and verified pairs."""
    from tqdm import tqdm

    from aliked_ros.frontend.match_graph import MatchGraph

    export = _Export(writer)
    progress = tqdm(images.images, total=images.count, unit="image", disable=None)
    if images.recording is not None and args.recorded_matches:
        _export_recorded(args, export, progress, images, verification)
        return export.counts
    graph = MatchGraph(config_from(MatchGraphConfig, args), verification, images.camera)
    for image in progress:
        export.add_image(image, args.images)
        export.add_pairs(graph.add(image.features))
    export.add_pairs(tqdm(graph.loops(), unit="pair", disable=None if graph.finds_loops else True))
    return export.counts


def _export_recorded(
    args: argparse.Namespace,
    export: _Export,
    progress: Iterable[ExportImage],
    images: ExportImages,
    verification: VerificationConfig | None,
) -> None:
    """Takes the tracks that were recorded or, of a recording without, the matches."""
    from aliked_ros.frontend.match_graph import TrackGraph
    from aliked_ros.frontend.verification import verify

    window = config_from(MatchGraphConfig, args).window
    graph, epoch, has_tracks = TrackGraph(window, verification, images.camera), 0, False
    for image in progress:
        export.add_image(image, None)
        has_tracks |= image.track_ids is not None
        if image.epoch != epoch:
            graph.begin_epoch()
            epoch = image.epoch
        ids = np.full(len(image.features), -1, np.int64) if image.track_ids is None else image.track_ids
        export.add_pairs(graph.add(image.features, ids))
    if not has_tracks and images.recording is not None:
        export.add_recorded(
            images.recording,
            lambda matches: matches if verification is None else verify(matches, verification, images.camera),
        )


def _summary(counts: Counter[str]) -> str:
    return (
        f"{counts['images']} images with {counts['keypoints']} keypoints, "
        f"{counts['pairs']} pairs with {counts['matches']} matches"
    )
