"""Whether a setting that counts something is a whole number and large enough; how long counts in texts can be."""

from __future__ import annotations

from numbers import Integral

MOST_DIGITS = 15
"""Of a count in a text, leading zeros aside: longer numbers count nothing, and Python refuses very long ones."""


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
