# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Everything about the backend that can be configured; the only place where its defaults are written."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aliked_ros.config import Config, option
from aliked_ros.errors import ConfigError

MODES = ("rgbd", "stereo", "mono")


@dataclass(frozen=True)
class SensorConfig(Config):
    """What is measured, and how well."""

    mode: str = option("rgbd", "where depth comes from; mono has a trajectory up to scale", choices=MODES, fixed=True)
    sigma_px: float = option(
        0.5,
        "1-sigma error of a keypoint, where the features do not say their own",
        unit="pixels",
        minimum=0.01,
        maximum=100.0,
    )
    depth_sigma_m: float = option(
        0.002,
        "1-sigma error of a depth camera at one metre, which grows with the square of the distance; stereo's follows "
        "from sigma_px",
        unit="m",
        minimum=1e-6,
        maximum=10.0,
    )
    min_depth_m: float = option(0.1, "depth below this is not used", unit="m", minimum=0.0, maximum=1000.0)
    max_depth_m: float = option(
        8.0, "depth of a depth camera above this is not used", unit="m", minimum=0.1, maximum=10000.0
    )
    max_depth_error: float = option(
        0.2, "depth whose 1-sigma error is a larger share of it is not used", minimum=0.001, maximum=1.0
    )


@dataclass(frozen=True)
class AssociationConfig(Config):
    """How features are recognised as landmarks of the map, and poses found from that."""

    map_min_similarity: float = option(
        0.85, "lowest descriptor cosine of a feature and a landmark beside it", minimum=-1.0, maximum=1.0
    )
    map_radius_px: float = option(
        8.0,
        "farthest that a landmark is looked for from where it is expected",
        unit="pixels",
        minimum=0.5,
        maximum=500.0,
    )
    place_min_similarity: float = option(
        0.8, "lowest descriptor cosine of a match to another place's keyframe", minimum=-1.0, maximum=1.0
    )
    max_error_px: float = option(
        3.0, "largest reprojection error of an inlier", unit="pixels", minimum=0.1, maximum=100.0
    )
    min_inliers: int = option(20, "fewer landmarks than this give no pose", minimum=6, maximum=100000)
    ransac_iterations: int = option(200, "most hypotheses for a pose", minimum=10, maximum=1000000)


@dataclass(frozen=True)
class KeyframeConfig(Config):
    """When a frame becomes part of the map."""

    min_interval: int = option(3, "frames between keyframes", unit="frames", minimum=1, maximum=10000)
    max_motion: float = option(
        0.12,
        "motion since the last keyframe that asks for another, as a share of the scene's depth",
        minimum=0.001,
        maximum=10.0,
    )
    max_rotation_deg: float = option(
        12.0, "rotation since the last keyframe that asks for another", unit="degrees", minimum=0.1, maximum=180.0
    )
    min_survival: float = option(
        0.6, "share of the last keyframe's landmarks below which another is asked for", minimum=0.0, maximum=1.0
    )


@dataclass(frozen=True)
class AdjustmentConfig(Config):
    """The bundle adjustment of the newest keyframes and their landmarks."""

    window: int = option(6, "keyframes that are adjusted", minimum=2, maximum=100)
    fixed_keyframes: int = option(6, "older keyframes that hold the window in place", minimum=1, maximum=100)
    max_landmarks: int = option(
        400, "landmarks that are adjusted with the keyframes; the others follow", minimum=20, maximum=100000
    )
    max_iterations: int = option(6, "most steps of Levenberg and Marquardt", minimum=1, maximum=1000)


@dataclass(frozen=True)
class InitialisationConfig(Config):
    """The first map of a single camera."""

    min_matches: int = option(80, "tracks that two views must share", minimum=20, maximum=100000)
    min_parallax_deg: float = option(
        1.5, "median angle between the rays to a point from the two views", unit="degrees", minimum=0.05, maximum=90.0
    )
    max_frames: int = option(
        100, "frames after which the first view is given up for a later one", unit="frames", minimum=2, maximum=10000
    )


@dataclass(frozen=True)
class PlaceConfig(Config):
    """Recognising places: relocalisation after a loss, and closing loops."""

    loop_closure: bool = option(True, "closes loops")
    vocabulary: int = option(32, "visual words, learnt from the first keyframes", minimum=2, maximum=4096)
    candidates: int = option(3, "keyframes that are compared in detail", minimum=1, maximum=100)
    loop_min_keyframes: int = option(
        10, "keyframes between the two ends of a loop", unit="keyframes", minimum=2, maximum=100000
    )
    min_inliers: int = option(30, "landmarks that must agree with one pose", minimum=8, maximum=100000)
    min_inlier_share: float = option(0.35, "share of the matches that must agree", minimum=0.0, maximum=1.0)
    min_coverage: float = option(
        0.12, "share of a grid of 8 by 6 cells over the image that these must lie in", minimum=0.0, maximum=1.0
    )
    max_drift: float = option(
        0.10,
        "largest correction by a loop, as a share of the way since; what asks for more is taken for another place "
        "that looks alike",
        minimum=0.001,
        maximum=1.0,
    )


@dataclass(frozen=True)
class BackendConfig:
    """The configuration of the whole backend."""

    sensor: SensorConfig = dataclasses.field(default_factory=SensorConfig)
    association: AssociationConfig = dataclasses.field(default_factory=AssociationConfig)
    keyframe: KeyframeConfig = dataclasses.field(default_factory=KeyframeConfig)
    adjustment: AdjustmentConfig = dataclasses.field(default_factory=AdjustmentConfig)
    initialisation: InitialisationConfig = dataclasses.field(default_factory=InitialisationConfig)
    place: PlaceConfig = dataclasses.field(default_factory=PlaceConfig)


# ORB's binary descriptors, as vectors of unit length, have a cosine of 1 - distance / 128; these are the Hamming
# distances 50, 50 and 64 of 256.
ORB_ASSOCIATION = AssociationConfig(map_min_similarity=0.6, place_min_similarity=0.6)


def with_values(config: BackendConfig, values: Mapping[str, str]) -> BackendConfig:
    """The configuration with some options changed, given as text by ``group.name``.

    Raises:
        ConfigError: there is no such option, or the value is none it may have.
    """
    for path, text in values.items():
        group, _, name = path.partition(".")
        known = {named.name: named for named in dict(BACKEND_GROUPS)[group].options()} if group in GROUP_NAMES else {}
        if name not in known:
            choices = ", ".join(known) if known else ", ".join(GROUP_NAMES)
            raise ConfigError(f"the backend has no option {path!r}; known{' there' if known else ' groups'}: {choices}")
        changed = getattr(config, group).replace(**{name: _parsed(path, known[name].type, text)})
        config = dataclasses.replace(config, **{group: changed})
    return config


def _parsed(path: str, kind: type, text: str) -> Any:
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise ConfigError(f"{path} must be true or false, got {text!r}")
        return text.lower() == "true"
    try:
        return kind(text)
    except ValueError as error:
        raise ConfigError(f"{path} must be {kind.__name__}, got {text!r}") from error


# The groups of BackendConfig with the prefix of their parameters, for documents and nodes.
BACKEND_GROUPS: tuple[tuple[str, type[Config]], ...] = (
    ("sensor", SensorConfig),
    ("association", AssociationConfig),
    ("keyframe", KeyframeConfig),
    ("adjustment", AdjustmentConfig),
    ("initialisation", InitialisationConfig),
    ("place", PlaceConfig),
)
GROUP_NAMES = tuple(name for name, _ in BACKEND_GROUPS)
