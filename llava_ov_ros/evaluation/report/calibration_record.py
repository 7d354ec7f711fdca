"""The calibration of a run, as its summary has it: compares confidence with the share of right answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..metrics.calibration import calibration


def calibration_record(judged: Sequence[tuple[float, bool]]) -> dict[str, Any] | None:
    """Compute expected calibration error and Brier score, and the reliability bins that hold an answer.

    The Brier score is that of Brier, Verification of forecasts expressed in terms of probability (1950), with the two
    outcomes right and wrong.

    Args:
        judged: Confidence of each answer, 0 to 1, and whether the answer is right.

    Returns:
        A record ready for JSON, rounded to 6 decimals; None without answers.
    """
    if not judged:
        return None
    found = calibration(judged)
    table = [
        {"from": one.low, "to": one.high, "n": one.n, "confidence": _r(one.confidence), "accuracy": _r(one.accuracy)}
        for one in found.bins
        if one.n
    ]
    brier = math.fsum((confidence - right) ** 2 for confidence, right in judged) / len(judged)
    return {"n": found.n, "ece": _r(found.error), "brier": _r(brier), "bins": table}


def _r(value: float) -> float:
    return round(value, 6)
