"""The range of values that shows what a picture holds, where nobody has given one."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..settings.value_range import ValueRange

LEAST_STEPS = 256
"""Least span of an automatic range: one step for a gray level, so that noise alone does not become a picture."""
SAME_SHARE = 0.1
"""An automatic range stays as long as neither end of the one found differs by more of the latter's span."""


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
