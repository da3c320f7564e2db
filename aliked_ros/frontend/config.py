# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Everything about the front-end that can be configured; the only place where its defaults are written."""

from __future__ import annotations

from dataclasses import dataclass

from aliked_ros.config import Config, option
from aliked_ros.network.selection import Grid

MODEL_NAMES = ("aliked-t16", "aliked-n16", "aliked-n16rot", "aliked-n32")
MATCHERS = ("mutual_nearest_neighbours", "lightglue")
LIGHTGLUE_WEIGHTS = "aliked-lightglue"
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
REFINEMENTS = ("none", "photometric")
ENGINES = ("auto", "fast", "reference")
FALLBACKS = ("auto", "cpu", "none")


@dataclass(frozen=True)
class ExtractorConfig(Config):
    """What the network runs on and which keypoints are kept."""

    model: str = option("aliked-n16", "network to run", choices=MODEL_NAMES)
    device: str = option("auto", "where it runs: auto, cpu, cuda or cuda:N")
    precision: str = option("auto", "arithmetic of the network", choices=PRECISIONS)
    max_keypoints: int = option(1000, "strongest keypoints kept per image", minimum=1, maximum=65536, live=True)
    score_threshold: float = option(
        0.2,
        "weakest score kept; 0 keeps the strongest whatever their score",
        minimum=0.0,
        maximum=1.0,
        live=True,
    )
    weights: str = option("", "weights file; empty searches the usual places")
    offline: bool = option(False, "never use the network to fetch weights")
    engine: str = option("auto", "implementation: compiled (fast) or the readable network (reference)", choices=ENGINES)
    threads: int = option(0, "threads of the compiled CPU engine; 0 uses all available", minimum=0, maximum=1024)
    fallback: str = option(
        "auto",
        "what stands in for a device that is lost or has too little memory: the CPU, nothing, or (auto) the CPU "
        "where device is auto",
        choices=FALLBACKS,
    )


@dataclass(frozen=True)
class SelectionConfig(Config):
    """How keypoints are spread over the image, for backends that need some everywhere."""

    max_per_cell: int = option(
        0, "most keypoints of a cell of the grid, its strongest; 0 for no limit", minimum=0, maximum=65536, live=True
    )
    grid_rows: int = option(6, "rows of equal cells that the image is divided into", minimum=1, maximum=256, live=True)
    grid_columns: int = option(
        8, "columns of equal cells that the image is divided into", minimum=1, maximum=256, live=True
    )

    @property
    def grid(self) -> Grid | None:
        """The grid, where there is a limit."""
        return Grid(self.grid_rows, self.grid_columns, self.max_per_cell) if self.max_per_cell else None


@dataclass(frozen=True)
class TrackingConfig(Config):
    """How features are matched from frame to frame and become tracks."""

    matcher: str = option(
        "mutual_nearest_neighbours",
        "what matches features; lightglue needs kornia, model aliked-n16, and better a GPU",
        choices=MATCHERS,
    )
    min_similarity: float = option(
        0.9,
        "lowest descriptor cosine of a match of mutual_nearest_neighbours",
        minimum=-1.0,
        maximum=1.0,
        live=True,
    )
    lightglue_min_score: float = option(
        0.1,
        "lowest score, the probability that the network gives, of a match of lightglue",
        minimum=0.0,
        maximum=1.0,
        live=True,
    )
    max_gap: int = option(
        3,
        "frames a track may be unseen before it is lost; 0 gives it up at once",
        unit="frames",
        minimum=0,
        maximum=1000,
        live=True,
    )
    gap_min_similarity: float = option(
        0.93, "lowest descriptor cosine that resumes an unseen track", minimum=-1.0, maximum=1.0, live=True
    )
    gap_max_distance_px: float = option(
        60.0,
        "farthest an unseen track may have moved per frame of its gap",
        unit="pixels",
        minimum=0.0,
        maximum=100000.0,
        live=True,
    )
    refinement: str = option(
        "none",
        "photometric moves the points of tracks to sub-pixel positions and estimates their errors, sigma_px",
        choices=REFINEMENTS,
        live=True,
    )
    refinement_max_shift_px: float = option(
        3.0, "farthest a point is moved from where it was detected", unit="pixels", minimum=0.1, maximum=10.0, live=True
    )
    max_followed: int = option(
        60,
        "frames in a row that a track which is not detected is followed by its patch, with refinement photometric",
        unit="frames",
        minimum=0,
        maximum=1000000,
        live=True,
    )
    keyframe_min_parallax_px: float = option(
        20.0,
        "median parallax since the last keyframe hint that suggests another",
        unit="pixels",
        minimum=0.0,
        maximum=100000.0,
        live=True,
    )
    keyframe_min_survival: float = option(
        0.6,
        "share of the last keyframe's tracks below which another is suggested",
        minimum=0.0,
        maximum=1.0,
        live=True,
    )

    @property
    def weakest_match(self) -> float:
        """What the ``similarities`` of the matcher's matches are at least."""
        return self.lightglue_min_score if self.matcher == "lightglue" else self.min_similarity


@dataclass(frozen=True)
class VerificationConfig(Config):
    """Geometric verification of the matches of two frames, by PoseLib's robust estimators."""

    geometry: str = option(
        "none",
        "model that matches must agree with, from frame to frame and between cameras; essential needs calibrations",
        choices=("none", "fundamental", "essential", "homography"),
        live=True,
    )
    max_error_px: float = option(
        2.0, "largest residual of an inlier", unit="pixels", minimum=0.05, maximum=100.0, live=True
    )
    min_inliers: int = option(
        15, "fewer inliers than this mean that no model was found", minimum=8, maximum=100000, live=True
    )
    max_iterations: int = option(1000, "most hypotheses the estimator tries", minimum=10, maximum=1000000, live=True)


@dataclass(frozen=True)
class MatchGraphConfig(Config):
    """Which pairs of images are matched."""

    pairs: str = option(
        "sequential",
        "which images are matched: each with those before it in the window (sequential), also with those that look "
        "alike (loops), or all with all (exhaustive)",
        choices=("sequential", "loops", "exhaustive"),
    )
    window: int = option(10, "images before each one that it is matched with", unit="images", minimum=1, maximum=100000)
    loop_candidates: int = option(
        5, "images outside the window, the most alike, that each one is matched with for loops",
        unit="images", minimum=1, maximum=1000,
    )  # fmt: skip
    min_similarity: float = option(0.9, "lowest descriptor cosine of a match", minimum=-1.0, maximum=1.0)
    threads: int = option(0, "threads that search for matches; 0 uses all available", minimum=0, maximum=1024)
