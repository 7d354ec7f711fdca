"""Checks the lower bound of integers, and shortens texts of users and files for messages."""

from __future__ import annotations

from numbers import Integral

MOST_DIGITS = 15
"""Most digits of a number that is read as a count, leading zeros aside. Python's `int` refuses very long ones."""
MOST_SHOWN = 200
"""Most characters of a user's text that a message shows."""
MOST_CITED = 80
"""Most characters of a value from a file that a message shows: whoever names a file may not be allowed to read it."""


def shown(text: str) -> str:
    """The text, cut off with an ellipsis if it is longer than MOST_SHOWN characters."""
    return text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 1] + "…"


def quoted(text: str) -> str:
    """The text in quotes for a message, shortened as by `shown`."""
    return repr(shown(text))


def shortened(text: str) -> str:
    """A text from a file, cut off with an ellipsis if it is longer than MOST_CITED characters."""
    return text if len(text) <= MOST_CITED else text[: MOST_CITED - 1] + "…"


def cited(value: object) -> str:
    """The `repr` of a value from a file, for a message about the file; shortened as by `shortened`."""
    return repr(shortened(value)) if isinstance(value, str) else shortened(repr(value))


def check_whole(name: str, value: int, least: int) -> None:
    """Check that a setting is an integer of at least `least`; a bool is refused.

    Args:
        name: Name of the setting, for the message.
        value: Value of the setting, of any type.
        least: Smallest value allowed.

    Raises:
        ValueError: The value is no such integer; the message names the setting, the value and the allowed range.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} is {value!r}: give a whole number from {least}")
