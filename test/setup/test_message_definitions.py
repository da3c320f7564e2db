# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The message definitions hold exactly what others build on: names, types, order, constants, and a comment on each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MESSAGES = ROOT / "aliked_msgs" / "msg"

FIELDS = {
    "Features": """
        std_msgs/Header header, uint64 frame_seq, uint32 epoch, string<=64 source_id, uint32 image_width,
        uint32 image_height, uint8 coords, uint32 num_features, float32[] xy, float32[] scores, float32[] sigma_px,
        float32[] depth_m, int64[] track_ids, uint8 descriptor_dtype, uint8 descriptor_metric,
        bool descriptor_normalized, uint32 descriptor_dim, float32 descriptor_scale, uint8[] descriptors,
        string<=64 model, string<=64 weights_sha256
    """,
    "Matches": """
        std_msgs/Header header, builtin_interfaces/Time stamp_ref, uint64 frame_seq, uint64 frame_seq_ref, uint32 epoch,
        string<=64 source_id, string<=64 source_id_ref, uint32 num_matches, uint32[] idx, uint32[] idx_ref,
        float32[] xy, float32[] xy_ref, float32[] scores, uint8[] inlier, uint8 model_type, float64[9] model_matrix,
        string<=32 matcher
    """,
    "Tracks": """
        std_msgs/Header header, uint64 frame_seq, uint32 epoch, string<=64 source_id, uint32 image_width,
        uint32 image_height, uint8 coords, uint32 num_tracks, int64[] ids, uint32[] ages, float32[] xy,
        float32[] xy_norm, float32[] velocity, float32[] depth_m, float32[] sigma_px, float32[] scores,
        uint32[] feature_idx, int64[] lost_ids, float32 median_parallax_px, bool keyframe_hint
    """,
    "TrackerStatus": """
        std_msgs/Header header, uint8 state, string<=64 device, string<=64 backend, string<=16 precision,
        string<=64 model, uint64 received, uint64 processed, uint64 dropped, uint64 refused, uint32 num_features,
        uint32 num_tracks, float32 mean_track_age, float32 latency_ms, float32 preprocess_ms, float32 inference_ms,
        float32 match_ms, float32 publish_ms
    """,
}
COORDS = {"COORDS_RAW": 0, "COORDS_UNDISTORTED": 1, "COORDS_RECTIFIED": 2}
DESCRIPTORS = {"DESCRIPTOR_NONE": 0, "DESCRIPTOR_FLOAT32": 1, "DESCRIPTOR_FLOAT16": 2, "DESCRIPTOR_INT8": 3}
METRICS = {"METRIC_L2": 0, "METRIC_COSINE": 1, "METRIC_HAMMING": 2}
STATES = {"STATE_STARTING": 0, "STATE_IDLE": 1, "STATE_RUNNING": 2, "STATE_DISABLED": 3, "STATE_ERROR": 4}
CONSTANTS = {
    "Features": {**COORDS, **DESCRIPTORS, **METRICS},
    "Matches": {"MODEL_NONE": 0, "MODEL_FUNDAMENTAL": 1, "MODEL_ESSENTIAL": 2, "MODEL_HOMOGRAPHY": 3},
    "Tracks": COORDS,
    "TrackerStatus": STATES,
}


def definition(name: str) -> tuple[list[str], dict[str, int]]:
    """The fields of a message as ``type name``, in order, and its constants."""
    fields, constants = [], {}
    for line in (MESSAGES / f"{name}.msg").read_text().splitlines():
        code = line.split("#", 1)[0].strip()
        if match := re.fullmatch(r"uint8 ([A-Z][A-Z0-9_]*)=(\d+)", code):
            constants[match.group(1)] = int(match.group(2))
        elif code:
            fields.append(" ".join(code.split()))
    return fields, constants


def test_there_are_these_messages() -> None:
    assert {path.stem for path in MESSAGES.glob("*.msg")} == set(FIELDS)


@pytest.mark.parametrize("name", FIELDS)
def test_the_definition_is_the_contract(name: str) -> None:
    fields, constants = definition(name)
    assert fields == [" ".join(field.split()) for field in FIELDS[name].split(",")]
    assert constants == CONSTANTS[name]


@pytest.mark.parametrize("name", FIELDS)
def test_arrays_are_flat_and_have_a_comment(name: str) -> None:
    for line in (MESSAGES / f"{name}.msg").read_text().splitlines():
        code, _, comment = line.partition("#")
        if "[" in code:
            assert re.match(r"(u?int|float)\d+\[9?\] ", code), f"{line}: only arrays of numbers"
            assert comment.strip(), f"{line}: what is it?"


@pytest.mark.ros
@pytest.mark.parametrize("name", FIELDS)
def test_the_built_messages_are_these_definitions(name: str) -> None:
    messages = pytest.importorskip("aliked_msgs.msg", reason="the messages are not built")
    message = getattr(messages, name)
    fields, constants = definition(name)
    assert list(message.get_fields_and_field_types()) == [field.split()[1] for field in fields]
    assert {key: getattr(message, key) for key in constants} == constants


def test_every_message_is_built() -> None:
    text = (ROOT / "aliked_msgs/CMakeLists.txt").read_text()
    assert set(re.findall(r'"msg/(\w+)\.msg"', text)) == set(FIELDS)
