"""Bounds of what somebody gives: whole numbers that are large enough, texts that are not too long, also in messages."""

from __future__ import annotations

from numbers import Integral

MOST_DIGITS = 15
"""Of a count in a text, leading zeros aside: longer numbers count nothing, and Python refuses very long ones."""
MOST_SHOWN = 200
"""Characters of a text that somebody else wrote, in messages about it."""
MOST_CITED = 80
"""Characters of a value that stands in a file, in messages about it: who names a file need not see what it holds."""


def shown(text: str) -> str:
    """The text, or where it is longer than MOST_SHOWN its beginning and an ellipsis, which are as long."""
    return text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 1] + "…"


def quoted(text: str) -> str:
    """The text in quotes, for a message that names it; of a long one the beginning."""
    return repr(shown(text))


def shortened(text: str) -> str:
    """The text of a file's value or name, or of one longer than MOST_CITED the beginning, with an ellipsis."""
    return text if len(text) <= MOST_CITED else text[: MOST_CITED - 1] + "…"


def cited(value: object) -> str:
    """A value that stands in a file, as Python writes it, for a message about the file; shortened as by `shortened`."""
    return repr(shortened(value)) if isinstance(value, str) else shortened(repr(value))


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
