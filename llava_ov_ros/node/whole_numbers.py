"""Whole numbers for parameters of type double: people and YAML files write `5` where ROS wants `5.0`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from rclpy.node import Node
from rclpy.parameter import Parameter

from ..settings import Settings

_DOUBLES = frozenset(entry.name for entry in fields(Settings) if entry.type == "float")


def as_doubles(parameters: Sequence[Parameter]) -> list[Parameter]:
    """The parameters, integers made doubles where the table of parameters has a double; all others are as they were."""
    return [_as_double(parameter) for parameter in parameters]


def _as_double(parameter: Parameter) -> Parameter:
    if parameter.name not in _DOUBLES or parameter.type_ != Parameter.Type.INTEGER:
        return parameter
    return Parameter(parameter.name, Parameter.Type.DOUBLE, float(parameter.value))


def accept_whole_numbers(node: Node) -> None:
    """Let a node take integers for its doubles: given at start, which comes first, and set while it runs.

    Args:
        node: Whose parameters are not declared yet.
    """
    given = node._parameter_overrides
    given.update({parameter.name: parameter for parameter in as_doubles(list(given.values()))})
    node.add_pre_set_parameters_callback(as_doubles)
