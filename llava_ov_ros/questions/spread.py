"""Median and 95th percentile of times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class TimeSpread:
    """Times in seconds.

    Attributes:
        n: How many.
        median_s: The median.
        p95_s: The 95th percentile, interpolated between the two nearest.
    """

    n: int
    median_s: float
    p95_s: float


def spread(times_s: Sequence[float]) -> TimeSpread | None:
    """Median and 95th percentile of times in seconds; None of no times."""
    if not times_s:
        return None
    median_s, p95_s = np.percentile(np.asarray(times_s, dtype=np.float64), (50, 95))
    return TimeSpread(len(times_s), float(median_s), float(p95_s))
