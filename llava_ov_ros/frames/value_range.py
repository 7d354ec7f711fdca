"""Which stored values of a picture are shown darkest and brightest: as a user writes it, and as it is found."""

from __future__ import annotations

import math
from dataclasses import dataclass

DEFAULT, AUTO = "default", "auto"
BETWEEN = ".."
LEAST_STEPS = 256
"""Least span of an automatic range: one step for a gray level, so that noise alone does not become a picture."""
SAME_SHARE = 0.1
"""An automatic range stays as long as neither end of the one found differs by more of the latter's span."""


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


@dataclass(frozen=True)
class Spread:
    """What values a picture holds: its 1st and 99th percentile, or its least and greatest where these are equal.

    Attributes:
        low: The former.
        high: The latter; equal to `low` where all values are equal.
        has_gaps: A hundredth of the pixels or more holds no measurement.
    """

    low: float
    high: float
    has_gaps: bool = False


def automatic_range(spread: Spread | None, *, is_depth: bool, step: float) -> ValueRange | None:
    """The range that shows what a picture holds, its ends rounded outwards to a step.

    Args:
        spread: What the picture holds; None where it has no measurement.
        is_depth: Small values are shown bright.
        step: Least difference of two values that counts. A range spans at least LEAST_STEPS of them.

    Returns:
        The range; None where there are no two different values.
    """
    if spread is None or spread.low == spread.high:
        return None
    missing = max(0.0, LEAST_STEPS * step - (spread.high - spread.low))
    # A decimal step has no exact inverse, and a value that is on a step already must stay where it is.
    per_unit = round(1 / step)
    low = max(0, math.floor(round((spread.low - missing / 2) * per_unit, 6))) / per_unit
    high = math.ceil(round((spread.high + missing / 2) * per_unit, 6)) / per_unit
    return ValueRange(high, low) if is_depth else ValueRange(low, high)


def steady_range(before: ValueRange | None, found: ValueRange | None) -> ValueRange | None:
    """The range before, where the one found differs little from it; else the one found.

    Pictures of one scene then have one range, and those that are in several clips are shown alike in all of them.
    """
    if before is None or found is None:
        return found
    allowed = SAME_SHARE * abs(found.white - found.black)
    same = max(abs(found.black - before.black), abs(found.white - before.white)) <= allowed
    return before if same else found


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)
