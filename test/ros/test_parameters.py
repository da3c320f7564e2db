# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Configuration dataclasses as parameters of a node."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from rcl_interfaces.msg import ParameterType
from rclpy.node import Node
from rclpy.parameter import Parameter

from aliked_ros.config import Config, option
from aliked_ros.errors import ConfigError
from aliked_ros.ros.node_config import TRACKER_GROUPS, TrackerNodeConfig
from aliked_ros.ros.parameters import NodeParameters, refuse_unknown

pytestmark = pytest.mark.ros


@dataclass(frozen=True)
class Fruit(Config):
    """Options of every kind."""

    name: str = option("apple", "what it is", choices=("apple", "pear"), live=True)
    weight: float = option(0.2, "how heavy", unit="kg", minimum=0.0, maximum=2.0, live=True)
    seeds: int = option(5, "how many", minimum=0, live=True)
    ripe: bool = option(True, "may be eaten")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.name == "pear" and self.seeds > 10:
            raise ConfigError(f"a pear has at most 10 seeds, got {self.seeds}")


@dataclass(frozen=True)
class Basket(Config):
    """Another group."""

    size: int = option(10, "fruits that fit", live=True)
    kind: str = option("net", "what it is made of", choices=("net", "box"), live=True)
    handle: bool = option(True, "can be carried")


GROUPS = (("", Fruit), ("basket", Basket))


@pytest.fixture
def node(ros_context: Any) -> Iterator[Node]:
    node = Node("fruit", context=ros_context)
    yield node
    node.destroy_node()


def made_with(context: Any, **values: Any) -> NodeParameters:
    overrides = [Parameter(name.replace("__", "."), value=value) for name, value in values.items()]
    node = Node("fruit", context=context, parameter_overrides=overrides)
    try:
        return NodeParameters(node, GROUPS)
    finally:
        node.destroy_node()


def test_parameters_are_described(node: Node) -> None:
    NodeParameters(node, GROUPS)
    name, weight, seeds, ripe, size = (
        node.describe_parameter(name) for name in ("name", "weight", "seeds", "ripe", "basket.size")
    )
    assert (name.type, name.additional_constraints) == (ParameterType.PARAMETER_STRING, "one of apple, pear")
    assert weight.description == "how heavy (unit: kg; range: [0, 2])"
    (weight_range,) = weight.floating_point_range
    assert (weight_range.from_value, weight_range.to_value) == (0.0, 2.0)
    (seed_range,) = seeds.integer_range
    assert (seed_range.from_value, seed_range.to_value) == (0, 2**63 - 1)
    assert [descriptor.read_only for descriptor in (name, weight, seeds, ripe, size)] == [False] * 3 + [True, False]
    assert len(size.integer_range) == 0


def test_every_option_of_the_tracker_is_declared_with_its_default(node: Node) -> None:
    parameters = NodeParameters(node, TRACKER_GROUPS)
    for prefix, kind in TRACKER_GROUPS:
        assert parameters.get(kind) == kind()
        for named in kind.options():
            name = f"{prefix}.{named.name}" if prefix else named.name
            value = node.get_parameter(name).value
            assert (tuple(value) if named.is_list else value) == named.default
            assert named.option.help in node.describe_parameter(name).description


def test_an_empty_list_in_a_file_is_an_empty_list(ros_context: Any, tmp_path: Path) -> None:
    file = tmp_path / "parameters.yaml"
    file.write_text(
        "tracker:\n  ros__parameters:\n    cameras: []\n    queue_size: 7\n"
    )  # as ros2 param dump writes it
    node = Node("tracker", context=ros_context, cli_args=["--ros-args", "--params-file", str(file)])
    try:
        config = NodeParameters(node, TRACKER_GROUPS).get(TrackerNodeConfig)
        assert (config.cameras, config.queue_size) == ((), 7)
    finally:
        node.destroy_node()


def test_initial_values_are_taken(ros_context: Any) -> None:
    parameters = made_with(ros_context, name="pear", weight=1.5, basket__size=3)
    assert parameters.get(Fruit) == Fruit(name="pear", weight=1.5)
    assert parameters.get(Basket) == Basket(size=3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"weight": 3.0}, r"parameter weight: 3.0 is not allowed; how heavy \(unit: kg; range: \[0, 2\]\)"),
        ({"weight": 1}, "parameter weight must be float, got 1; write 1.0 for 1"),
        ({"seeds": 1.0}, "parameter seeds must be int, got 1.0"),
        ({"name": "plum"}, "^name must be one of apple, pear, got 'plum'"),
        ({"basket__kind": "pot"}, "^basket.kind must be one of net, box, got 'pot'"),
        ({"name": "pear", "seeds": 11}, "at most 10 seeds"),
        ({"wieght": 1.0}, "unknown parameter wieght = 1.0; did you mean weight?"),
        ({"size": 1.0}, "unknown parameter size = 1.0"),
        ({"colour": "red"}, r"unknown parameter colour = 'red'; `ros2 param list` shows the known ones"),
    ],
)
def test_wrong_initial_values_are_refused(ros_context: Any, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        made_with(ros_context, **values)


def test_parameters_of_the_system_are_none_of_our_business() -> None:
    refuse_unknown({"use_sim_time": True, "qos_overrides./image.subscription.depth": 5}, ["weight"])
    refuse_unknown({"start_type_description_service": False}, ["weight"])


@pytest.mark.parametrize(
    "name", ["use_sim_timee", "use_sim_time.x", "start_type_description_services", "qos_override.x"]
)
def test_misspelt_parameters_of_the_system_are_refused(ros_context: Any, name: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown parameter {name}"):
        made_with(ros_context, **{name: True})


def test_refusals_have_the_parameter_s_full_name(node: Node) -> None:
    parameters = NodeParameters(node, GROUPS, may_change=lambda: False)
    for name, value, reason in (
        ("basket.kind", "pot", "basket.kind must be one of net, box, got 'pot'"),
        ("basket.handle", False, "basket.handle cannot change while the node is configured"),
    ):
        result = node.set_parameters_atomically([Parameter(name, value=value)])
        assert not result.successful
        assert result.reason.startswith(reason)
    assert parameters.get(Basket) == Basket()


def test_changes_reach_the_configuration(node: Node) -> None:
    parameters = NodeParameters(node, GROUPS)
    seen: list[Fruit] = []
    parameters.on_change(lambda: seen.append(parameters.get(Fruit)))
    result = node.set_parameters_atomically([Parameter("weight", value=1.0), Parameter("basket.size", value=2)])
    assert result.successful
    assert parameters.get(Fruit) == Fruit(weight=1.0)
    assert parameters.get(Basket) == Basket(size=2)
    assert seen == [Fruit(weight=1.0)], "once for all of them"
    assert node.set_parameters_atomically([Parameter("weight", value=1.0)]).successful
    assert len(seen) == 1, "nothing changed"


def test_changes_are_taken_as_a_whole_or_not_at_all(node: Node) -> None:
    parameters = NodeParameters(node, GROUPS)
    result = node.set_parameters_atomically([Parameter("name", value="pear"), Parameter("seeds", value=11)])
    assert (result.successful, result.reason) == (False, "a pear has at most 10 seeds, got 11")
    assert parameters.get(Fruit) == Fruit()
    assert node.get_parameter("name").value == "apple"
    assert not node.set_parameters_atomically([Parameter("ripe", value=False)]).successful
    assert not node.set_parameters_atomically([Parameter("weight", value="a lot")]).successful
    assert parameters.get(Fruit) == Fruit()


def test_parameters_of_others_do_not_matter(node: Node) -> None:
    parameters = NodeParameters(node, GROUPS)
    assert node.set_parameters_atomically([Parameter("use_sim_time", value=True)]).successful
    assert parameters.get(Fruit) == Fruit()


@pytest.mark.parametrize("error", [ConfigError("the tree is too high"), RuntimeError("the ladder broke")])
def test_a_change_that_cannot_be_taken_over_is_refused_and_undone(node: Node, error: Exception) -> None:
    parameters = NodeParameters(node, GROUPS)
    seen: list[float] = []

    def apply() -> None:
        seen.append(parameters.get(Fruit).weight)
        if seen[-1] > 1:
            raise error

    parameters.on_change(apply)
    result = node.set_parameters_atomically([Parameter("weight", value=1.5)])
    assert not result.successful
    assert str(error) in result.reason
    assert parameters.get(Fruit) == Fruit()
    assert node.get_parameter("weight").value == 0.2
    assert seen == [1.5, 0.2], "what was in force is again"
    assert node.set_parameters_atomically([Parameter("weight", value=0.7)]).successful


MEMBERS = (("", Fruit), ("left", Fruit), ("right", Fruit))


@pytest.mark.parametrize(
    ("values", "left", "right"),
    [
        ({}, Fruit(), Fruit()),
        ({"ripe": False, "seeds": 3}, Fruit(ripe=False, seeds=3), Fruit(ripe=False, seeds=3)),
        ({"ripe": False, "left.ripe": True}, Fruit(), Fruit(ripe=False)),
        ({"seeds": 0, "left.seeds": 5, "right.name": "pear"}, Fruit(), Fruit(name="pear", seeds=0)),
    ],
)
def test_what_is_said_of_one_goes_before_what_is_said_of_all(
    ros_context: Any, values: dict[str, Any], left: Fruit, right: Fruit
) -> None:
    overrides = [Parameter(name, value=value) for name, value in values.items()]
    node = Node("fruit", context=ros_context, parameter_overrides=overrides)
    try:
        parameters = NodeParameters(node, MEMBERS[:1], lambda _: MEMBERS[1:])
        assert (parameters.get(Fruit, "left"), parameters.get(Fruit, "right")) == (left, right)
        for name, fruit in (("left", left), ("right", right)):
            assert node.get_parameter(f"{name}.ripe").value is fruit.ripe, "tools show what is in force"
    finally:
        node.destroy_node()


def test_later_changes_of_all_reach_those_of_which_nothing_else_was_said(node: Node) -> None:
    parameters = NodeParameters(node, MEMBERS, may_change=lambda: True)
    changes: list[None] = []
    parameters.on_change(lambda: changes.append(None))
    assert node.set_parameters_atomically([Parameter("left.seeds", value=5)]).successful  # as before, but said
    assert node.set_parameters_atomically([Parameter("seeds", value=9), Parameter("ripe", value=False)]).successful
    assert [parameters.get(Fruit, name).seeds for name in ("", "left", "right")] == [9, 5, 9]
    assert [node.get_parameter(name).value for name in ("seeds", "left.seeds", "right.seeds")] == [9, 5, 9]
    assert [node.get_parameter(f"{name}.ripe").value for name in ("left", "right")] == [False, False]
    assert len(changes) == 1
    assert not node.set_parameters_atomically([Parameter("seeds", value=-1)]).successful
    assert node.get_parameter("right.seeds").value == 9
