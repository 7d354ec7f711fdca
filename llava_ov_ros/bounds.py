"""Bounds of what somebody gives: whole numbers that are large enough, counts and other texts that are not too long."""

from __future__ import annotations

from numbers import Integral

MOST_DIGITS = 15
"""Of a count in a text, leading zeros aside: longer numbers count nothing, and Python refuses very long ones."""
MOST_SHOWN = 200
"""Characters of a text that somebody else wrote, in messages about it."""


def shown(text: str) -> str:
    """The text, or where it is longer than MOST_SHOWN its beginning and an ellipsis, which are as long."""
    return text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 1] + "…"


def quoted(text: str) -> str:
    """The text in quotes, for a message that names it; of a long one the beginning."""
    return repr(shown(text))


def check_whole(name: str, value: int, least: int) -> None:
    """Refuse a value that is no whole number from `least`.

    Args:
        name: Of the setting, for the error.
        value: As somebody has given it.
        least: Smallest value allowed.

    Raises:
        ValueError: The text names the setting, the value and what is allowed.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} is {value!r}: give a whole number from {least}")
