"""Metrics by their names."""

from __future__ import annotations

import json

import pytest

from llava_ov_ros.evaluation.metrics import ANSWER_METRICS, CAPTION_METRICS, METRICS, PLAN_METRICS, ZERO_ONE
from llava_ov_ros.evaluation.suite.suite_file import SCHEMA

CHOICES = ["a mug", "a plate"]


@pytest.mark.parametrize(
    ("name", "prediction", "golds", "expected"),
    [
        ("em", "mug", ["cup", "mug"], 1),
        ("rouge_l", "a mug", ["a cup", "a mug"], 1),
        ("rouge_l", "a mug", ["", "cup"], 0),
        ("rouge_l", "a mug", [""], None),
        ("rouge_l", "桌上有红色的杯子", ["红色的杯子", "盘子"], 10 / 13),
        ("f1_zh", "红色的杯子。", ["盘子", "红色的杯子"], 1),
        ("f1_zh", "a mug", ["a mug"], None),
        ("em_zh", "３个杯子。", ["3个杯子"], 1),
        ("yes_no", "不是的", ["否"], 1),
        ("count", "有三个", ["3"], 1),
        ("multi_choice", "Answer: B", ["A", "B"], 1),
        ("yes_no", "Yes, it is.", ["yes"], 1),
        ("count", "There are two.", ["2", "3"], 1),
        ("choice", "B", ["a plate"], 1),
        ("choice", "A", ["a plate"], 0),
        ("choice_lenient", "The answer is (B).", ["a plate"], 1),
        ("em_refined", "the brown mug", ["a plate", "brown"], 1),
    ],
)
def test_the_best_of_several_right_answers_counts(name, prediction, golds, expected):
    found = ANSWER_METRICS[name](prediction, golds, CHOICES)
    assert found == (None if expected is None else pytest.approx(expected, abs=1e-7))


def test_every_name_stands_for_one_metric():
    assert len(METRICS) == len(ANSWER_METRICS) + len(PLAN_METRICS) + len(CAPTION_METRICS)


def test_suites_know_every_metric():
    known = json.loads(SCHEMA.read_text())["properties"]["metrics"]["items"]["examples"]
    assert known == [*ANSWER_METRICS, *PLAN_METRICS, *CAPTION_METRICS]


def test_metrics_of_right_and_wrong_have_no_third_score():
    assert ZERO_ONE <= METRICS
    assert {
        *("rouge_l", "f1_zh", "plan_step_f1", "plan_goal_conditions", "plan_weighted_success"),
        *CAPTION_METRICS,
    } == METRICS - ZERO_ONE
