"""Accepts integers for parameters of type double: users and YAML files write `5` where ROS requires `5.0`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from rclpy.node import Node
from rclpy.parameter import Parameter

from ..settings import Settings

_DOUBLES = frozenset(entry.name for entry in fields(Settings) if entry.type == "float")


def as_doubles(parameters: Sequence[Parameter]) -> list[Parameter]:
    """Convert integers to doubles for the parameters that are doubles in the table; return all others unchanged."""
    return [_as_double(parameter) for parameter in parameters]


def _as_double(parameter: Parameter) -> Parameter:
    if parameter.name not in _DOUBLES or parameter.type_ != Parameter.Type.INTEGER:
        return parameter
    return Parameter(parameter.name, Parameter.Type.DOUBLE, float(parameter.value))


def accept_whole_numbers(node: Node) -> None:
    """Make a node accept integers for its parameters of type double, both at start and while the node runs.

    Args:
        node: The node, whose parameters are not declared yet.
    """
    given = node._parameter_overrides
    given.update({parameter.name: parameter for parameter in as_doubles(list(given.values()))})
    node.add_pre_set_parameters_callback(as_doubles)
