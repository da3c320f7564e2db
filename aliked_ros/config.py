# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Configuration as frozen dataclasses whose fields carry their meaning, unit and range.

Validation, ROS parameters, command-line options and the YAML files under ``config/`` all read these fields:
a default is written once, and a configuration outside its range cannot be built.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, get_origin, get_type_hints

from aliked_ros.errors import ConfigError

_T = TypeVar("_T", bound="Config")
_KEY = "aliked_ros.option"


@dataclass(frozen=True)
class Option:
    """What one configuration value means and may be."""

    help: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    live: bool = False  # may change while the node runs
    fixed: bool = False  # is said at the start, once; others may also change while nothing is loaded

    def describe(self) -> str:
        """The help text with unit, range or choices behind it, for ``--help`` and parameter descriptions."""
        extras = [f"unit: {self.unit}"] if self.unit else []
        if self.choices:
            extras.append("one of " + ", ".join(self.choices))
        if self.minimum is not None or self.maximum is not None:
            low = "-inf" if self.minimum is None else f"{self.minimum:g}"
            high = "inf" if self.maximum is None else f"{self.maximum:g}"
            extras.append(f"range: [{low}, {high}]")
        return f"{self.help} ({'; '.join(extras)})" if extras else self.help


@dataclass(frozen=True)
class NamedOption:
    """An option together with the dataclass field it belongs to."""

    name: str
    type: type
    default: Any
    option: Option

    @property
    def is_list(self) -> bool:
        """Whether it holds strings, ``tuple[str, ...]``."""
        return get_origin(self.type) is tuple


def option(
    default: Any,
    help: str,  # noqa: A002  the name argparse and ROS use
    *,
    unit: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    live: bool = False,
    fixed: bool = False,
) -> Any:
    """A dataclass field with its default and its :class:`Option`."""
    described = Option(help, unit, minimum, maximum, choices, live, fixed)
    return dataclasses.field(default=default, metadata={_KEY: described})


@dataclass(frozen=True)
class Config:
    """Base of every configuration: validates each field against its :class:`Option`.

    Raises:
        ConfigError: naming the field, its value and what is allowed.
    """

    def __post_init__(self) -> None:
        for named in self.options():
            validate(named, getattr(self, named.name))

    @classmethod
    def options(cls) -> tuple[NamedOption, ...]:
        """Every option of this configuration, in the order of its fields."""
        hints = get_type_hints(cls)
        return tuple(
            NamedOption(field.name, hints[field.name], field.default, field.metadata[_KEY])
            for field in dataclasses.fields(cls)
            if _KEY in field.metadata
        )

    @classmethod
    def from_mapping(cls: type[_T], values: Mapping[str, Any]) -> _T:
        """Builds the configuration from a mapping; a name that is no field is an error, never ignored."""
        names = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - names)
        if unknown:
            raise ConfigError(f"unknown {cls.__name__} option {unknown[0]!r}; known: {', '.join(sorted(names))}")
        return cls(**values)

    def replace(self: _T, **changes: Any) -> _T:
        """A copy with some values changed, validated again."""
        return dataclasses.replace(self, **changes)


def did_you_mean(name: str, known: Sequence[str], otherwise: str) -> str:
    """A hint to who wrote a name that is not known: the one that is most like it, or, where none is, something else."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else otherwise


def full_name(prefix: str, name: str) -> str:
    """An option's name below the prefix of its group, which may be empty."""
    return f"{prefix}.{name}" if prefix else name


def validate(named: NamedOption, value: Any) -> None:
    """Raises ConfigError, with the option's name, for a value that it cannot have."""
    name, expected, allowed = named.name, named.type, named.option
    if named.is_list:
        if not isinstance(value, tuple) or not all(isinstance(item, str) for item in value):
            raise ConfigError(f"{name} must be a list of strings, got {value!r}")
        return
    if expected is float and type(value) is int:
        value = float(value)
    if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
        raise ConfigError(f"{name} must be {expected.__name__}, got {value!r}")
    if allowed.choices and value not in allowed.choices:
        raise ConfigError(f"{name} must be one of {', '.join(allowed.choices)}, got {value!r}")
    if isinstance(value, (int, float)):
        _validate_range(name, value, allowed)


def _validate_range(name: str, value: float, allowed: Option) -> None:
    if not math.isfinite(value):
        raise ConfigError(f"{name} must be finite, got {value!r}")
    if allowed.minimum is not None and value < allowed.minimum:
        raise ConfigError(f"{name} must be at least {allowed.minimum:g}, got {value!r}")
    if allowed.maximum is not None and value > allowed.maximum:
        raise ConfigError(f"{name} must be at most {allowed.maximum:g}, got {value!r}")
