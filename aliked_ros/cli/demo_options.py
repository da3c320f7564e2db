# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The options that the paper's two demos share, named as the paper's code names them."""

from __future__ import annotations

import argparse
from pathlib import Path

from aliked_ros.cli.options import add_config_options, add_option, config_from
from aliked_ros.errors import ConfigError
from aliked_ros.frontend.config import ExtractorConfig, TrackingConfig

TOP_K_OFF = -1  # the published way to say that the threshold decides
_N_LIMIT = 5000


def add_demo_options(parser: argparse.ArgumentParser, *, model: str, min_similarity: float, output: str) -> None:
    """Adds the options of both demos with the defaults of one."""
    add_config_options(parser, ExtractorConfig, ("model", "device"), {"model": model})
    add_option(
        parser,
        "top_k",
        type=int,
        default=TOP_K_OFF,
        metavar="K",
        help="keep the K strongest keypoints whatever their score; -1 keeps those above the threshold [-1]",
    )
    add_option(
        parser,
        "scores_th",
        type=float,
        default=ExtractorConfig.score_threshold,
        metavar="SCORE",
        help=f"weakest score kept, where top_k is -1 [{ExtractorConfig.score_threshold}]",
    )
    add_option(
        parser,
        "n_limit",
        type=int,
        default=_N_LIMIT,
        metavar="N",
        help=f"most keypoints kept, where top_k is -1 [{_N_LIMIT}]",
    )
    add_option(
        parser,
        "min_similarity",
        type=float,
        default=min_similarity,
        metavar="COSINE",
        help=f"lowest descriptor cosine of a match [{min_similarity}]",
    )
    add_config_options(parser, TrackingConfig, ("matcher", "lightglue_min_score"))
    add_option(parser, "no_display", action="store_true", help="no window: write to the output folder")
    parser.add_argument(
        "--output", type=Path, default=Path(output), metavar="DIR", help=f"with --no_display: where to [{output}]"
    )
    add_config_options(parser, ExtractorConfig, ("precision", "weights", "offline"))


def extractor_config(args: argparse.Namespace) -> ExtractorConfig:
    """The extractor's configuration that the demos' options say.

    Raises:
        ConfigError: an option is out of range.
    """
    if args.top_k == TOP_K_OFF:
        limits = {"max_keypoints": args.n_limit, "score_threshold": args.scores_th}
    elif args.top_k > 0:
        limits = {"max_keypoints": args.top_k, "score_threshold": 0.0}
    else:
        raise ConfigError(f"top_k must be a number of keypoints, or -1 for the threshold; got {args.top_k}")
    return config_from(ExtractorConfig, args, **limits)
