# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Command-line options made from the configuration dataclasses, so that defaults and ranges are written once."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from aliked_ros.config import Config, NamedOption

_ConfigT = TypeVar("_ConfigT", bound=Config)


def add_option(parser: argparse._ActionsContainer, name: str, **settings: Any) -> None:
    """Adds ``--some_name`` as the paper's demos spell options; ``--some-name`` works too and is not listed."""
    parser.add_argument(f"--{name}", **settings)
    if "_" in name:
        hidden = {**settings, "dest": name, "default": argparse.SUPPRESS, "help": argparse.SUPPRESS}
        parser.add_argument(f"--{name.replace('_', '-')}", **hidden)


def add_config_options(
    parser: argparse._ActionsContainer,
    config_type: type[Config],
    names: Iterable[str] | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> None:
    """Adds the options of a configuration.

    Args:
        parser: gets the options.
        config_type: where names, types, defaults, choices and help come from.
        names: which of its options; ``None`` adds all.
        defaults: where a command differs from the configuration.
    """
    by_name = {named.name: named for named in config_type.options()}
    for name in by_name if names is None else names:
        default = (defaults or {}).get(name, by_name[name].default)
        add_option(parser, name, **_settings(by_name[name], default))


def config_from(config_type: type[_ConfigT], args: argparse.Namespace, **values: Any) -> _ConfigT:
    """The configuration that the arguments say, with some values given otherwise.

    Raises:
        ConfigError: a value is out of its range.
    """
    given = {named.name: getattr(args, named.name) for named in config_type.options() if hasattr(args, named.name)}
    return config_type.from_mapping({**given, **values})


def _settings(named: NamedOption, default: Any) -> dict[str, Any]:
    text = named.option.describe().replace("%", "%%")  # argparse formats help with %
    if named.type is bool:
        return {"action": "store_true", "default": default, "help": text}
    settings: dict[str, Any] = {"type": named.type, "default": default, "metavar": named.type.__name__.upper()}
    settings["help"] = f"{text} [{default}]" if default != "" else text
    if named.option.choices:
        settings["choices"] = named.option.choices
        settings["metavar"] = named.name.upper()
    return settings
