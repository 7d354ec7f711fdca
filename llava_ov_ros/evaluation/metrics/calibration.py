"""How far confidences are shares of right answers: reliability in bins, and the expected calibration error.

As in C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, section 2.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

BINS = 10


@dataclass(frozen=True)
class Bin:
    """Answers whose confidences are near each other.

    Attributes:
        low: Confidences are above this; in the first bin 0 is too.
        high: And at most this.
        n: How many answers.
        confidence: Their mean confidence; 0 where there is none.
        accuracy: The share of them that is right; 0 where there is none.
    """

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """Confidences of answers beside how often these were right.

    Attributes:
        bins: Of equal width, from 0 to 1.
        n: How many answers.
        correct: How many of them are right.
        confidence: Mean confidence; 0 where there is no answer.
        error: Expected calibration error: the mean over all answers of how far accuracy and mean confidence of their
            bin lie apart; 0 where there is no answer.
    """

    bins: tuple[Bin, ...]
    n: int
    correct: int
    confidence: float
    error: float

    @property
    def accuracy(self) -> float:
        """The share of right answers; 0 where there is none."""
        return self.correct / self.n if self.n else 0.0


def calibration(answers: Iterable[tuple[float, bool]], bins: int = BINS) -> Calibration:
    """Put answers into bins by their confidence.

    Args:
        answers: Confidence and whether the answer is right, in any order.
        bins: How many.

    Raises:
        ValueError: A confidence is not in 0 to 1, or there is no bin.
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
