# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""``aliked-ros bag features``: runs the front-end over a sequence and records what it finds as mcap."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aliked_ros.cli.bag_options import add_bag_command, add_force, add_input
from aliked_ros.cli.options import add_config_options, add_option, config_from
from aliked_ros.errors import ConfigError, SourceError
from aliked_ros.frontend.config import ExtractorConfig, TrackingConfig, VerificationConfig

if TYPE_CHECKING:
    from aliked_ros.engine.base import EngineInfo
    from aliked_ros.frontend.frontend import FrameResult
    from aliked_ros.io.bags.feature_recorder import FeatureRecorder
    from aliked_ros.io.frames import Frame
    from aliked_ros.io.messages.descriptors import DescriptorDtype
    from aliked_ros.io.messages.message_fields import FrameMeta

_DESCRIPTORS = ("float32", "float16", "int8", "none")
_DEFAULT_NAMESPACE = "/tracker"  # of the node that publishes the same topics
_DEFAULT_SOURCE = "camera"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand ``features`` of ``bag``."""
    parser = add_bag_command(
        commands, "features", "find and track features and record them as mcap, with the definitions inside", run
    )
    add_input(parser)
    parser.add_argument("output", type=Path, help="the .mcap file to write")
    add_option(
        parser,
        "descriptors",
        choices=_DESCRIPTORS,
        default=_DESCRIPTORS[0],
        help="type of the recorded descriptors [float32]",
    )
    add_option(
        parser,
        "namespace",
        default=_DEFAULT_NAMESPACE,
        metavar="NAME",
        help=f"topics are NAME/features, NAME/matches and NAME/tracks [{_DEFAULT_NAMESPACE}]",
    )
    add_option(
        parser, "source_id", default=_DEFAULT_SOURCE, metavar="NAME", help=f"names the camera [{_DEFAULT_SOURCE}]"
    )
    for config_type in (ExtractorConfig, TrackingConfig, VerificationConfig):
        add_config_options(parser, config_type)
    add_force(parser)


def run(args: argparse.Namespace) -> int:
    """Records features; what was recorded before an error or an interruption is kept and can be read."""
    from tqdm import tqdm

    from aliked_ros.frontend.extractor import Extractor
    from aliked_ros.frontend.frontend import Frontend
    from aliked_ros.io.bags.feature_recorder import FeatureRecorder
    from aliked_ros.io.folders import make_output_folder
    from aliked_ros.io.messages.descriptors import DescriptorDtype
    from aliked_ros.io.sources.opening import open_source

    if args.output.suffix != ".mcap":
        raise ConfigError(f"{args.output}: features are recorded as mcap; give a name that ends in .mcap")
    if args.output.exists() and not args.force:
        raise SourceError(f"{args.output} exists; choose another name, or replace it with --force")
    options = {"start_s": args.start_s, "duration_s": args.duration_s, "image_topic": args.image_topic}
    extractor = Extractor.from_config(config_from(ExtractorConfig, args))
    with open_source(args.input, **options) as source:
        frontend = Frontend(
            extractor, config_from(TrackingConfig, args), config_from(VerificationConfig, args), source.camera
        )
        make_output_folder(args.output.parent)
        with FeatureRecorder(args.output) as recorder:
            dtype = DescriptorDtype[args.descriptors.upper()]
            results = _ResultRecorder(recorder, args.namespace, _meta(extractor.info, args.source_id), dtype)
            for frame in tqdm(source, total=source.num_frames, unit="frame", disable=None):
                results.write(frame, frontend(frame.image, frame.stamp_ns))
    counts = ", ".join(f"{count} messages on {topic}" for topic, count in recorder.counts.items())
    print(f"{counts} in {args.output}")
    return 0


class _ResultRecorder:
    """Writes what the front-end found in each frame to the three topics of the tracker node.

    Args:
        recorder: takes the messages.
        namespace: what the topics start with.
        meta: what is the same for all frames.
        descriptor_dtype: how descriptors are stored.
    """

    def __init__(
        self, recorder: FeatureRecorder, namespace: str, meta: FrameMeta, descriptor_dtype: DescriptorDtype
    ) -> None:
        self._recorder = recorder
        self._namespace = namespace
        self._meta = meta
        self._descriptor_dtype = descriptor_dtype

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Records one frame, with its stamp as time of recording."""
        from aliked_ros.io.messages.message_fields import features_fields, matches_fields, tracks_fields

        meta = dataclasses.replace(self._meta, stamp_ns=result.stamp_ns, frame_seq=result.frame_seq, epoch=result.epoch)
        features, tracks = result.features, result.tracks
        depth_m = None if frame.depth_m is None else depth_at(frame.depth_m, features.keypoints_xy)
        fields = features_fields(
            features,
            meta,
            track_ids=tracks.ids_of_features(len(features)),
            depth_m=depth_m,
            descriptor_dtype=self._descriptor_dtype,
        )
        self._write("features", "Features", fields, meta)
        if result.matches is not None and result.frame_seq_ref is not None and result.stamp_ref_ns is not None:
            fields = matches_fields(
                result.matches, meta, frame_seq_ref=result.frame_seq_ref, stamp_ref_ns=result.stamp_ref_ns
            )
            self._write("matches", "Matches", fields, meta)
        if depth_m is not None:
            tracks = dataclasses.replace(tracks, depth_m=depth_m[tracks.feature_indices])
        size = {"image_width": features.image_width, "image_height": features.image_height}
        self._write("tracks", "Tracks", tracks_fields(tracks, meta, **size), meta)

    def _write(self, topic: str, message: str, fields: dict[str, Any], meta: FrameMeta) -> None:
        name = f"{self._namespace.rstrip('/')}/{topic}"
        self._recorder.write_fields(name, f"aliked_msgs/msg/{message}", fields, meta.stamp_ns)


def depth_at(depth_m: NDArray[np.float32], xy: NDArray[np.float32]) -> NDArray[np.float32]:
    """The depth (N,) in metres at the pixels nearest to points (N, 2) of the image; NaN where it is missing."""
    height, width = depth_m.shape
    columns = np.clip(np.rint(xy[:, 0]).astype(np.intp), 0, width - 1)
    rows = np.clip(np.rint(xy[:, 1]).astype(np.intp), 0, height - 1)
    return depth_m[rows, columns]


def _meta(info: EngineInfo, source_id: str) -> FrameMeta:
    from aliked_ros.io.bags.topics import CameraTopics
    from aliked_ros.io.messages.message_fields import FrameMeta

    return FrameMeta(
        stamp_ns=0,
        frame_id=CameraTopics().camera_frame,
        frame_seq=0,
        epoch=0,
        source_id=source_id,
        model=info.model,
        weights_sha256=info.weights_sha256,
    )
