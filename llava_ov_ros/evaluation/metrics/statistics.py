"""95 % intervals of mean scores, and the paired comparison of two runs."""

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
# The ranges of scores and of differences of scores.
SCORES, DIFFERENCES = (0.0, 1.0), (-1.0, 1.0)


@dataclass(frozen=True)
class Paired:
    """The comparison of two runs, ours and theirs, on the same questions.

    Attributes:
        n: Number of questions.
        difference: Mean score of ours minus mean score of theirs, -1 to 1.
        low: Lower end of the difference's 95 % interval.
        high: Upper end of the difference's 95 % interval.
        better: Number of questions in which ours scores higher.
        worse: Number of questions in which ours scores lower.
    """

    n: int
    difference: float
    low: float
    high: float
    better: int
    worse: int


def mean(scores: Sequence[float]) -> float:
    """The mean of the scores, independent of their order to the bit; NaN without scores."""
    return math.fsum(scores) / len(scores) if scores else math.nan


def interval(scores: Sequence[float], seed: int, zero_one: bool) -> tuple[float, float]:
    """The 95 % interval of a mean score.

    Args:
        scores: One score per question, 0 to 1.
        seed: Seed of the bootstrap.
        zero_one: Whether all scores are 1 (right) or 0 (wrong). If so, the interval is Wilson's, otherwise that of
            `bootstrap_interval`.

    Returns:
        Lower and upper end; NaN without scores.

    Raises:
        ValueError: `zero_one` is true and a score is neither 0 nor 1.
    """
    if not scores:
        return math.nan, math.nan
    if not zero_one:
        return bootstrap_interval(scores, seed)
    return wilson_interval(_right(scores), len(scores))


def bootstrap_interval(
    scores: Sequence[float], seed: int, ends: tuple[float, float] = SCORES, weights: Sequence[float] | None = None
) -> tuple[float, float]:
    """The bootstrap's 95 % interval of a mean: percentiles of the means of 2000 resamples of the questions.

    Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13. The same scores in the same order and
    the same seed give the same interval. Resampling equal scores varies nothing, so equal scores get the interval of
    `equal_interval`.

    Args:
        scores: One score per question.
        seed: Seed of the resampling.
        ends: Least and greatest possible score.
        weights: Weight of each question, 0 or more; None gives all questions the same weight.

    Returns:
        Lower and upper end; NaN if no question has a weight.
    """
    x = np.asarray(scores, dtype=np.float64)
    w = np.ones_like(x) if weights is None else np.asarray(weights, dtype=np.float64)
    counted = x[w > 0]
    if not len(counted):
        return math.nan, math.nan
    if counted.min() == counted.max():
        # The effective number of questions of equal weight (Kish, Survey Sampling, 1965, section 11.7).
        return equal_interval(float(counted[0]), float(w.sum() ** 2 / (w**2).sum()), ends)
    low, high = np.percentile(_resampled_means(x, w, seed), PERCENTILES)
    return float(low), float(high)


def equal_interval(score: float, n: float, ends: tuple[float, float]) -> tuple[float, float]:
    """The 95 % interval of the mean of n scores that are all equal.

    0 of n scores differ from the common score, so by Wilson's interval up to a share of z^2 / (n + z^2) of all
    questions may differ from it. Each of these may score anything between the ends. For n scores of 1 this is Wilson's
    interval of n of n.

    Args:
        score: The common score.
        n: Number of scores; may be an effective number.
        ends: Least and greatest possible score.
    """
    otherwise = Z_95**2 / (n + Z_95**2)
    return score - otherwise * (score - ends[0]), score + otherwise * (ends[1] - score)


def paired(ours: Sequence[float], theirs: Sequence[float], seed: int, zero_one: bool) -> Paired:
    """Compare two runs question by question.

    Args:
        ours: Scores of one run, 0 to 1.
        theirs: Scores of the other run on the same questions in the same order.
        seed: Seed of the bootstrap.
        zero_one: Whether all scores are 1 (right) or 0 (wrong). If so, the difference's interval is Newcombe's for
            paired shares, otherwise that of `bootstrap_interval` of the differences.

    Raises:
        ValueError: The runs have different numbers of scores, or `zero_one` is true and a score is neither 0 nor 1.
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
    """The number of scores that are 1; raises ValueError if a score is neither 0 nor 1."""
    for score in scores:
        if score not in (0, 1):
            raise ValueError(f"the score {score} is neither 0 nor 1: the metric is none of right and wrong")
    return sum(score == 1 for score in scores)


def _resampled_means(
    scores: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], seed: int
) -> npt.NDArray[np.float64]:
    """The weighted means of 2000 resamples; a resample without any weight is left out."""
    random = np.random.Generator(np.random.PCG64(seed))
    at_once = max(1, DRAWN_AT_ONCE // len(scores))
    means = []
    for done in range(0, RESAMPLES, at_once):
        drawn = random.integers(0, len(scores), (min(at_once, RESAMPLES - done), len(scores)))
        total = weights[drawn].sum(axis=1)
        means.append(((scores * weights)[drawn].sum(axis=1)[total > 0]) / total[total > 0])
    return np.concatenate(means)
