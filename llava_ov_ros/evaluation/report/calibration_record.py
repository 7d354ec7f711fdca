"""Whether a model is as often right as it is sure, as a summary has it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..metrics.calibration import calibration


def calibration_record(judged: Sequence[tuple[float, bool]]) -> dict[str, Any] | None:
    """Expected calibration error and Brier score, with the bins of a reliability diagram that hold an answer.

    Brier, Verification of forecasts expressed in terms of probability (1950), of right and wrong.

    Args:
        judged: Confidence, 0 to 1, and whether the answer was right.

    Returns:
        Ready for JSON, rounded to 6 decimals; None where nothing was judged.
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
