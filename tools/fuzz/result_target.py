# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Features, Matches and Tracks messages through their readers, and what was read back into messages."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from aliked_ros.errors import AlikedError, MessageError
from aliked_ros.io.messages.message_fields import FeaturesMessage, MatchesMessage
from aliked_ros.ros.conversions import (
    features_from_message,
    features_to_message,
    matches_from_message,
    matches_to_message,
    tracks_from_message,
    tracks_to_message,
)
from tools.fuzz import result_cases
from tools.fuzz.outcome import UNDECODABLE, outcome_of, received, require

_AS_OTHERS_DECODE = 0.25
_WRITTEN_BACK = 0.2
_CASES = {"Features": result_cases.features, "Matches": result_cases.matches, "Tracks": result_cases.tracks}
_READERS: dict[str, Any] = {
    "Features": features_from_message,
    "Matches": matches_from_message,
    "Tracks": tracks_from_message,
}


class ResultTarget:
    """Feeds the readers.

    Args:
        seed: of all cases.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def run(self, index: int) -> tuple[str, str]:
        """One message; see Target."""
        rng = random.Random(f"{self._seed}/result/{index}")
        kind = tuple(_CASES)[index % len(_CASES)]
        message = received(rng, _CASES[kind](rng, index))
        if message is None:
            return kind, UNDECODABLE
        if rng.random() < _AS_OTHERS_DECODE:
            message = result_cases.as_others_decode(rng, message)
        try:
            content = _READERS[kind](message)
        except MessageError as error:
            require(bool(str(error)), "refused without a reason")
            return kind, outcome_of(error)
        _check(content)
        if rng.random() < _WRITTEN_BACK:
            _write_back(content)
        return kind, outcome_of(None)

    def close(self) -> None:
        """Nothing was started."""


def _check(content: Any) -> None:
    """What every message that was not refused keeps to."""
    if isinstance(content, FeaturesMessage):
        count, xy = len(content.features), content.features.keypoints_xy
        require(content.features.descriptors.shape[0] == count, "another number of descriptors")
        content.features.descriptors.sum()
    elif isinstance(content, MatchesMessage):
        count, xy = len(content.matches), content.matches.xy
        require(content.matches.xy_ref.shape == (count, 2), "another number of reference points")
    else:
        count, xy = len(content.tracks), content.tracks.xy
        require(content.tracks.ids.shape == (count,), "another number of ids")
    require(xy.shape == (count, 2) and bool(np.isfinite(xy).all()), f"coordinates {xy!r}")


def _write_back(content: Any) -> None:
    """Writes what was read into a message again, which may be refused, and reads that."""
    try:
        again = _written(content)
    except AlikedError:  # a stamp or a text that fits into no message
        return
    require(len(again) == len(_body(content)), "another number of rows after a round trip")


def _written(content: Any) -> Any:
    if isinstance(content, FeaturesMessage):
        message = features_to_message(
            content.features,
            content.meta,
            track_ids=content.track_ids,
            depth_m=content.depth_m,
            descriptor_dtype=content.descriptor_dtype,
        )
        return features_from_message(message).features
    if isinstance(content, MatchesMessage):
        message = matches_to_message(
            content.matches,
            content.meta,
            frame_seq_ref=content.frame_seq_ref,
            stamp_ref_ns=content.stamp_ref_ns,
            source_id_ref=content.source_id_ref,
        )
        return matches_from_message(message).matches
    size = {"image_width": content.image_width, "image_height": content.image_height}
    return tracks_from_message(tracks_to_message(content.tracks, content.meta, **size)).tracks


def _body(content: Any) -> Any:
    if isinstance(content, FeaturesMessage):
        return content.features
    return content.matches if isinstance(content, MatchesMessage) else content.tracks
