"""Calibration against values computed by hand, and what holds of it whatever the answers are."""

from __future__ import annotations

import math
import random

import pytest

from llava_ov_ros.evaluation.metrics.calibration import BINS, Bin, calibration


def test_against_values_computed_by_hand():
    # Bin (0.2, 0.3]: mean confidence 0.275, 1 of 2 right: 0.225 apart. Bin (0.8, 0.9]: 0.85, 2 of 3: 0.18333 apart.
    # Bin (0.9, 1]: 1, 0 of 1: 1 apart. (2 * 0.225 + 3 * 0.18333 + 1) / 6 = 2 / 6.
    found = calibration([(0.25, True), (0.9, True), (0.3, False), (0.8 + 1e-9, False), (1.0, False), (0.85, True)])
    assert (found.n, found.correct, found.accuracy) == (6, 3, 0.5)
    assert found.confidence == pytest.approx((0.25 + 0.9 + 0.3 + 0.8 + 1.0 + 0.85) / 6)
    assert found.error == pytest.approx(2 / 6)
    assert [one.n for one in found.bins] == [0, 0, 2, 0, 0, 0, 0, 0, 3, 1]
    third, ninth, last = (found.bins[i] for i in (2, 8, 9))
    assert (third.low, third.high, third.accuracy) == (0.2, 0.3, 0.5)
    assert third.confidence == pytest.approx(0.275)
    assert (ninth.confidence, ninth.accuracy) == (pytest.approx(0.85), pytest.approx(2 / 3))
    assert last == Bin(0.9, 1.0, 1, 1.0, 0.0)
    assert found.bins[0] == Bin(0.0, 0.1, 0, 0.0, 0.0)


def test_a_bin_ends_with_its_upper_edge_and_the_first_begins_with_zero():
    for number in range(1, BINS + 1):
        edge = number / BINS
        counts = [one.n for one in calibration([(edge, True), (math.nextafter(edge, 0), True)]).bins]
        assert counts[number - 1] == 2, edge
        if number < BINS:
            assert calibration([(math.nextafter(edge, 1), True)]).bins[number].n == 1, edge
    assert calibration([(0.0, False)]).bins[0].n == 1


def test_perfectly_calibrated_and_perfectly_wrong():
    right = [(0.75, number % 4 > 0) for number in range(100)]
    assert calibration(right).error == pytest.approx(0.0)
    assert calibration([(1.0, False)] * 7).error == 1.0
    assert calibration([(0.0, True)] * 7).error == 1.0


def test_without_answers_there_is_no_error():
    found = calibration([])
    assert (found.n, found.correct, found.accuracy, found.confidence, found.error) == (0, 0, 0.0, 0.0, 0.0)
    assert len(found.bins) == BINS


@pytest.mark.parametrize("seed", range(20))
def test_what_holds_of_any_answers(seed):
    rng = random.Random(seed)
    bins = rng.randint(1, 15)
    answers = [(rng.choice((rng.random(), 0.0, 1.0, rng.randrange(11) / 10)), rng.random() < 0.6) for _ in range(80)]
    found = calibration(answers, bins)
    assert len(found.bins) == bins
    assert sum(one.n for one in found.bins) == found.n == len(answers)
    assert sum(one.n * one.accuracy for one in found.bins) == pytest.approx(found.correct)
    assert sum(one.n * one.confidence for one in found.bins) / found.n == pytest.approx(found.confidence)
    assert all(one.low - 1e-12 <= one.confidence <= one.high + 1e-12 for one in found.bins if one.n)
    # One bin is the least that any binning finds, and no error is more than the mean of all distances.
    assert calibration(answers, 1).error <= found.error + 1e-12
    assert found.error <= sum(abs(confidence - right) for confidence, right in answers) / found.n + 1e-12
    assert calibration(rng.sample(answers, len(answers)), bins) == found
    doubled = calibration(answers * 2, bins)
    assert doubled.error == pytest.approx(found.error)
    turned = calibration([(confidence, not right) for confidence, right in answers], bins)
    assert [one.confidence for one in turned.bins] == [one.confidence for one in found.bins]
    assert turned.correct == found.n - found.correct


@pytest.mark.parametrize("confidence", [-0.01, 1.01, math.nan, math.inf])
def test_what_is_no_probability_is_refused(confidence):
    with pytest.raises(ValueError, match="it must be in 0 to 1"):
        calibration([(0.5, True), (confidence, True)])


def test_without_a_bin_it_is_refused():
    with pytest.raises(ValueError, match="bins is 0"):
        calibration([(0.5, True)], 0)
