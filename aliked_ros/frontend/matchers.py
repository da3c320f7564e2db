# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What finds the matches of two images: one small interface, several ways."""

from __future__ import annotations

from typing import Protocol

from aliked_ros.features import Features, Matches
from aliked_ros.frontend.config import TrackingConfig
from aliked_ros.frontend.extractor import Extractor
from aliked_ros.frontend.matching import MATCHER_NAME, mutual_nearest_neighbours


class Matcher(Protocol):
    """Matches the features of two images; serves one caller at a time."""

    @property
    def name(self) -> str:
        """What ``matcher`` of its matches says."""
        ...

    def match(self, features: Features, reference: Features, config: TrackingConfig) -> Matches:
        """One-to-one matches in the order of the image's features, at least as good as the configuration asks."""
        ...


class MutualNearestNeighbours:
    """Pairs that are each other's nearest by the cosine of their descriptors.

    Args:
        threads: that share the search; 0 for as many as this process has processors.
    """

    name = MATCHER_NAME

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads

    def match(self, features: Features, reference: Features, config: TrackingConfig) -> Matches:
        """Matches with at least ``min_similarity``, which is that of their ``similarities``."""
        return mutual_nearest_neighbours(features, reference, config.min_similarity, self._threads)


def create_matcher(name: str, extractor: Extractor) -> Matcher:
    """The matcher of this name (``TrackingConfig.matcher``) for the features of an extractor, on its device.

    Raises:
        ConfigError: it does not know the extractor's descriptors, or a package that it needs is not installed.
        WeightsError: its weights are missing, corrupt, or cannot be fetched.
    """
    if name == MATCHER_NAME:
        return MutualNearestNeighbours(extractor.config.threads)
    from aliked_ros.frontend.lightglue import LightGlueMatcher  # imports torch

    return LightGlueMatcher(extractor.info.model, extractor.info.device, offline=extractor.config.offline)
