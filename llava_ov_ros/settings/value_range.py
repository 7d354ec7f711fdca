"""Which stored values of a picture are shown darkest and brightest, as a user writes it."""

from __future__ import annotations

import math
from dataclasses import dataclass

DEFAULT, AUTO = "default", "auto"
BETWEEN = ".."


@dataclass(frozen=True)
class ValueRange:
    """Two values of a picture, in the numbers that it stores.

    Attributes:
        black: Shown darkest, and so is what lies beyond it.
        white: Shown brightest, likewise; less than `black` where small values are shown bright.

    Raises:
        ValueError: They are equal, or one of them is no finite number.
    """

    black: float
    white: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.black) and math.isfinite(self.white)) or self.black == self.white:
            raise ValueError(
                f"{self.black:g} and {self.white:g} are no range of values: give two finite, different ones"
            )

    def __str__(self) -> str:
        return f"{_number(self.black)}{BETWEEN}{_number(self.white)}"

    @property
    def goes_below_zero(self) -> bool:
        """Whether values below zero are values like others."""
        return min(self.black, self.white) < 0


def check_value_range(text: str) -> None:
    """Check that a text is `default`, `auto` or a range such as `0..4095`.

    Raises:
        ValueError: It is neither; the text names it and what is allowed.
    """
    if text not in (DEFAULT, AUTO):
        given_range(text)


def given_range(text: str) -> ValueRange:
    """The range that a text such as `0..4095` or `10000..300` names: the value shown darkest, then the brightest.

    Raises:
        ValueError: It is no such text.
    """
    black, _, white = text.partition(BETWEEN)
    try:
        return ValueRange(float(black), float(white))
    except ValueError:
        raise ValueError(
            f"value_range is {text!r}: allowed are {DEFAULT}, {AUTO}, or the values shown darkest and brightest, two "
            "different numbers such as 0..4095 or 10000..300"
        ) from None


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)
