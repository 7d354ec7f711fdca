"""Intervals, comparisons, times and refusals."""

from __future__ import annotations

import math
import random

import pytest

from llava_ov_ros.evaluation.metrics import (
    Refusals,
    Spread,
    bootstrap_interval,
    latency,
    mean,
    paired,
    refusals,
    spread,
)
from llava_ov_ros.tasks import Status


def test_interval_of_a_share_is_that_of_the_normal_approximation():
    scores = [1.0] * 300 + [0.0] * 100
    low, high = bootstrap_interval(scores, seed=1)
    half = 1.96 * math.sqrt(0.75 * 0.25 / 400)
    assert low == pytest.approx(0.75 - half, abs=0.01)
    assert high == pytest.approx(0.75 + half, abs=0.01)


def test_interval_covers_the_mean_in_most_samples():
    rng = random.Random(2)
    covered = 0
    for seed in range(40):
        low, high = bootstrap_interval([float(rng.random() < 0.6) for _ in range(80)], seed)
        covered += low <= 0.6 <= high
    assert covered >= 33


def test_the_same_seed_gives_the_same_interval():
    scores = [0.1, 0.9, 0.4, 1.0, 0.0]
    assert bootstrap_interval(scores, 7) == bootstrap_interval(scores, 7)
    assert bootstrap_interval(scores, 7) != bootstrap_interval(scores, 8)


def test_equal_scores_leave_no_doubt_and_no_scores_leave_nothing():
    assert bootstrap_interval([0.5], 1) == (0.5, 0.5)
    assert all(math.isnan(end) for end in bootstrap_interval([], 1))
    assert math.isnan(mean([]))


def test_paired_comparison():
    ours, theirs = [1.0, 1.0, 0.0, 1.0], [0.0, 1.0, 1.0, 0.0]
    found = paired(ours, theirs, seed=3)
    assert (found.n, found.better, found.worse) == (4, 2, 1)
    assert found.difference == 0.25
    assert found.low < found.difference < found.high


def test_a_gain_on_every_question_is_certain_though_scores_vary():
    theirs = [0.1 * number for number in range(9)]
    found = paired([score + 0.1 for score in theirs], theirs, seed=3)
    assert found.low == pytest.approx(0.1)
    assert found.high == pytest.approx(0.1)


def test_runs_on_different_questions_cannot_be_compared():
    with pytest.raises(ValueError, match="1 scores cannot be paired with 2"):
        paired([1.0], [1.0, 0.0], seed=3)


def test_times():
    assert spread([0.3, 0.1, 0.2]) == Spread(3, 0.2, pytest.approx(0.29))
    found = latency([0.1, 0.2], [1.0, 3.0])
    assert found is not None
    assert (found.first_token.median_s, found.total.median_s) == (pytest.approx(0.15), 2.0)
    assert latency([], []) is None


def test_refusals():
    statuses = [Status.OK, Status.STALE, Status.FROZEN, Status.DEADLINE]
    assert refusals(statuses) == Refusals(4, 0.5, 0.75)
    assert refusals([]) is None
