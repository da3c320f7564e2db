# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Configuration dataclasses as ROS parameters: declared, described, validated, and changed while the node runs."""

from __future__ import annotations

import dataclasses
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from aliked_ros.config import Config, NamedOption, did_you_mean, full_name, validate
from aliked_ros.errors import AlikedError, ConfigError
from aliked_ros.ros.parameter_files import files_without
from aliked_ros.ros.process import one_line

_ConfigT = TypeVar("_ConfigT", bound=Config)
Groups = Sequence[tuple[str, type[Config]]]
# Parameters that rclpy, launch files or DDS vendors set on any node, and that are no business of ours.
_FOREIGN_NAMES = ("use_sim_time", "start_type_description_service")
_FOREIGN_PREFIX = "qos_overrides."
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1


class NodeParameters:
    """The parameters of a node, one for each option of some configurations.

    Options marked ``live`` can be set while the node runs, others where ``may_change`` says so, those marked ``fixed``
    never. A set of changes is accepted as a whole or, with the reason, not at all.

    Where a configuration stands in several groups, the values of the first one are the others' defaults, and reach
    them when they change, too, until a parameter gets a value of its own: `rectified` and `left.rectified`.

    Args:
        node: declares the parameters and takes their initial values from files and the command line.
        groups: configurations with the prefix of their parameters, which may be empty.
        further: gives more groups, which depend on the values of the first.
        may_change: says whether nothing depends on the options that are not live, as in a node that is not configured.

    Raises:
        ConfigError: an initial value has the wrong type or is out of range, or belongs to no parameter.
    """

    def __init__(
        self,
        node: Node,
        groups: Groups,
        further: Callable[[Node], Groups] = lambda _: (),
        may_change: Callable[[], bool] | None = None,
    ) -> None:
        for line in files_without(node.get_fully_qualified_name(), sys.argv):
            node.get_logger().warning(line)
        self._node = node
        self._apply: Callable[[], None] | None = None
        self._may_change = may_change
        self._first: dict[type[Config], tuple[str, dict[str, Any]]] = {}  # prefix and initial values of the first group
        self._given = set(_overrides(node))  # the parameters that have a value of their own
        self._is_handing_down = False
        values = [self._declare_group(*group) for group in groups]
        more = further(node)
        values += [self._declare_group(*group) for group in more]
        # A misspelt name first: it may be why a required value is missing.
        refuse_unknown(_overrides(node), list(node._parameters))
        self._configs: list[tuple[str, Config]] = [
            (prefix, _made(prefix, kind, given)) for (prefix, kind), given in zip((*groups, *more), values, strict=True)
        ]
        node.add_on_set_parameters_callback(self._on_set)

    def get(self, kind: type[_ConfigT], prefix: str | None = None) -> _ConfigT:
        """The configuration of this type, and with this prefix if one is given, that is in force."""
        return next(config for name, config in self._configs if isinstance(config, kind) and prefix in (None, name))

    def on_change(self, apply: Callable[[], None]) -> None:
        """Calls this after every accepted change, in the executor's thread."""
        self._apply = apply

    def _declare_group(self, prefix: str, kind: type[Config]) -> dict[str, Any]:
        _, common = self._first.get(kind, ("", {}))
        values = {
            named.name: self._declare(prefix, named, common.get(named.name, named.default)) for named in kind.options()
        }
        self._first.setdefault(kind, (prefix, values))
        return values

    def _declare(self, prefix: str, named: NamedOption, default: Any) -> Any:
        name = full_name(prefix, named.name)
        descriptor = descriptor_of(named, changeable=self._may_change is not None)
        try:
            if named.is_list:
                value = self._node.declare_parameter(name, list(default), descriptor).value
                return () if value is None else _as_tuple(value)  # ROS reads an empty list as no value
            return self._node.declare_parameter(name, default, descriptor).value
        except InvalidParameterTypeException as error:
            given = _overrides(self._node)[name]
            example = "; write 1.0 for 1" if named.type is float else ""
            raise ConfigError(f"parameter {name} must be {named.type.__name__}, got {given!r}{example}") from error
        except InvalidParameterValueException as error:
            given = _overrides(self._node)[name]
            raise ConfigError(f"parameter {name}: {given!r} is not allowed; {named.option.describe()}") from error

    def _on_set(self, changed: Sequence[Parameter]) -> SetParametersResult:
        if self._is_handing_down:
            return SetParametersResult(successful=True)
        inherited = self._inherited(changed)
        try:
            configs = self._with([*changed, *inherited])
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=str(error))
        before, self._configs = self._configs, configs
        if configs != before and (reason := self._take_over()):
            self._configs = before
            self._take_over()  # what had been taken over already
            return SetParametersResult(successful=False, reason=reason)
        self._given |= {parameter.name for parameter in changed}
        self._hand_down(inherited)
        return SetParametersResult(successful=True)

    def _take_over(self) -> str:
        """Has the configurations in force taken over; why they could not be, or nothing."""
        if self._apply is None:
            return ""
        try:
            self._apply()
        except AlikedError as error:
            reason = one_line(error)
            self._node.get_logger().error(f"the parameters cannot be used: {reason}")
        except Exception as error:  # noqa: BLE001  it would end the executor, and with it the node
            reason = f"{type(error).__name__}: {one_line(error)}"
            self._node.get_logger().error(f"the parameters could not be taken over\n{traceback.format_exc()}")
        else:
            return ""
        return reason

    def _inherited(self, changed: Sequence[Parameter]) -> list[Parameter]:
        """These changes for the parameters that have no value of their own."""
        values = {parameter.name: parameter.value for parameter in changed}
        pairs = [
            (full_name(self._first[type(config)][0], named.name), full_name(prefix, named.name))
            for prefix, config in self._configs
            for named in config.options()
        ]
        return [
            Parameter(name, value=values[common])
            for common, name in pairs
            if name != common and common in values and name not in values and name not in self._given
        ]

    def _hand_down(self, inherited: Sequence[Parameter]) -> None:
        """Has tools show what is in force."""
        self._is_handing_down = True
        try:
            self._node.set_parameters(list(inherited))
        finally:
            self._is_handing_down = False

    def _with(self, changed: Sequence[Parameter]) -> list[tuple[str, Config]]:
        """The configurations after these changes; parameters of others, like use_sim_time, are left alone."""
        values = {parameter.name: parameter.value for parameter in changed}
        configs = []
        for prefix, config in self._configs:
            options = {named.name: named for named in _fully_named(prefix, type(config))}
            ours = {name: _as_tuple(value) for name, value in values.items() if name in options}
            self._require_changeable([options[name] for name in ours])
            for name, value in ours.items():
                validate(options[name], value)
            changes = {_bare_name(prefix, name): value for name, value in ours.items()}
            configs.append((prefix, config.replace(**changes)))
        return configs

    def _require_changeable(self, options: Sequence[NamedOption]) -> None:
        if self._may_change is None or self._may_change():
            return
        for named in options:
            if not named.option.live:
                raise ConfigError(
                    f"{named.name} cannot change while the node is configured; deactivate it and clean it up first"
                )


def descriptor_of(named: NamedOption, *, changeable: bool = False) -> ParameterDescriptor:
    """What tools show of a parameter and what rclpy enforces: meaning, unit, range, choices, read-only.

    Args:
        named: the option.
        changeable: whether there are times at which options that are not live can be set, too.
    """
    option = named.option
    read_only = option.fixed or not (option.live or changeable)
    # The type of an empty list cannot be told; the configuration checks what is in it.
    descriptor = ParameterDescriptor(description=option.describe(), read_only=read_only, dynamic_typing=named.is_list)
    if option.choices:
        descriptor.additional_constraints = "one of " + ", ".join(option.choices)
    if option.minimum is None and option.maximum is None:
        return descriptor
    if named.type is float:
        low = -sys.float_info.max if option.minimum is None else option.minimum
        high = sys.float_info.max if option.maximum is None else option.maximum
        descriptor.floating_point_range = [FloatingPointRange(from_value=float(low), to_value=float(high), step=0.0)]
    else:
        low = _INT64_MIN if option.minimum is None else option.minimum
        high = _INT64_MAX if option.maximum is None else option.maximum
        descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high), step=1)]
    return descriptor


def refuse_unknown(given: Mapping[str, Any], declared: Sequence[str]) -> None:
    """Raises ConfigError for a value that was given to no declared parameter; it would be ignored in silence."""
    for name in sorted(set(given) - set(declared)):
        if name in _FOREIGN_NAMES or name.startswith(_FOREIGN_PREFIX):
            continue
        hint = did_you_mean(name, declared, "`ros2 param list` shows the known ones")
        raise ConfigError(f"unknown parameter {name} = {given[name]!r}; {hint}")


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _made(prefix: str, kind: type[_ConfigT], values: Mapping[str, Any]) -> _ConfigT:
    """The configuration of these values; ConfigError, with the parameter's full name, where one cannot be."""
    for named in _fully_named(prefix, kind):
        validate(named, values[_bare_name(prefix, named.name)])
    return kind.from_mapping(values)


def _fully_named(prefix: str, kind: type[Config]) -> tuple[NamedOption, ...]:
    """The options by the names of their parameters."""
    return tuple(dataclasses.replace(named, name=full_name(prefix, named.name)) for named in kind.options())


def _bare_name(prefix: str, name: str) -> str:
    return name.removeprefix(full_name(prefix, ""))


def _overrides(node: Node) -> dict[str, Any]:
    """The initial values from files, command line and constructor; rclpy keeps them, but has no name for them."""
    given = cast("Mapping[str, Parameter]", node._parameter_overrides)
    return {name: parameter.value for name, parameter in given.items()}
