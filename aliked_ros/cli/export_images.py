# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The images that an export is made of: a sequence whose features are found now, or a recording of features."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aliked_ros.cli.options import config_from
from aliked_ros.config import Config, option
from aliked_ros.errors import ConfigError
from aliked_ros.frontend.config import ExtractorConfig

if TYPE_CHECKING:
    from aliked_ros.camera import Camera
    from aliked_ros.features import Features
    from aliked_ros.io.bags.feature_recording import FeatureRecording
    from aliked_ros.io.messages.message_fields import FeaturesMessage
    from aliked_ros.io.sources.window import TimeWindow


@dataclass(frozen=True)
class SelectionConfig(Config):
    """Which images are taken, and what took them."""

    stride: int = option(
        1, "take every so many-th image; structure from motion wants motion between them",
        unit="images", minimum=1, maximum=1000000,
    )  # fmt: skip
    calibration: str = option(
        "", "calibration instead of the sequence's own: TUM's fr1, fr2 or fr3, or a camera_info YAML file"
    )
    features_topic: str = option("", "the features of a recording; empty where it has one camera only")


@dataclass(frozen=True, eq=False)
class ExportImage:
    """One image of an export."""

    frame_seq: int  # unique; a recording's own number
    stamp_ns: int
    features: Features
    pixels: NDArray[np.uint8] | None = None  # RGB or grey; None of a recording of features
    track_ids: NDArray[np.int64] | None = None  # (N,) as recorded, -1 for none, unique within an epoch
    epoch: int = 0


@dataclass(frozen=True, eq=False)
class ExportImages:
    """The images, to be iterated over once."""

    images: Iterator[ExportImage]
    count: int | None  # None where nobody can tell
    camera: Camera | None
    recording: FeatureRecording | None  # where the features come from, if they were recorded


@contextmanager
def opened_images(args: argparse.Namespace) -> Iterator[ExportImages]:
    """Opens what the arguments name; loads the network only where features are to be found.

    Raises:
        SourceError: nothing there that can be read.
        ConfigError: an option is out of range, or fits sequences only.
    """
    from aliked_ros.io.calibration import camera_named
    from aliked_ros.io.sources.opening import is_bag

    selection = config_from(SelectionConfig, args)
    camera = camera_named(selection.calibration) if selection.calibration else None
    path = Path(args.input)
    if path.exists() and is_bag(path) and _is_recording(path, args.image_topic):
        with _recorded(path, selection, camera, args) as images:
            yield images
        return
    if selection.features_topic or args.recorded_matches:
        raise ConfigError(
            f"{args.input}: --features_topic and --recorded_matches are for recordings of features, and this is none; "
            "`aliked-ros bag features` makes one"
        )
    with _extracted(selection, camera, args) as images:
        yield images


def _is_recording(path: Path, image_topic: str | None) -> bool:
    from aliked_ros.io.bags.feature_recording import holds_features

    return image_topic is None and holds_features(path)


@contextmanager
def _extracted(selection: SelectionConfig, camera: Camera | None, args: argparse.Namespace) -> Iterator[ExportImages]:
    from aliked_ros.io.sources.opening import open_source

    options = {"start_s": args.start_s, "duration_s": args.duration_s, "image_topic": args.image_topic}
    with open_source(args.input, camera=camera, **options) as source:
        # After what can be wrong with the input: loading the network takes seconds.
        from aliked_ros.frontend.extractor import Extractor

        extractor = Extractor.from_config(config_from(ExtractorConfig, args))
        images = (
            ExportImage(index, frame.stamp_ns, extractor(frame.image), frame.image)
            for index, frame in enumerate(itertools.islice(source, 0, None, selection.stride))
        )
        yield ExportImages(images, _strided(source.num_frames, selection.stride), source.camera, None)


@contextmanager
def _recorded(
    path: Path, selection: SelectionConfig, camera: Camera | None, args: argparse.Namespace
) -> Iterator[ExportImages]:
    from aliked_ros.io.bags.feature_recording import FeatureRecording
    from aliked_ros.io.sources.window import TimeWindow

    window = TimeWindow(args.start_s, args.duration_s)
    with FeatureRecording(path, selection.features_topic or None) as recording:
        messages = itertools.islice(_within(window, recording.features()), 0, None, selection.stride)
        images = (_image(message, args.recorded_matches) for message in messages)
        count = _strided(recording.num_images, selection.stride) if window == TimeWindow() else None
        yield ExportImages(images, count, camera, recording)


def _within(window: TimeWindow, messages: Iterator[FeaturesMessage]) -> Iterator[FeaturesMessage]:
    first_ns: int | None = None
    for message in messages:
        first_ns = message.meta.stamp_ns if first_ns is None else first_ns
        elapsed_ns = message.meta.stamp_ns - first_ns
        if window.ended(elapsed_ns):
            return
        if window.begun(elapsed_ns):
            yield message


def _image(message: FeaturesMessage, recorded_matches: bool) -> ExportImage:
    features = message.features
    if len(features) and not features.descriptors.shape[1] and not recorded_matches:
        raise ConfigError(
            "the recording has no descriptors to match by; take its own matches with --recorded_matches, "
            "or record with descriptors"
        )
    meta = message.meta
    return ExportImage(meta.frame_seq, meta.stamp_ns, features, track_ids=message.track_ids, epoch=meta.epoch)


def _strided(count: int | None, stride: int) -> int | None:
    return None if count is None else -(-count // stride)
