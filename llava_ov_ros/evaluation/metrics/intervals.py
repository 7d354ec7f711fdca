"""95 % confidence intervals: of a share, and of the difference of two shares over the same questions."""

from __future__ import annotations

import math

# Two-sided 95 % of the normal distribution.
Z_95 = 1.959963984540054


def wilson_interval(correct: int, n: int) -> tuple[float, float]:
    """Wilson's score interval of the share correct / n; it has a width at the shares 0 and 1 too.

    E. B. Wilson, Probable Inference, the Law of Succession, and Statistical Inference, JASA 22 (1927).

    Args:
        correct: Number of right answers.
        n: Number of answers.

    Returns:
        Lower and upper end, 0 to 1; (0, 1) if n is 0.

    Raises:
        ValueError: `correct` is negative or greater than n.
    """
    if not 0 <= correct <= n:
        raise ValueError(f"{correct} of {n} is no share: give 0 to {n} right ones")
    if n == 0:
        return 0.0, 1.0
    share, z2 = correct / n, Z_95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    # Rounding must not move the ends away from exactly 0 and 1.
    return (0.0 if correct == 0 else middle - half), (1.0 if correct == n else middle + half)


def newcombe_interval(both: int, only_ours: int, only_theirs: int, neither: int) -> tuple[float, float]:
    """Newcombe's interval of the difference of two shares over the same questions, made from Wilson's intervals.

    Method 10 (square and add, with Wilson's intervals) of R. G. Newcombe, Improved confidence intervals for the
    difference between binomial proportions based on paired data, Statistics in Medicine 17 (1998), 2635-2650.

    Args:
        both: Number of questions that both runs answer rightly.
        only_ours: Number of questions that only the first run answers rightly.
        only_theirs: Number of questions that only the second run answers rightly.
        neither: Number of questions that neither run answers rightly.

    Returns:
        Lower and upper end of the first share minus the second, -1 to 1; (-1, 1) without questions.
    """
    n = both + only_ours + only_theirs + neither
    if n == 0:
        return -1.0, 1.0
    ours, theirs = both + only_ours, both + only_theirs
    share, other = ours / n, theirs / n
    (low, high), (other_low, other_high) = wilson_interval(ours, n), wilson_interval(theirs, n)
    margins = ours * (n - ours) * theirs * (n - theirs)
    cross = both * neither - only_ours * only_theirs
    # Newcombe's continuity correction, which applies to positive correlations only.
    corrected = max(cross - n / 2, 0.0) if cross > 0 else cross
    correlation = corrected / math.sqrt(margins) if margins else 0.0

    def together(one: float, two: float) -> float:
        return math.sqrt(max(0.0, one * one - 2 * correlation * one * two + two * two))

    difference = share - other
    return (
        max(-1.0, difference - together(share - low, other_high - other)),
        min(1.0, difference + together(other - other_low, high - share)),
    )
