# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Dataclasses to message fields and back: exact, within the stated error, or refused with the field's name."""

from __future__ import annotations

import array
import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from message_samples import (
    META,
    REFERENCE,
    as_message,
    assert_same,
    make_features,
    make_matches,
    make_tracks,
    unit_rows,
)

from aliked_ros.errors import MessageError
from aliked_ros.features import Features, ModelType
from aliked_ros.io.messages import ros_types
from aliked_ros.io.messages.descriptors import (
    DescriptorDtype,
    DescriptorMetric,
    EncodedDescriptors,
    decode_descriptors,
    encode_descriptors,
)
from aliked_ros.io.messages.field_reader import as_array
from aliked_ros.io.messages.message_fields import (
    Coords,
    FrameMeta,
    features_fields,
    features_from_fields,
    matches_fields,
    matches_from_fields,
    tracks_fields,
    tracks_from_fields,
)
from aliked_ros.io.messages.stamps import join_stamp, split_stamp
from aliked_ros.io.messages.status_fields import TrackerState, TrackerStatus, status_fields, status_from_fields


def through_rosbags(fields: dict[str, Any], message_type: str) -> Any:
    data = ros_types.serialize(fields, message_type)
    return ros_types.typestore().deserialize_cdr(data, message_type)


def through_attributes(fields: dict[str, Any], message_type: str) -> Any:
    return as_message(fields)


def through_lists(fields: dict[str, Any], message_type: str) -> Any:
    """As decoders without NumPy deliver them: bytes and lists."""
    plain = {
        name: (v.tobytes() if v.dtype == np.uint8 else v.tolist()) if isinstance(v, np.ndarray) else v
        for name, v in fields.items()
    }
    return as_message(plain)


ROUTES = pytest.mark.parametrize("route", [through_attributes, through_rosbags, through_lists])


@ROUTES
@pytest.mark.parametrize("count", [0, 1, 7])
@pytest.mark.parametrize("full", [True, False])
def test_features_round_trip(route: Any, count: int, full: bool) -> None:
    features = make_features(count, sigma=full and count > 0)
    track_ids = np.arange(-1, count - 1, dtype=np.int64) * 2**40 if full else None
    depth_m = np.linspace(0.5, np.nan, count, dtype=np.float32) if full else None
    fields = features_fields(features, META, track_ids=track_ids, depth_m=depth_m)
    back = features_from_fields(route(fields, ros_types.FEATURES_TYPE))
    assert_same(back.features, features)
    assert back.meta == META
    assert back.descriptor_dtype is DescriptorDtype.FLOAT32
    assert back.descriptor_metric is DescriptorMetric.COSINE
    assert back.descriptor_normalized
    if full and count:
        np.testing.assert_array_equal(back.track_ids, track_ids)
        np.testing.assert_array_equal(back.depth_m, depth_m)
    else:
        assert back.track_ids is None
        assert back.depth_m is None


@ROUTES
@pytest.mark.parametrize("count", [0, 1, 5])
@pytest.mark.parametrize("model", list(ModelType))
def test_matches_round_trip(route: Any, count: int, model: ModelType) -> None:
    matches = make_matches(count, model=model)
    fields = matches_fields(matches, META, **REFERENCE)
    message = route(fields, ros_types.MATCHES_TYPE)
    back = matches_from_fields(message, num_features=max(count, 1), num_features_ref=max(count, 1))
    assert_same(back.matches, matches, ignore=() if count else ("inliers",))
    assert back.meta == dataclasses.replace(META, coords=Coords.RAW, model="", weights_sha256="")
    assert (back.frame_seq_ref, back.stamp_ref_ns, back.source_id_ref) == tuple(REFERENCE.values())


@ROUTES
@pytest.mark.parametrize("count", [0, 1, 6])
@pytest.mark.parametrize("full", [True, False])
def test_tracks_round_trip(route: Any, count: int, full: bool) -> None:
    tracks = make_tracks(count, full=full)
    fields = tracks_fields(tracks, META, image_width=640, image_height=480)
    back = tracks_from_fields(route(fields, ros_types.TRACKS_TYPE), num_features=max(count, 1))
    optional = ("xy_norm", "velocity", "depth_m", "sigma_px")
    assert_same(back.tracks, tracks, ignore=() if count else optional)
    assert back.meta == dataclasses.replace(META, model="", weights_sha256="")
    assert (back.image_width, back.image_height) == (640, 480)


@pytest.mark.parametrize("route", [through_attributes, through_rosbags])
def test_status_round_trip(route: Any) -> None:
    numbers = {n: float(np.float32(i / 7)) for i, n in enumerate(("latency_ms", "preprocess_ms", "match_ms"))}
    status = TrackerStatus(
        TrackerState.RUNNING,
        "cuda:0",
        "torch+compiled ops",
        "fp32",
        "aliked-n16",
        2**63,
        7,
        2,
        1,
        1000,
        800,
        3.5,
        **numbers,
    )
    fields = status_fields(status, META.stamp_ns, "camera")
    back, stamp_ns, frame_id = status_from_fields(route(fields, ros_types.STATUS_TYPE))
    for field in dataclasses.fields(status):
        ours, theirs = getattr(back, field.name), getattr(status, field.name)
        assert ours == theirs or (math.isnan(ours) and math.isnan(theirs)), field.name
    assert (stamp_ns, frame_id) == (META.stamp_ns, "camera")


def test_status_contradictions_are_refused() -> None:
    fields = status_fields(TrackerStatus(TrackerState.IDLE), 0, "")
    with pytest.raises(MessageError, match=r"TrackerStatus.state is 9, which is none of 0 STARTING"):
        status_from_fields(as_message({**fields, "state": 9}))
    with pytest.raises(MessageError, match="no field 'dropped'"):
        status_from_fields(as_message({k: v for k, v in fields.items() if k != "dropped"}))
    with pytest.raises(MessageError, match="precision has 17 bytes, at most 16"):
        TrackerStatus(TrackerState.IDLE, precision="x" * 17)
    with pytest.raises(MessageError, match="dropped must not be negative, got -1"):
        TrackerStatus(TrackerState.IDLE, dropped=-1)


def test_the_fields_are_those_of_the_definitions() -> None:
    """In the order of the definitions, so that a reader of one finds his way in the other."""
    store = ros_types.typestore()
    made = {
        ros_types.FEATURES_TYPE: features_fields(make_features(), META),
        ros_types.MATCHES_TYPE: matches_fields(make_matches(), META, **REFERENCE),
        ros_types.TRACKS_TYPE: tracks_fields(make_tracks(), META, image_width=1, image_height=1),
        ros_types.STATUS_TYPE: status_fields(TrackerStatus(TrackerState.IDLE), 0, ""),
    }
    assert set(made) == set(ros_types.message_definitions())
    for message_type, fields in made.items():
        assert list(fields) == [name for name, _ in store.fielddefs[message_type][1]]


@pytest.mark.parametrize(
    ("message_type", "prefix", "values"),
    [
        (ros_types.FEATURES_TYPE, "COORDS_", Coords),
        (ros_types.TRACKS_TYPE, "COORDS_", Coords),
        (ros_types.FEATURES_TYPE, "DESCRIPTOR_", DescriptorDtype),
        (ros_types.FEATURES_TYPE, "METRIC_", DescriptorMetric),
        (ros_types.MATCHES_TYPE, "MODEL_", ModelType),
        (ros_types.STATUS_TYPE, "STATE_", TrackerState),
    ],
)
def test_the_enumerations_are_the_constants_of_the_definitions(message_type: str, prefix: str, values: Any) -> None:
    constants = {n: v for n, _, v in ros_types.typestore().fielddefs[message_type][0] if n.startswith(prefix)}
    assert constants == {prefix + item.name: item.value for item in values}


def test_nothing_is_copied_and_nothing_is_changed() -> None:
    features = make_features()
    before = features.descriptors.copy()
    fields = features_fields(features, META)
    assert np.shares_memory(fields["descriptors"], features.descriptors)
    assert np.shares_memory(fields["xy"], features.keypoints_xy)
    back = features_from_fields(as_message(fields))
    assert np.shares_memory(back.features.descriptors, features.descriptors)
    assert np.shares_memory(back.features.keypoints_xy, features.keypoints_xy)
    np.testing.assert_array_equal(features.descriptors, before)


def test_arrays_that_are_not_contiguous_are_written_row_by_row() -> None:
    base = make_features(8)
    features = Features(base.keypoints_xy[::2], base.scores[::2], np.asfortranarray(base.descriptors[::2]), 640, 480)
    back = features_from_fields(through_rosbags(features_fields(features, META), ros_types.FEATURES_TYPE))
    assert_same(back.features, features)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(0, 40), dim=st.sampled_from([1, 2, 64, 128]))
def test_the_errors_of_descriptors_are_as_stated(seed: int, count: int, dim: int) -> None:
    exact = unit_rows(np.random.default_rng(seed), count, dim)
    features = make_features(count, dim)
    features = dataclasses.replace(features, descriptors=exact)

    def back(dtype: DescriptorDtype) -> np.ndarray:
        fields = features_fields(features, META, descriptor_dtype=dtype)
        message = through_rosbags(fields, ros_types.FEATURES_TYPE)
        read = features_from_fields(message)
        assert read.descriptor_dtype is dtype
        assert read.features.descriptors.dtype == np.float32
        return read.features.descriptors

    np.testing.assert_array_equal(back(DescriptorDtype.FLOAT32), exact)
    half = np.abs(back(DescriptorDtype.FLOAT16) - exact)
    assert np.all(half <= np.maximum(np.abs(exact) * 2.0**-11, 2.0**-25))
    assert np.all(half <= 5e-4)
    scale = features_fields(features, META, descriptor_dtype=DescriptorDtype.INT8)["descriptor_scale"]
    assert 0 < scale <= 1 / 127 * (1 + 1e-6)
    # Division and product are rounded to float32, hence a little more than half a unit.
    assert np.all(np.abs(back(DescriptorDtype.INT8) - exact) <= scale * 0.5001)
    assert back(DescriptorDtype.NONE).shape == (count, 0)


def test_descriptors_are_little_endian_and_row_major() -> None:
    rows = np.array([[1.0, -2.0], [0.5, 0.0]], np.float32)
    for dtype, letter in ((DescriptorDtype.FLOAT32, "<f4"), (DescriptorDtype.FLOAT16, "<f2")):
        assert encode_descriptors(rows, dtype).data.tobytes() == rows.astype(letter).tobytes()
    encoded = encode_descriptors(rows, DescriptorDtype.INT8)
    assert np.frombuffer(encoded.data, np.int8).tolist() == [64, -127, 32, 0]
    assert encoded.scale == float(np.float32(2 / 127))


def test_int8_of_nothing_and_of_nonsense() -> None:
    zeros = encode_descriptors(np.zeros((2, 4), np.float32), DescriptorDtype.INT8)
    assert zeros.scale > 0
    np.testing.assert_array_equal(decode_descriptors(zeros, 2), np.zeros((2, 4), np.float32))
    with pytest.raises(MessageError, match="must be finite to be sent as INT8"):
        encode_descriptors(np.array([[np.nan]], np.float32), DescriptorDtype.INT8)


def test_descriptors_at_odd_addresses_are_aligned() -> None:
    rows = unit_rows(np.random.default_rng(0), 3, 4)
    data = np.frombuffer(b"x" + rows.tobytes(), np.uint8)[1:]
    decoded = decode_descriptors(EncodedDescriptors(DescriptorDtype.FLOAT32, 4, 1.0, data), 3)
    assert decoded.flags.aligned
    np.testing.assert_array_equal(decoded, rows)


FLAT = {"features": features_fields(make_features(), META, track_ids=np.arange(7), depth_m=np.ones(7, np.float32))}
FLAT["matches"] = matches_fields(make_matches(), META, **REFERENCE)
FLAT["tracks"] = tracks_fields(make_tracks(), META, image_width=640, image_height=480)
READERS: dict[str, Any] = {
    "features": features_from_fields,
    "matches": matches_from_fields,
    "tracks": tracks_from_fields,
}
ARRAYS = [
    (kind, name)
    for kind, fields in FLAT.items()
    for name, value in fields.items()
    if isinstance(value, np.ndarray) and name != "lost_ids"
]


@pytest.mark.parametrize(("kind", "name"), ARRAYS)
@pytest.mark.parametrize("change", [-1, 1, 1000])
def test_every_array_of_another_length_is_refused(kind: str, name: str, change: int) -> None:
    value = FLAT[kind][name]
    length = max(0, len(value) + change)
    broken = {**FLAT[kind], name: np.resize(value, length)}
    with pytest.raises(MessageError, match=rf"{kind.capitalize()}\.{name} has {length} .*expected {len(value)}"):
        READERS[kind](as_message(broken))


@pytest.mark.parametrize(("kind", "name"), ARRAYS)
def test_every_array_of_another_type_is_refused(kind: str, name: str) -> None:
    broken = {**FLAT[kind], name: FLAT[kind][name].astype(np.complex128)}
    with pytest.raises(MessageError, match=rf"{kind.capitalize()}\.{name} must be a sequence of .* complex128"):
        READERS[kind](as_message(broken))


@pytest.mark.parametrize(("kind", "name"), ARRAYS)
def test_an_absent_array_is_none_or_refused(kind: str, name: str) -> None:
    optional = {"scores", "sigma_px", "depth_m", "track_ids", "inlier", "xy_norm", "velocity"}
    message = as_message({**FLAT[kind], name: FLAT[kind][name][:0]})
    if name in optional:
        READERS[kind](message)
    else:
        with pytest.raises(MessageError, match=rf"{name} has 0 "):
            READERS[kind](message)


@pytest.mark.parametrize(
    ("kind", "count"), [("features", "num_features"), ("matches", "num_matches"), ("tracks", "num_tracks")]
)
@pytest.mark.parametrize("value", [0, 3, 2**32 - 1])
def test_a_count_that_is_not_the_arrays_is_refused(kind: str, count: str, value: int) -> None:
    with pytest.raises(MessageError, match="expected"):
        READERS[kind](as_message({**FLAT[kind], count: value}))


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("features", {"coords": 3}, r"Features.coords is 3, which is none of 0 RAW, 1 UNDISTORTED, 2 RECTIFIED"),
        ("features", {"descriptor_dtype": 4}, "descriptor_dtype is 4"),
        ("features", {"descriptor_metric": 7}, "descriptor_metric is 7"),
        ("features", {"descriptor_dtype": 0}, "448 bytes and descriptor_dim is 16, expected 0 and 0"),
        ("features", {"descriptor_dtype": 2}, "448 bytes, expected 224 for 7 descriptors of 16 FLOAT16"),
        ("features", {"descriptor_dtype": 3}, "448 bytes, expected 112"),
        ("features", {"descriptor_dim": 17}, "448 bytes, expected 476"),
        ("features", {"descriptor_dim": 0}, "descriptor_dim must be positive"),
        ("features", {"image_width": 0}, "image_width must be positive"),
        ("features", {"image_height": -4}, "image_height must not be negative, got -4"),
        ("matches", {"model_type": 4}, "model_type is 4"),
        ("matches", {"inlier": np.full(5, 2, np.uint8)}, "inlier must be 0 or 1, got 2"),
        ("matches", {"model_matrix": np.full(9, np.nan)}, "model_matrix must be finite for ESSENTIAL"),
        ("tracks", {"coords": 255}, "coords is 255"),
        ("tracks", {"image_width": 0}, "image_width must be positive"),
    ],
)
def test_values_that_mean_nothing_are_refused(kind: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(MessageError, match=message):
        READERS[kind](as_message({**FLAT[kind], **changes}))


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf])
def test_an_int8_scale_that_is_not_positive_is_refused(scale: float) -> None:
    fields = features_fields(make_features(), META, descriptor_dtype=DescriptorDtype.INT8)
    with pytest.raises(MessageError, match="descriptor_scale must be positive"):
        features_from_fields(as_message({**fields, "descriptor_scale": scale}))


@pytest.mark.parametrize(
    ("kind", "name"), [("features", "xy"), ("matches", "xy"), ("matches", "xy_ref"), ("tracks", "xy")]
)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_coordinates_that_are_not_finite_are_refused(kind: str, name: str, value: float) -> None:
    xy = FLAT[kind][name].copy()
    xy[5] = value
    with pytest.raises(MessageError, match=rf"{kind.capitalize()}.{name} must be finite, row 2"):
        READERS[kind](as_message({**FLAT[kind], name: xy}))


def test_indices_beyond_the_features_are_refused() -> None:
    message = as_message(FLAT["matches"])
    with pytest.raises(MessageError, match=r"Matches.idx row \d is feature 4, but there are 4 features"):
        matches_from_fields(message, num_features=4)
    with pytest.raises(MessageError, match=r"Matches.idx_ref row \d is feature 4, but there are 4 features"):
        matches_from_fields(message, num_features=5, num_features_ref=4)
    with pytest.raises(MessageError, match=r"Tracks.feature_idx row \d is feature 5, but there are 5 features"):
        tracks_from_fields(as_message(FLAT["tracks"]), num_features=5)


def test_absent_scores_are_unknown() -> None:
    back = features_from_fields(as_message({**FLAT["features"], "scores": np.empty(0, np.float32)}))
    assert np.isnan(back.features.scores).all()


def test_a_missing_field_is_named() -> None:
    fields = {name: value for name, value in FLAT["features"].items() if name != "sigma_px"}
    with pytest.raises(MessageError, match=r"no field 'sigma_px'; .*another version"):
        features_from_fields(as_message(fields))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"track_ids": np.zeros(6, np.int64)}, r"track_ids must be int64 of shape \(7,\), got int64 \(6,\)"),
        ({"track_ids": np.zeros(7, np.int32)}, "track_ids must be int64"),
        ({"depth_m": np.zeros((7, 1), np.float32)}, "depth_m must be float32"),
    ],
)
def test_arrays_of_another_length_are_not_written(options: dict[str, Any], message: str) -> None:
    with pytest.raises(MessageError, match=message):
        features_fields(make_features(), META, **options)


def test_texts_that_do_not_fit_are_refused() -> None:
    for name in ("source_id", "model", "weights_sha256"):
        meta = dataclasses.replace(META, **{name: "é" * 33})
        with pytest.raises(MessageError, match=f"{name} has 66 bytes, at most 64"):
            features_fields(make_features(), meta)
    with pytest.raises(MessageError, match="matcher has 33 bytes, at most 32"):
        matches_fields(dataclasses.replace(make_matches(), matcher="m" * 33), META, **REFERENCE)


def test_the_reference_is_of_the_same_source_unless_said() -> None:
    fields = matches_fields(make_matches(), META, frame_seq_ref=1, stamp_ref_ns=0)
    assert fields["source_id_ref"] == META.source_id


@given(st.integers(-(2**31) * 10**9, 2**31 * 10**9 - 1))
def test_stamps_are_exact(stamp_ns: int) -> None:
    sec, nanosec = split_stamp(stamp_ns)
    assert 0 <= nanosec < 10**9
    assert join_stamp(as_message({"sec": sec, "nanosec": nanosec})) == stamp_ns


@pytest.mark.parametrize("stamp_ns", [2**31 * 10**9, -(2**31) * 10**9 - 1])
def test_stamps_that_do_not_fit_are_refused(stamp_ns: int) -> None:
    with pytest.raises(MessageError, match="does not fit into builtin_interfaces/Time"):
        features_fields(make_features(), FrameMeta(stamp_ns, "", 0, 0, ""))


def test_arrays_of_python_are_viewed_and_checked() -> None:
    values = array.array("f", [1.0, 2.0])
    assert np.shares_memory(as_array("x", values, np.float32), np.frombuffer(values, np.float32))
    assert as_array("x", array.array("q"), np.int64).shape == (0,)
    assert as_array("x", b"", np.uint8).shape == (0,)
    with pytest.raises(MessageError, match="x must be a sequence of float32, got float64"):
        as_array("x", array.array("d", [1.0]), np.float32)
    with pytest.raises(MessageError, match="x must be a sequence of float32, got NoneType"):
        as_array("x", None, np.float32)
    with pytest.raises(MessageError, match="x must be a flat sequence of uint32"):
        as_array("x", [-1], np.uint32)
    with pytest.raises(MessageError, match="x must be a flat sequence of uint32"):
        as_array("x", [[1]], np.uint32)
    with pytest.raises(MessageError, match="x must be a sequence of uint8, got uint8"):
        as_array("x", np.zeros((2, 2), np.uint8), np.uint8)
