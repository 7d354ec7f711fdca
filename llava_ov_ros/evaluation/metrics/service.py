"""How fast answers came, and how many questions were refused: what a robot notices besides right and wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...tasks import Status

# Where the pictures, not the answerer, are the reason that there is no answer.
STALE = (Status.STALE, Status.FROZEN)


@dataclass(frozen=True)
class Spread:
    """Times in seconds.

    Attributes:
        n: How many.
        median_s: The median.
        p95_s: The 95th percentile, interpolated between the two nearest.
    """

    n: int
    median_s: float
    p95_s: float


@dataclass(frozen=True)
class Latency:
    """Times of answers: to the first token, and to the last one."""

    first_token: Spread
    total: Spread


@dataclass(frozen=True)
class Refusals:
    """How questions ended.

    Attributes:
        n: Questions.
        stale: Share whose pictures were too old or frozen.
        refused: Share without an answer, for whatever reason; the stale ones are some of them.
    """

    n: int
    stale: float
    refused: float


def spread(times_s: Sequence[float]) -> Spread | None:
    """Median and 95th percentile of times in seconds; None of no times."""
    if not times_s:
        return None
    median_s, p95_s = np.percentile(np.asarray(times_s, dtype=np.float64), (50, 95))
    return Spread(len(times_s), float(median_s), float(p95_s))


def latency(first_token_s: Sequence[float], total_s: Sequence[float]) -> Latency | None:
    """Latency of answers from their times in seconds; None where nothing was answered."""
    first, total = spread(first_token_s), spread(total_s)
    return None if first is None or total is None else Latency(first, total)


def refusals(statuses: Sequence[Status]) -> Refusals | None:
    """Shares of questions that were not answered; None of no questions."""
    if not statuses:
        return None
    stale = sum(status in STALE for status in statuses)
    refused = sum(status != Status.OK for status in statuses)
    return Refusals(len(statuses), stale / len(statuses), refused / len(statuses))
