"""Compares confidences with the share of right answers: reliability bins and the expected calibration error.

Source: C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, section 2.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

BINS = 10


@dataclass(frozen=True)
class Bin:
    """The answers whose confidences lie in one interval.

    Attributes:
        low: Lower bound of the confidences, exclusive; the first bin includes 0.
        high: Upper bound of the confidences, inclusive.
        n: Number of answers.
        confidence: Mean confidence of the answers, 0 to 1; 0 for an empty bin.
        accuracy: Share of right answers, 0 to 1; 0 for an empty bin.
    """

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """The confidences of some answers beside the share of these answers that is right.

    Attributes:
        bins: Reliability bins of equal width from 0 to 1.
        n: Number of answers.
        correct: Number of right answers.
        confidence: Mean confidence, 0 to 1; 0 without answers.
        error: Expected calibration error, 0 to 1: sum over the bins of (answers in the bin / n) times the absolute
            difference of the bin's accuracy and mean confidence; 0 without answers.
    """

    bins: tuple[Bin, ...]
    n: int
    correct: int
    confidence: float
    error: float

    @property
    def accuracy(self) -> float:
        """The share of right answers, 0 to 1; 0 without answers."""
        return self.correct / self.n if self.n else 0.0


def calibration(answers: Iterable[tuple[float, bool]], bins: int = BINS) -> Calibration:
    """Sort answers into bins by their confidence.

    Args:
        answers: Confidence (0 to 1) of each answer and whether the answer is right, in any order.
        bins: Number of bins.

    Raises:
        ValueError: A confidence is outside 0 to 1, or `bins` is less than 1.
    """
    if bins < 1:
        raise ValueError(f"bins is {bins}: there must be at least one")
    edges = [number / bins for number in range(1, bins + 1)]
    sorted_in: list[list[tuple[float, bool]]] = [[] for _ in edges]
    for confidence, right in answers:
        if not 0 <= confidence <= 1:
            raise ValueError(f"confidence is {confidence}: it must be in 0 to 1")
        sorted_in[bisect_left(edges, confidence)].append((confidence, right))
    made = tuple(_bin(low, high, some) for low, high, some in zip([0.0, *edges[:-1]], edges, sorted_in, strict=True))
    n = sum(one.n for one in made)
    every = [answer for some in sorted_in for answer in some]
    apart = math.fsum(one.n * abs(one.accuracy - one.confidence) for one in made)
    return Calibration(
        made,
        n,
        sum(right for _, right in every),
        math.fsum(confidence for confidence, _ in every) / n if n else 0.0,
        apart / n if n else 0.0,
    )


def _bin(low: float, high: float, answers: list[tuple[float, bool]]) -> Bin:
    n = len(answers)
    if n == 0:
        return Bin(low, high, 0, 0.0, 0.0)
    confidence = math.fsum(confidence for confidence, _ in answers) / n
    return Bin(low, high, n, confidence, sum(right for _, right in answers) / n)
