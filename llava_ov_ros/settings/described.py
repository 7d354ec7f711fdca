"""The description of a parameter for users, and the check of one value against this description."""

from __future__ import annotations

from dataclasses import Field, dataclass, field
from typing import Any

from ..bounds import quoted

LONGEST_TEXT = 10_000
"""Most characters of one text. They make a few thousand tokens; a model's context has 32,768 tokens or fewer."""
MOST_ENTRIES = 100
"""Most entries of a list."""

Value = bool | int | float | str | list[int] | list[str]


class ParameterError(ValueError):
    """A parameter's value cannot be used; the text names the parameter, the value and what is allowed."""


@dataclass(frozen=True)
class Described:
    """Description of one parameter for users, and the values that the parameter may have.

    Attributes:
        text: Description, with the unit.
        low: Smallest value allowed (numbers).
        high: Largest value allowed (numbers).
        choices: Values allowed (strings, and the elements of string lists).
        live: Whether a change takes effect while the node runs. Other parameters can only be set while the node is
            unconfigured.
    """

    text: str
    low: float | None = None
    high: float | None = None
    choices: tuple[Any, ...] = ()
    live: bool = False


def described(default: Value, text: str, **checks: Any) -> Any:
    """Make the dataclass field of one parameter, with the description in its metadata.

    Args:
        default: Default of the parameter; every instance gets its own copy of a list.
        text: Description, with the unit.
        checks: The other attributes of `Described`.
    """
    about = Described(text, **checks)
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata={"about": about})
    return field(default=default, metadata={"about": about})


def about(entry: Field[Any]) -> Described:
    """Return the description of one field of `Settings`."""
    described: Described = entry.metadata["about"]
    return described


def check_value(entry: Field[Any], value: Value) -> None:
    """Check that a value is within its parameter's range and choices, and no list or text is too long.

    Raises:
        ParameterError: The value is not allowed; the text names the parameter, the value and what is allowed.
    """
    rule = about(entry)
    items = value if isinstance(value, list) else [value]
    if len(items) > MOST_ENTRIES:
        raise ParameterError(f"{entry.name} has {len(items)} entries: allowed are up to {MOST_ENTRIES}")
    for item in items:
        if isinstance(item, str) and len(item) > LONGEST_TEXT:
            raise ParameterError(f"{entry.name} has a text of {len(item)} characters: allowed are up to {LONGEST_TEXT}")
        if rule.choices and item not in rule.choices:
            allowed = ", ".join(str(choice) for choice in rule.choices)
            raise ParameterError(
                f"{entry.name} is {quoted(item) if isinstance(item, str) else item}: allowed are {allowed}"
            )
        if rule.low is not None and rule.high is not None and not rule.low <= float(item) <= rule.high:
            raise ParameterError(f"{entry.name} is {item}: allowed is {rule.low:g} to {rule.high:g}")
