"""Declares the table of parameters on a ROS node, reads the parameters' values and checks changes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import Field, fields
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidTopicNameException, ParameterUninitializedException
from rclpy.node import Node
from rclpy.validate_topic_name import validate_topic_name

from ..bounds import quoted, shown
from ..settings import ParameterError, Settings, about


def declare(node: Node) -> None:
    """Declare every parameter of the table on a node.

    Raises:
        ParameterError: A start-up override names no parameter of this node.
        rclpy.exceptions.InvalidParameterValueException: A start-up value is outside its range.
    """
    known = {entry.name for entry in fields(Settings)} | {"use_sim_time", "start_type_description_service"}
    # rclpy ignores overrides of parameters that are not declared, so a misspelt name would never be noticed.
    unknown = sorted(
        name for name in node._parameter_overrides if name not in known and not name.startswith("qos_overrides.")
    )
    if unknown:
        raise ParameterError(
            f"unknown parameter {', '.join(unknown)}; `llava-ov parameters` lists those that there are"
        )
    defaults = Settings()
    for entry in fields(Settings):
        node.declare_parameter(entry.name, getattr(defaults, entry.name), descriptor(entry))


def descriptor(entry: Field[Any]) -> ParameterDescriptor:
    """Make the ROS descriptor of one parameter: description, choices and range."""
    rule = about(entry)
    message = ParameterDescriptor(name=entry.name, description=rule.text)
    if rule.choices:
        message.additional_constraints = "one of: " + ", ".join(str(choice) for choice in rule.choices)
    if rule.low is not None and rule.high is not None:
        if entry.type == "int":
            message.integer_range = [IntegerRange(from_value=int(rule.low), to_value=int(rule.high))]
        else:
            message.floating_point_range = [FloatingPointRange(from_value=rule.low, to_value=rule.high)]
    return message


def read(node: Node) -> Settings:
    """Read all parameters of a node.

    Raises:
        ParameterError: A value is not allowed.
    """
    return _checked({entry.name: _value(node, entry) for entry in fields(Settings)})


def changed(before: Settings, parameters: Iterable[Any], configured: bool) -> Settings:
    """Return the settings after a request to set some parameters.

    Args:
        before: The settings before the request.
        parameters: The rclpy Parameters to be set; parameters that are not in the table are ignored.
        configured: Whether the node is configured, so that only live parameters may change.

    Raises:
        ParameterError: A value is not allowed, or cannot be changed now.
    """
    table = {entry.name: entry for entry in fields(Settings)}
    values = {entry.name: getattr(before, entry.name) for entry in fields(Settings)}
    for parameter in parameters:
        entry = table.get(parameter.name)
        if entry is None:
            continue
        value = _plain(parameter.value)
        if configured and not about(entry).live and value != values[entry.name]:
            raise ParameterError(
                f"{entry.name} takes effect at configure: deactivate and clean up the node, then set it"
            )
        values[entry.name] = value
    return _checked(values)


def _checked(values: dict[str, Any]) -> Settings:
    """Make settings of these values and check the names of topics.

    Raises:
        ParameterError: A value is outside its range or choices, or ROS does not take the name of a topic.
    """
    settings = Settings(**values)
    for topic in settings.image_topics:
        try:
            validate_topic_name(topic)
        except InvalidTopicNameException as error:
            reason = str(error).splitlines()[0]
            raise ParameterError(f"image_topics has {quoted(topic)}: {shown(reason)}") from None
    return settings


def _value(node: Node, entry: Field[Any]) -> Any:
    try:
        return _plain(node.get_parameter(entry.name).value)
    except ParameterUninitializedException:
        # An empty list in YAML has no type, so that rclpy leaves the parameter without a value.
        if entry.type == "list[str]" or entry.type == "list[int]":
            return []
        raise ParameterError(f"{entry.name} is given without a value") from None


def _plain(value: Any) -> Any:
    """Convert the array.array that rclpy returns for a list to a list."""
    return value if isinstance(value, (str, bool, int, float)) else list(value)
