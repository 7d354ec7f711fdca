"""How sure a mean is, and whether one run is better than another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .intervals import Z_95, newcombe_interval, wilson_interval

RESAMPLES = 2000
# Bounds the memory that resampling takes.
DRAWN_AT_ONCE = 2_000_000
# Two-sided 95 %.
PERCENTILES = (2.5, 97.5)
# Between which scores lie, and differences of scores.
SCORES, DIFFERENCES = (0.0, 1.0), (-1.0, 1.0)


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


def interval(scores: Sequence[float], seed: int, zero_one: bool) -> tuple[float, float]:
    """The 95 % interval of a mean.

    Args:
        scores: One for each question, 0 to 1.
        seed: Of the resampling.
        zero_one: Whether the metric is 1 for right and 0 for wrong, and nothing between: then the interval is
            Wilson's, otherwise that of `bootstrap_interval`.

    Returns:
        Lower and upper end; NaN of no scores.

    Raises:
        ValueError: A score of such a metric is neither 0 nor 1.
    """
    if not scores:
        return math.nan, math.nan
    if not zero_one:
        return bootstrap_interval(scores, seed)
    return wilson_interval(_right(scores), len(scores))


def bootstrap_interval(
    scores: Sequence[float], seed: int, ends: tuple[float, float] = SCORES, weights: Sequence[float] | None = None
) -> tuple[float, float]:
    """The 95 % interval of a mean: percentiles of the means of 2000 resamples of the questions.

    Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13. The same scores in the same order and
    the same seed give the same interval. Equal scores leave resampling nothing to vary; their interval is that of
    `equal_interval`.

    Args:
        scores: One for each question.
        seed: Of the resampling.
        ends: Between which scores can lie.
        weights: How much each question counts, 0 or more; None: all alike.

    Returns:
        Lower and upper end; NaN where nothing counts.
    """
    x = np.asarray(scores, dtype=np.float64)
    w = np.ones_like(x) if weights is None else np.asarray(weights, dtype=np.float64)
    counted = x[w > 0]
    if not len(counted):
        return math.nan, math.nan
    if counted.min() == counted.max():
        # How many questions of equal weight say as much (Kish, Survey Sampling, 1965, section 11.7).
        return equal_interval(float(counted[0]), float(w.sum() ** 2 / (w**2).sum()), ends)
    low, high = np.percentile(_resampled_means(x, w, seed), PERCENTILES)
    return float(low), float(high)


def equal_interval(score: float, n: float, ends: tuple[float, float]) -> tuple[float, float]:
    """The 95 % interval of the mean of n scores that are all equal.

    None of n is otherwise, so that up to a share of z^2 / (n + z^2) of all questions may be (Wilson's interval of 0 of
    n), and those may score anything between the ends. For n scores of 1 this is Wilson's interval of n of n.

    Args:
        score: What all of them are.
        n: How many there are.
        ends: Between which scores can lie.
    """
    otherwise = Z_95**2 / (n + Z_95**2)
    return score - otherwise * (score - ends[0]), score + otherwise * (ends[1] - score)


def paired(ours: Sequence[float], theirs: Sequence[float], seed: int, zero_one: bool) -> Paired:
    """Compares two runs question by question.

    Args:
        ours: Scores of one run, 0 to 1.
        theirs: Scores of the other on the same questions in the same order.
        seed: Of the resampling.
        zero_one: Whether the metric is 1 for right and 0 for wrong, and nothing between: then the interval of the
            difference is Newcombe's for paired shares, otherwise that of `bootstrap_interval` of the differences.

    Raises:
        ValueError: They are not as many, or a score of such a metric is neither 0 nor 1.
    """
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} scores cannot be paired with {len(theirs)}: give those of the same questions")
    differences = [our - their for our, their in zip(ours, theirs, strict=True)]
    better, worse = (sum(sign * one > 0 for one in differences) for sign in (1, -1))
    if zero_one:
        right, _ = _right(ours), _right(theirs)
        both = right - better
        low, high = newcombe_interval(both, better, worse, len(differences) - both - better - worse)
    else:
        low, high = bootstrap_interval(differences, seed, DIFFERENCES)
    return Paired(n=len(differences), difference=mean(differences), low=low, high=high, better=better, worse=worse)


def _right(scores: Sequence[float]) -> int:
    """How many scores are 1, where all are 0 or 1."""
    for score in scores:
        if score not in (0, 1):
            raise ValueError(f"the score {score} is neither 0 nor 1: the metric is none of right and wrong")
    return sum(score == 1 for score in scores)


def _resampled_means(
    scores: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], seed: int
) -> npt.NDArray[np.float64]:
    """The weighted means of resamples; those without any weight are left out."""
    random = np.random.Generator(np.random.PCG64(seed))
    at_once = max(1, DRAWN_AT_ONCE // len(scores))
    means = []
    for done in range(0, RESAMPLES, at_once):
        drawn = random.integers(0, len(scores), (min(at_once, RESAMPLES - done), len(scores)))
        total = weights[drawn].sum(axis=1)
        means.append(((scores * weights)[drawn].sum(axis=1)[total > 0]) / total[total > 0])
    return np.concatenate(means)
