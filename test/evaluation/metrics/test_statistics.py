"""Intervals, comparisons, times and refusals."""

from __future__ import annotations

import math
import random

import pytest

from llava_ov_ros.evaluation.metrics import (
    Refusals,
    bootstrap_interval,
    interval,
    mean,
    paired,
    refusals,
)
from llava_ov_ros.evaluation.metrics.intervals import newcombe_interval, wilson_interval
from llava_ov_ros.questions import Status
from llava_ov_ros.questions.spread import TimeSpread, spread


def test_interval_of_many_questions_is_that_of_the_normal_approximation():
    scores = [1.0] * 300 + [0.0] * 100
    half = 1.96 * math.sqrt(0.75 * 0.25 / 400)
    for zero_one in (True, False):
        low, high = interval(scores, 1, zero_one)
        assert low == pytest.approx(0.75 - half, abs=0.01)
        assert high == pytest.approx(0.75 + half, abs=0.01)


@pytest.mark.parametrize("zero_one", [True, False])
def test_interval_covers_the_mean_in_most_samples(zero_one):
    rng = random.Random(2)
    covered = 0
    for seed in range(40):
        low, high = interval([float(rng.random() < 0.6) for _ in range(80)], seed, zero_one)
        covered += low <= 0.6 <= high
    assert covered >= 33


def test_right_and_wrong_have_wilsons_interval():
    assert interval([1.0], 0, zero_one=True) == wilson_interval(1, 1)
    assert interval([1.0, 0.0, 0.0], 0, zero_one=True) == wilson_interval(1, 3)
    with pytest.raises(ValueError, match=r"the score 0\.5 is neither 0 nor 1"):
        interval([0.5], 0, zero_one=True)


def test_the_same_seed_gives_the_same_interval():
    scores = [0.1, 0.9, 0.4, 1.0, 0.0]
    assert bootstrap_interval(scores, 7) == bootstrap_interval(scores, 7)
    assert bootstrap_interval(scores, 7) != bootstrap_interval(scores, 8)


def test_equal_scores_leave_doubt_and_no_scores_leave_nothing():
    assert bootstrap_interval([1.0] * 5, 1) == pytest.approx(wilson_interval(5, 5))
    assert bootstrap_interval([0.0] * 5, 1) == pytest.approx(wilson_interval(0, 5))
    low, high = bootstrap_interval([0.5], 1)
    assert low < 0.2
    assert high > 0.8
    assert all(math.isnan(end) for zero_one in (True, False) for end in interval([], 1, zero_one))
    assert math.isnan(mean([]))


def test_what_weighs_more_counts_more():
    scores, weights = [1.0, 0.0, 1.0, 1.0], [3, 1, 2, 0]
    spread_out = [1.0, 1.0, 1.0, 0.0, 1.0, 1.0]
    low, high = bootstrap_interval(scores, 3, weights=weights)
    assert low <= mean(spread_out) <= high
    # Two plans of weights 9 and 1 say hardly more than one does.
    (lone, _), (uneven, _), (two, _) = (
        bootstrap_interval(one, 3, weights=its) for one, its in (([1], [5]), ([1, 1], [9, 1]), ([1, 1], [5, 5]))
    )
    assert lone < uneven < two
    assert all(map(math.isnan, bootstrap_interval([1.0], 3, weights=[0])))


def test_paired_comparison():
    ours, theirs = [1.0, 1.0, 0.0, 1.0], [0.0, 1.0, 1.0, 0.0]
    found = paired(ours, theirs, seed=3, zero_one=True)
    assert (found.n, found.better, found.worse) == (4, 2, 1)
    assert found.difference == 0.25
    assert (found.low, found.high) == newcombe_interval(1, 2, 1, 0)
    resampled = paired(ours, theirs, seed=3, zero_one=False)
    assert resampled.low < 0.25 < resampled.high


@pytest.mark.parametrize("zero_one", [True, False])
@pytest.mark.parametrize(("our", "their"), [(1.0, 1.0), (0.0, 0.0), (1.0, 0.0)])
def test_a_few_questions_prove_no_difference(our, their, zero_one):
    found = paired([our] * 3, [their] * 3, seed=3, zero_one=zero_one)
    assert -1 <= found.low <= found.difference <= found.high <= 1
    assert found.high - found.low > 0.3


def test_runs_on_different_questions_cannot_be_compared():
    with pytest.raises(ValueError, match="1 scores cannot be paired with 2"):
        paired([1.0], [1.0, 0.0], seed=3, zero_one=True)


def test_times():
    assert spread([0.3, 0.1, 0.2]) == TimeSpread(3, 0.2, pytest.approx(0.29))
    assert spread([]) is None


def test_refusals():
    statuses = [Status.OK, Status.STALE, Status.FROZEN, Status.DEADLINE]
    assert refusals(statuses) == Refusals(4, 0.5, 0.75)
    assert refusals([]) is None
