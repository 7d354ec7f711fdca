"""Finds the range of stored values that shows what a picture holds, if nobody has given one."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..settings.value_range import ValueRange

LEAST_STEPS = 256
"""Least span of an automatic range in steps: one step per grey level, so that noise alone does not fill the range."""
SAME_SHARE = 0.1
"""Share of the new range's span by which both its ends may differ from the previous range, which then stays."""


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
