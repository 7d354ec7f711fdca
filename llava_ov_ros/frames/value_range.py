"""The range of stored values that is shown from darkest to brightest: given by a user or found automatically."""

from __future__ import annotations

import math
from dataclasses import dataclass

DEFAULT, AUTO = "default", "auto"
BETWEEN = ".."
LEAST_STEPS = 256
"""Least span of an automatic range in steps: one step per grey level, so that noise alone does not fill the range."""
SAME_SHARE = 0.1
"""Share of the new range's span by which both its ends may differ from the previous range, which then stays."""


@dataclass(frozen=True)
class ValueRange:
    """A range of stored values.

    Attributes:
        black: Value that is shown darkest, as are all values beyond it.
        white: Value that is shown brightest, as are all values beyond it; less than `black` if small values are bright.

    Raises:
        ValueError: The two values are equal, or one of them is no finite number.
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
        """Whether the range has values below zero; then they count as measurements."""
        return min(self.black, self.white) < 0


def check_value_range(text: str) -> None:
    """Check that a text is `default`, `auto` or a range such as `0..4095`.

    Raises:
        ValueError: The text is none of these; the message names it and the allowed forms.
    """
    if text not in (DEFAULT, AUTO):
        given_range(text)


def given_range(text: str) -> ValueRange:
    """Read a range such as `0..4095` or `10000..300`: the value shown darkest, then the value shown brightest.

    Raises:
        ValueError: The text has another form.
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
    """The spread of a picture's measurements.

    Attributes:
        low: The 1st percentile; the minimum if the 1st and the 99th percentile are equal.
        high: The 99th percentile or, likewise, the maximum; equal to `low` if all measurements are equal.
        has_gaps: Whether a hundredth of the pixels or more holds no measurement.
    """

    low: float
    high: float
    has_gaps: bool = False


def automatic_range(spread: Spread | None, *, is_depth: bool, step: float) -> ValueRange | None:
    """The range that shows a picture's measurements, with its ends rounded outwards to a step.

    Args:
        spread: Spread of the picture's measurements; None if there are none.
        is_depth: Whether small values are shown bright.
        step: Smallest difference of two values that counts. A range spans at least LEAST_STEPS steps.

    Returns:
        The range; None if there are no two different values.
    """
    if spread is None or spread.low == spread.high:
        return None
    missing = max(0.0, LEAST_STEPS * step - (spread.high - spread.low))
    # A decimal step such as 0.001 has no exact inverse, and a value that is a multiple of a step must not move.
    per_unit = round(1 / step)
    low = max(0, math.floor(round((spread.low - missing / 2) * per_unit, 6))) / per_unit
    high = math.ceil(round((spread.high + missing / 2) * per_unit, 6)) / per_unit
    return ValueRange(high, low) if is_depth else ValueRange(low, high)


def steady_range(before: ValueRange | None, found: ValueRange | None) -> ValueRange | None:
    """The previous range if the new one differs little from it, else the new one.

    Pictures of one scene then share one range, and a frame of several clips is shown alike in all of them.

    Args:
        before: The previous range; None if there was none.
        found: The automatic range of the new picture; None if it shows nothing.
    """
    if before is None or found is None:
        return found
    allowed = SAME_SHARE * abs(found.white - found.black)
    same = max(abs(found.black - before.black), abs(found.white - before.white)) <= allowed
    return before if same else found


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)
