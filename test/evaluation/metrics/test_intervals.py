"""Intervals of shares beside published ones and beside what defines them."""

from __future__ import annotations

import math

import pytest

from llava_ov_ros.evaluation.metrics.intervals import Z_95, newcombe_interval, wilson_interval

# R. G. Newcombe, Two-sided confidence intervals for the single proportion, Statistics in Medicine 17 (1998), table I,
# method 3: right, of how many, lower and upper end.
PUBLISHED = [
    (81, 263, 0.2553, 0.3662),
    (15, 148, 0.0624, 0.1605),
    (0, 20, 0.0000, 0.1611),
    (1, 29, 0.0061, 0.1718),
]


@pytest.mark.parametrize(("correct", "n", "low", "high"), PUBLISHED)
def test_wilsons_interval_is_the_published_one(correct, n, low, high):
    assert wilson_interval(correct, n) == pytest.approx((low, high), abs=5e-5)
    assert wilson_interval(n - correct, n) == pytest.approx((1 - high, 1 - low), abs=5e-5)


@pytest.mark.parametrize(("correct", "n"), [(1, 1), (0, 1), (3, 7), (7, 7), (499, 500), (1, 100_000)])
def test_the_ends_are_the_shares_that_a_score_test_just_does_not_reject(correct, n):
    """What defines the interval: the share seen is z standard deviations away from each of its ends."""
    for end in wilson_interval(correct, n):
        if 0 < end < 1:
            assert abs(correct / n - end) / math.sqrt(end * (1 - end) / n) == pytest.approx(Z_95, rel=1e-6)


def test_one_question_says_little():
    assert wilson_interval(1, 1) == (pytest.approx(0.2065, abs=1e-4), 1.0)
    assert wilson_interval(0, 1) == (0.0, pytest.approx(0.7935, abs=1e-4))
    assert wilson_interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("correct", "n"), [(2, 1), (-1, 3), (0, -1)])
def test_what_is_no_share_is_an_error(correct, n):
    with pytest.raises(ValueError, match=f"{correct} of {n} is no share"):
        wilson_interval(correct, n)


def test_newcombes_interval_is_the_published_one():
    """Complete response before and after consolidation therapy (Cavo et al., 2012).

    As the R package contingencytables gives it, after Fagerland, Lydersen, Laake, Statistical Analysis of Contingency
    Tables (2017), chapter 8.
    """
    assert newcombe_interval(59, 6, 16, 80) == pytest.approx((-0.1186, -0.0046), abs=5e-5)


def test_two_runs_that_answer_alike_may_still_differ():
    low, high = newcombe_interval(1, 0, 0, 0)
    assert low == -high
    assert high > 0.7
    assert newcombe_interval(0, 0, 0, 0) == (-1.0, 1.0)


def test_whose_run_is_ours_only_turns_the_sign():
    low, high = newcombe_interval(20, 7, 2, 5)
    assert newcombe_interval(20, 2, 7, 5) == (pytest.approx(-high), pytest.approx(-low))


@pytest.mark.parametrize("table", [(0, 3, 0, 0), (5, 0, 0, 5), (0, 4, 4, 0), (10, 1, 0, 0), (0, 0, 0, 9)])
def test_an_interval_of_differences_has_a_width_and_holds_the_difference(table):
    low, high = newcombe_interval(*table)
    assert -1 <= low <= (table[1] - table[2]) / sum(table) <= high <= 1
    assert low < high
