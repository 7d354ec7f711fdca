"""The range of a picture's stored values that is shown from dark to bright, as a user writes the range."""

from __future__ import annotations

import math
from dataclasses import dataclass

DEFAULT, AUTO = "default", "auto"
BETWEEN = ".."


@dataclass(frozen=True)
class ValueRange:
    """The two stored values of a picture that are shown darkest and brightest.

    Attributes:
        black: Stored value that is shown darkest; values beyond it are shown equally dark.
        white: Stored value that is shown brightest; values beyond it are shown equally bright. `white` is less than
            `black` if small values are shown bright.

    Raises:
        ValueError: The two values are equal, or one of them is not finite.
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
        """Whether the range includes values below zero, so that a picture's values of 0 or less are measurements."""
        return min(self.black, self.white) < 0


def check_value_range(text: str) -> None:
    """Check that a text is `default`, `auto` or a range such as `0..4095`.

    Raises:
        ValueError: The text is none of these; the message names the text and the allowed forms.
    """
    if text not in (DEFAULT, AUTO):
        given_range(text)


def given_range(text: str) -> ValueRange:
    """Read a range from a text such as `0..4095` or `10000..300`: the value shown darkest, then the brightest.

    Raises:
        ValueError: The text is not a range; the message names the text and the allowed forms.
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
