# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Options come from the configuration dataclasses, and nowhere else."""

from __future__ import annotations

import argparse
from typing import Any

import pytest

from aliked_ros.cli.demo_options import extractor_config
from aliked_ros.cli.options import add_config_options, add_option, config_from
from aliked_ros.cli.pair import configure as configure_pair
from aliked_ros.cli.seq import configure as configure_seq
from aliked_ros.config import Config
from aliked_ros.errors import ConfigError
from aliked_ros.frontend.config import ExtractorConfig, TrackingConfig, VerificationConfig
from aliked_ros.sim.config import SimulationConfig


def parsed(config_type: type[Config], *argv: str) -> Any:
    parser = argparse.ArgumentParser()
    add_config_options(parser, config_type)
    return config_from(config_type, parser.parse_args(argv))


@pytest.mark.parametrize("config_type", [ExtractorConfig, TrackingConfig, VerificationConfig, SimulationConfig])
def test_without_arguments_the_configuration_has_its_defaults(config_type: type[Config]) -> None:
    assert parsed(config_type) == config_type()


def test_every_type_is_parsed() -> None:
    config = parsed(
        ExtractorConfig, "--model", "aliked-t16", "--max_keypoints", "7", "--score_threshold", "0.5", "--offline"
    )
    assert config == ExtractorConfig("aliked-t16", max_keypoints=7, score_threshold=0.5, offline=True)


@pytest.mark.parametrize("spelling", ["--max_keypoints", "--max-keypoints"])
def test_underscores_and_hyphens_are_the_same(spelling: str) -> None:
    assert parsed(ExtractorConfig, spelling, "9").max_keypoints == 9


def test_only_the_underscore_is_listed() -> None:
    parser = argparse.ArgumentParser()
    add_option(parser, "a_flag", action="store_true", help="does it")
    assert "--a_flag" in parser.format_help()
    assert "--a-flag" not in parser.format_help()
    assert parser.parse_args([]).a_flag is False
    assert parser.parse_args(["--a-flag"]).a_flag is True


def test_help_states_units_ranges_and_defaults() -> None:
    parser = argparse.ArgumentParser()
    add_config_options(parser, SimulationConfig, ["rate_hz", "scene"])
    text = " ".join(parser.format_help().split())
    assert "frame rate (unit: Hz; range: [0.1, 1000]) [30.0]" in text
    assert "one of desk" in text
    assert "--frames" not in text


def test_unknown_choices_are_usage_errors(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        parsed(ExtractorConfig, "--model", "aliked-n64")
    assert raised.value.code == 2
    assert "aliked-t16" in capsys.readouterr().err


def test_out_of_range_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="max_keypoints must be at least 1"):
        parsed(ExtractorConfig, "--max_keypoints", "0")


def demo(configure: Any, *argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    configure(parser)
    return parser.parse_args(["input", *argv])


@pytest.mark.parametrize(
    ("configure", "model", "similarity"),
    [(configure_pair, "aliked-n16rot", 0.75), (configure_seq, "aliked-n32", 0.9)],
)
def test_the_demos_have_the_published_defaults(configure: Any, model: str, similarity: float) -> None:
    args = demo(configure)
    config = extractor_config(args)
    assert (config.model, config.max_keypoints, config.score_threshold) == (model, 5000, 0.2)
    assert args.min_similarity == similarity
    assert config.device == ExtractorConfig.device
    assert args.no_display is False


def test_top_k_and_threshold_modes() -> None:
    assert extractor_config(demo(configure_seq, "--top_k", "300")).max_keypoints == 300
    assert extractor_config(demo(configure_seq, "--top_k", "300")).score_threshold == 0.0
    by_threshold = extractor_config(demo(configure_seq, "--scores_th", "0.4", "--n_limit", "50"))
    assert (by_threshold.max_keypoints, by_threshold.score_threshold) == (50, 0.4)


@pytest.mark.parametrize("value", ["0", "-2"])
def test_an_impossible_top_k_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match="top_k"):
        extractor_config(demo(configure_pair, "--top_k", value))
