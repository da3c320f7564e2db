# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Features, Matches and Tracks as the fields of aliked_msgs' messages, and back.

The one place where that mapping is written. It knows no ROS: the ``*_fields`` functions return a dictionary
with the value of every field (nested messages as dictionaries, sequences as one-dimensional arrays of the
field's type), which ros/conversions.py puts into rclpy messages and io/messages/ros_types.py serialises without ROS.
The ``*_from_fields`` functions read anything that has the fields as attributes: messages of rclpy, of
rosbags, of mcap's decoder. They copy no array that they can view and refuse, with a MessageError, a message
whose lengths, indices, enumerations or coordinates contradict each other.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aliked_ros.errors import MessageError
from aliked_ros.features import Features, Float32Array, Matches, ModelType, Tracks, TwoViewModel
from aliked_ros.io.messages.descriptors import (
    DescriptorDtype,
    DescriptorMetric,
    EncodedDescriptors,
    decode_descriptors,
    encode_descriptors,
)
from aliked_ros.io.messages.field_reader import FieldReader
from aliked_ros.io.messages.fields import Fields, bounded, flat, header_fields, none_if_empty, per_row, time_fields

_SHORT_TEXT = 64  # bound of source_id, model and weights_sha256 in the message definitions
_MATCHER_TEXT = 32


class Coords(enum.IntEnum):
    """What pixel coordinates refer to; the values are those of Features.msg and Tracks.msg."""

    RAW = 0  # the image as it came from the camera
    UNDISTORTED = 1
    RECTIFIED = 2


@dataclass(frozen=True)
class FrameMeta:
    """Which image a message is about, and what made it."""

    stamp_ns: int
    frame_id: str
    frame_seq: int
    epoch: int
    source_id: str
    coords: Coords = Coords.RAW
    model: str = ""
    weights_sha256: str = ""


@dataclass(frozen=True, eq=False)
class FeaturesMessage:
    """The contents of a Features message."""

    features: Features
    meta: FrameMeta
    track_ids: NDArray[np.int64] | None  # (N,), -1 where a feature has no track
    depth_m: Float32Array | None  # (N,) metres, NaN where unknown
    descriptor_dtype: DescriptorDtype
    descriptor_metric: DescriptorMetric
    descriptor_normalized: bool


@dataclass(frozen=True, eq=False)
class MatchesMessage:
    """The contents of a Matches message; ``meta`` is that of the image, not of the reference."""

    matches: Matches
    meta: FrameMeta
    frame_seq_ref: int
    stamp_ref_ns: int
    source_id_ref: str


@dataclass(frozen=True, eq=False)
class TracksMessage:
    """The contents of a Tracks message."""

    tracks: Tracks
    meta: FrameMeta
    image_width: int
    image_height: int


def features_fields(
    features: Features,
    meta: FrameMeta,
    *,
    track_ids: NDArray[np.int64] | None = None,
    depth_m: Float32Array | None = None,
    descriptor_dtype: DescriptorDtype = DescriptorDtype.FLOAT32,
) -> Fields:
    """The fields of Features.msg. ``dispersity`` has no field there; everything else survives.

    FLOAT32 descriptors and all other arrays share the memory of ``features`` where they are contiguous.

    Raises:
        MessageError: ``track_ids`` or ``depth_m`` has not one value per feature, or a text is too long.
    """
    count = len(features)
    encoded = encode_descriptors(features.descriptors, descriptor_dtype)
    return {
        "header": header_fields(meta.stamp_ns, meta.frame_id),
        "frame_seq": meta.frame_seq,
        "epoch": meta.epoch,
        "source_id": bounded("source_id", meta.source_id, _SHORT_TEXT),
        "image_width": features.image_width,
        "image_height": features.image_height,
        "coords": int(meta.coords),
        "num_features": count,
        "xy": flat(features.keypoints_xy, np.float32),
        "scores": flat(features.scores, np.float32),
        "sigma_px": flat(features.sigma_px, np.float32),
        "depth_m": per_row("depth_m", depth_m, np.float32, count),
        "track_ids": per_row("track_ids", track_ids, np.int64, count),
        "descriptor_dtype": int(encoded.dtype),
        "descriptor_metric": int(DescriptorMetric.COSINE),
        "descriptor_normalized": True,
        "descriptor_dim": encoded.dim,
        "descriptor_scale": encoded.scale,
        "descriptors": encoded.data,
        "model": bounded("model", meta.model, _SHORT_TEXT),
        "weights_sha256": bounded("weights_sha256", meta.weights_sha256, _SHORT_TEXT),
    }


def features_from_fields(message: Any) -> FeaturesMessage:
    """Reads a Features message; absent scores become NaN, absent descriptors an array (N, 0).

    Raises:
        MessageError: the message contradicts itself; it names the field, its length and what was expected.
    """
    reader = FieldReader(message, "Features")
    count = reader.unsigned("num_features")
    scores = reader.optional_rows("scores", np.float32, count)
    encoded = EncodedDescriptors(
        reader.enumeration("descriptor_dtype", DescriptorDtype),
        reader.unsigned("descriptor_dim"),
        reader.number("descriptor_scale"),
        reader.array("descriptors", np.uint8),
    )
    features = Features(
        keypoints_xy=reader.points("xy", count),
        scores=np.full(count, np.nan, np.float32) if scores is None else scores,
        descriptors=decode_descriptors(encoded, count),
        image_width=reader.positive("image_width"),
        image_height=reader.positive("image_height"),
        sigma_px=none_if_empty(reader.optional_rows("sigma_px", np.float32, count)),
    )
    return FeaturesMessage(
        features,
        _read_meta(reader, coords=True, model=True),
        track_ids=none_if_empty(reader.optional_rows("track_ids", np.int64, count)),
        depth_m=none_if_empty(reader.optional_rows("depth_m", np.float32, count)),
        descriptor_dtype=encoded.dtype,
        descriptor_metric=reader.enumeration("descriptor_metric", DescriptorMetric),
        descriptor_normalized=reader.flag("descriptor_normalized"),
    )


def matches_fields(
    matches: Matches,
    meta: FrameMeta,
    *,
    frame_seq_ref: int,
    stamp_ref_ns: int,
    source_id_ref: str | None = None,
) -> Fields:
    """The fields of Matches.msg; the reference is of the same source unless ``source_id_ref`` says otherwise.

    Raises:
        MessageError: a text is too long.
    """
    model = matches.model
    reference = meta.source_id if source_id_ref is None else source_id_ref
    return {
        "header": header_fields(meta.stamp_ns, meta.frame_id),
        "stamp_ref": time_fields(stamp_ref_ns),
        "frame_seq": meta.frame_seq,
        "frame_seq_ref": frame_seq_ref,
        "epoch": meta.epoch,
        "source_id": bounded("source_id", meta.source_id, _SHORT_TEXT),
        "source_id_ref": bounded("source_id_ref", reference, _SHORT_TEXT),
        "num_matches": len(matches),
        "idx": flat(matches.indices, np.uint32),
        "idx_ref": flat(matches.indices_ref, np.uint32),
        "xy": flat(matches.xy, np.float32),
        "xy_ref": flat(matches.xy_ref, np.float32),
        "scores": flat(matches.similarities, np.float32),
        "inlier": flat(None if matches.inliers is None else matches.inliers.view(np.uint8), np.uint8),
        "model_type": int(ModelType.NONE if model is None else model.type),
        "model_matrix": np.zeros(9) if model is None else flat(model.matrix, np.float64),
        "matcher": bounded("matcher", matches.matcher, _MATCHER_TEXT),
    }


def matches_from_fields(
    message: Any, *, num_features: int | None = None, num_features_ref: int | None = None
) -> MatchesMessage:
    """Reads a Matches message; where the numbers of features are given, every index is checked against them.

    Raises:
        MessageError: the message contradicts itself; it names the field, its length and what was expected.
    """
    reader = FieldReader(message, "Matches")
    count = reader.unsigned("num_matches")
    inlier = none_if_empty(reader.optional_rows("inlier", np.uint8, count))
    if inlier is not None and int(inlier.max()) > 1:
        raise MessageError(f"Matches.inlier must be 0 or 1, got {int(inlier.max())}")
    similarities = reader.optional_rows("scores", np.float32, count)
    matches = Matches(
        indices=reader.indices("idx", count, num_features),
        indices_ref=reader.indices("idx_ref", count, num_features_ref),
        xy=reader.points("xy", count),
        xy_ref=reader.points("xy_ref", count),
        similarities=np.full(count, np.nan, np.float32) if similarities is None else similarities,
        matcher=reader.text("matcher"),
        inliers=None if inlier is None else inlier.view(np.bool_),
        model=_read_model(reader),
    )
    return MatchesMessage(
        matches,
        _read_meta(reader),
        frame_seq_ref=reader.unsigned("frame_seq_ref"),
        stamp_ref_ns=reader.stamp_ns("stamp_ref"),
        source_id_ref=reader.text("source_id_ref"),
    )


def tracks_fields(tracks: Tracks, meta: FrameMeta, *, image_width: int, image_height: int) -> Fields:
    """The fields of Tracks.msg.

    Raises:
        MessageError: a text is too long.
    """
    return {
        "header": header_fields(meta.stamp_ns, meta.frame_id),
        "frame_seq": meta.frame_seq,
        "epoch": meta.epoch,
        "source_id": bounded("source_id", meta.source_id, _SHORT_TEXT),
        "image_width": image_width,
        "image_height": image_height,
        "coords": int(meta.coords),
        "num_tracks": len(tracks),
        "ids": flat(tracks.ids, np.int64),
        "ages": flat(tracks.ages, np.uint32),
        "xy": flat(tracks.xy, np.float32),
        "xy_norm": flat(tracks.xy_norm, np.float32),
        "velocity": flat(tracks.velocity, np.float32),
        "depth_m": flat(tracks.depth_m, np.float32),
        "sigma_px": flat(tracks.sigma_px, np.float32),
        "scores": flat(tracks.scores, np.float32),
        "feature_idx": flat(tracks.feature_indices, np.uint32),
        "lost_ids": flat(tracks.lost_ids, np.int64),
        "median_parallax_px": float(tracks.median_parallax_px),
        "keyframe_hint": bool(tracks.keyframe_hint),
    }


def tracks_from_fields(message: Any, *, num_features: int | None = None) -> TracksMessage:
    """Reads a Tracks message; where the number of features is given, every index is checked against it.

    Raises:
        MessageError: the message contradicts itself; it names the field, its length and what was expected.
    """
    reader = FieldReader(message, "Tracks")
    count = reader.unsigned("num_tracks")
    scores = reader.optional_rows("scores", np.float32, count)
    tracks = Tracks(
        ids=reader.rows("ids", np.int64, count),
        ages=reader.rows("ages", np.uint32, count),
        feature_indices=reader.indices("feature_idx", count, num_features),
        xy=reader.points("xy", count),
        scores=np.full(count, np.nan, np.float32) if scores is None else scores,
        lost_ids=reader.array("lost_ids", np.int64),
        median_parallax_px=reader.number("median_parallax_px"),
        keyframe_hint=reader.flag("keyframe_hint"),
        xy_norm=none_if_empty(reader.optional_rows("xy_norm", np.float32, count, 2)),
        velocity=none_if_empty(reader.optional_rows("velocity", np.float32, count, 2)),
        depth_m=none_if_empty(reader.optional_rows("depth_m", np.float32, count)),
        sigma_px=none_if_empty(reader.optional_rows("sigma_px", np.float32, count)),
    )
    size = reader.positive("image_width"), reader.positive("image_height")
    return TracksMessage(tracks, _read_meta(reader, coords=True), *size)


def _read_meta(reader: FieldReader, *, coords: bool = False, model: bool = False) -> FrameMeta:
    header = reader.nested("header")
    return FrameMeta(
        stamp_ns=header.stamp_ns("stamp"),
        frame_id=header.text("frame_id"),
        frame_seq=reader.unsigned("frame_seq"),
        epoch=reader.unsigned("epoch"),
        source_id=reader.text("source_id"),
        coords=reader.enumeration("coords", Coords) if coords else Coords.RAW,
        model=reader.text("model") if model else "",
        weights_sha256=reader.text("weights_sha256") if model else "",
    )


def _read_model(reader: FieldReader) -> TwoViewModel | None:
    kind = reader.enumeration("model_type", ModelType)
    matrix = reader.rows("model_matrix", np.float64, 9)
    if kind is ModelType.NONE:
        return None
    if not np.isfinite(matrix).all():
        raise MessageError(f"Matches.model_matrix must be finite for {kind.name}, got {matrix.tolist()}")
    return TwoViewModel(kind, matrix.reshape(3, 3))
