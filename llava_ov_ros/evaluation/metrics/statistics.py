"""How sure a mean is, and whether one run is better than another: bootstrap over questions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RESAMPLES = 2000
# Bounds the memory that resampling takes.
DRAWN_AT_ONCE = 2_000_000
# Two-sided 95 %.
PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True)
class Paired:
    """Two runs on the same questions.

    Attributes:
        n: Questions.
        difference: Mean of ours less mean of theirs.
        low: Lower end of its 95 % interval.
        high: Upper end of its 95 % interval.
        better: Questions that we score higher in.
        worse: Questions that we score lower in.
    """

    n: int
    difference: float
    low: float
    high: float
    better: int
    worse: int


def mean(scores: Sequence[float]) -> float:
    """The mean, the same in whatever order the scores are; NaN of none."""
    return math.fsum(scores) / len(scores) if scores else math.nan


def bootstrap_interval(scores: Sequence[float], seed: int) -> tuple[float, float]:
    """The 95 % interval of a mean: percentiles of the means of 2000 resamples of the questions.

    Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13. The same scores in the same order and
    the same seed give the same interval.

    Args:
        scores: One for each question.
        seed: Of the resampling.

    Returns:
        Lower and upper end; NaN of no scores.
    """
    if not scores:
        return math.nan, math.nan
    low, high = np.percentile(_resampled_means(np.asarray(scores, dtype=np.float64), seed), PERCENTILES)
    return float(low), float(high)


def paired(ours: Sequence[float], theirs: Sequence[float], seed: int) -> Paired:
    """Compares two runs question by question; the interval is that of the mean of the differences.

    Args:
        ours: Scores of one run.
        theirs: Scores of the other on the same questions in the same order.
        seed: Of the resampling.

    Raises:
        ValueError: They are not as many.
    """
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} scores cannot be paired with {len(theirs)}: give those of the same questions")
    differences = [our - their for our, their in zip(ours, theirs, strict=True)]
    low, high = bootstrap_interval(differences, seed)
    return Paired(
        n=len(differences),
        difference=mean(differences),
        low=low,
        high=high,
        better=sum(difference > 0 for difference in differences),
        worse=sum(difference < 0 for difference in differences),
    )


def _resampled_means(scores: npt.NDArray[np.float64], seed: int) -> npt.NDArray[np.float64]:
    random = np.random.Generator(np.random.PCG64(seed))
    at_once = max(1, DRAWN_AT_ONCE // len(scores))
    draws = (min(at_once, RESAMPLES - done) for done in range(0, RESAMPLES, at_once))
    return np.concatenate([scores[random.integers(0, len(scores), (n, len(scores)))].mean(axis=1) for n in draws])
