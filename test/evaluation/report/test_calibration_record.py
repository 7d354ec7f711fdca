"""Calibration against values computed by hand."""

from __future__ import annotations

import pytest

from llava_ov_ros.evaluation.report.calibration_record import calibration_record


def test_none_judged():
    assert calibration_record([]) is None


def test_by_hand():
    found = calibration_record([(0.95, True), (0.95, False), (0.15, False), (1.0, True), (0.0, False)])
    # Bins: (0, 0.1] 0.0 wrong; (0.1, 0.2] 0.15 wrong; (0.9, 1] 0.95, 0.95, 1.0 with two of three right.
    assert [(one["n"], one["accuracy"]) for one in found["bins"]] == [
        (1, 0),
        (1, 0),
        (3, pytest.approx(2 / 3, abs=1e-6)),
    ]
    assert found["ece"] == pytest.approx((0.0 + 0.15 + 3 * (2.9 / 3 - 2 / 3)) / 5, abs=1e-6)
    assert found["brier"] == pytest.approx((0.05**2 + 0.95**2 + 0.15**2) / 5, abs=1e-6)


def test_edges_belong_to_the_bin_below():
    found = calibration_record([(0.5, True), (0.5000001, True)])
    assert [one["from"] for one in found["bins"]] == [0.4, 0.5]
